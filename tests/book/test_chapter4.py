from __future__ import annotations

import pytest

import smelt.book
from smelt.book.chapter4 import blocks, loops, memory, sum_of_squares

NUMBERS = [one.number for one in smelt.book.entries(4)]


@pytest.mark.parametrize("number", NUMBERS)
def test_every_claim_of_the_chapter_holds(number: str) -> None:
    page = smelt.book.run(number)
    assert page.holds, [claim for claim in page.claims if not claim.holds]


def test_the_chapter_is_complete() -> None:
    assert set(NUMBERS) == set("E4.a E4.b E4.1 E4.2 T4.1 T4.2 P4.1 P4.2 P4.3".split())


def test_all_ways_of_adding_squares_agree() -> None:
    n = sum_of_squares.N
    correct = (n - 1) * n * (2 * n - 1) // 6
    assert correct == sum_of_squares.CORRECT == sum_of_squares.in_python()
    assert correct == sum_of_squares.in_numpy() == sum_of_squares.in_smelt().item()
    assert sum_of_squares.sum_of_squares(0, 5) == 30


def test_a_loop_over_numbers_is_gauss() -> None:
    assert loops.python_sum(100) == 5050
    assert loops.native_sum().item() == loops.CORRECT


def test_blocks_cover_the_matrix() -> None:
    assert len(blocks.PLACES) == 4
    assert (
        sum((row.stop - row.start) * (column.stop - column.start) for row, column in blocks.PLACES)
        == 10_000
    )


def test_what_a_scope_holds_is_counted() -> None:
    inside, after = memory.traced(lambda: bytearray(1_000_000))
    assert inside >= 1_000_000 > 100_000 > after
