from __future__ import annotations

import pytest

import smelt.book
from smelt.book.chapter6 import evaluation, figures, layers, loading, logs

NUMBERS = [one.number for one in smelt.book.entries(6)]


@pytest.mark.parametrize("number", NUMBERS)
def test_every_claim_of_the_chapter_holds(number: str) -> None:
    page = smelt.book.run(number)
    assert page.holds, [claim for claim in page.claims if not claim.holds]


def test_the_chapter_is_complete() -> None:
    assert set(NUMBERS) == set("E6.0 E6.1 E6.2 E6.3 E6.4 F6.1 F6.2 P6.1 P6.2".split())


def test_a_barrier_lets_nobody_into_the_next_phase_early() -> None:
    events = layers.run_layers([0.0, 0.02], phases=3)
    for phase in (1, 2):
        done = max(layers.times(events, f"done {phase}"))
        assert min(layers.times(events, f"start {phase + 1}")) >= done


def test_locks_taken_in_order_never_deadlock() -> None:
    assert all(figures.take_two([(0, 1), (0, 1), (1, 2)], patience=0.05))
    assert not all(figures.take_two([(0, 1), (1, 0)], patience=0.05))


def test_the_overlapped_loader_keeps_the_order() -> None:
    assert loading.overlapped(3) == loading.in_turn(3) == [0, 1, 2]


def test_the_logger_writes_what_the_loop_would() -> None:
    assert logs.by_a_thread()[1] == [f"step {step}" for step in range(logs.LINES)]


def test_a_copy_is_not_a_later_model() -> None:
    certain = evaluation.evaluated_in_between()
    assert len({row["loss"] for row in certain}) == evaluation.EPOCHS
