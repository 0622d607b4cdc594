"""What entries are, and the pages that they fill."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import smelt
from smelt.book.entry import Answer, Drawing, Page, Printed, Table, entries, find, run, short
from smelt.errors import ArgumentError


def test_a_page_keeps_what_it_is_given_in_order() -> None:
    page = Page("E5.1")
    page.print("a", 1, end="")
    page.print("b")
    page.table(["n", "square"], [[2, 4.0], [3, np.float32(9)]])
    page.print("c", "d", sep="-")
    page.answer("  Why?\n\n  Because.")
    assert page.parts == [
        Printed("a 1b\n"),
        Table(["n", "square"], [["2", "4"], ["3", "9"]]),
        Printed("c-d\n"),
        Answer("Why?\n\nBecause."),
    ]
    assert page.printed == "a 1b\nc-d\n"


def test_claims_hold_only_if_there_are_some_and_all_do() -> None:
    page = Page("E5.1")
    assert not page.holds
    page.claim("a sum", 3, 1 + 2, smelt.tensor(True))
    assert page.holds
    assert page.claims[0].holds is True
    page.claim("another", 3, 4, False)
    assert not page.holds


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (0.1 + 0.2, "0.3"),
        (np.float64(1e-9), "1e-09"),
        ([1.0, (2, 0.5)], "[1, (2, 0.5)]"),
        (smelt.tensor([1.0, 2.5]), "[1, 2.5]"),
        (smelt.tensor(6.0), "6"),
        (np.arange(3), "[0, 1, 2]"),
        (True, "True"),
        (333_332_833_333_500_000, "333332833333500000"),
        ("two\n  lines", "two lines"),
    ],
)
def test_claims_show_short_texts(thing: object, text: str) -> None:
    assert short(thing) == text


def test_bad_figures_and_tables_are_refused() -> None:
    pyplot = pytest.importorskip("matplotlib.figure")
    page = Page("F5.1")
    page.figure("loss", pyplot.Figure(), "The loss")
    assert isinstance(page.parts[0], Drawing)
    with pytest.raises(ArgumentError, match="two figures named 'loss'"):
        page.figure("loss", pyplot.Figure())
    with pytest.raises(ArgumentError, match="must be made of a-z"):
        page.figure("../loss", pyplot.Figure())
    with pytest.raises(ArgumentError, match=r"2 columns has the row \['1'\]"):
        page.table(["a", "b"], [[1]])


def test_entries_come_by_chapter_kind_and_number(own_book: Callable) -> None:
    numbers = "P5.1 E5.10 E5.2 E5.p1 E5.7+ E5.7 F5.1 T5.1 A2.1 E2.a F2.1 E5.d".split()
    for number in numbers:
        own_book(number, "title")(lambda page: None)
    expected = "E2.a A2.1 F2.1 E5.2 E5.7 E5.7+ E5.10 E5.d E5.p1 F5.1 T5.1 P5.1".split()
    assert [one.number for one in entries()] == expected
    assert [one.kind for one in entries(2)] == ["program", "algorithm", "figure"]


def test_numbers_must_be_those_of_a_book(own_book: Callable) -> None:
    own_book("E5.1", "title")(lambda page: None)
    with pytest.raises(ArgumentError, match="two entries E5.1"):
        own_book("E5.1", "title")
    for number in ("X5.1", "5.1", "E5", "E5.1-", "E5.7+x"):
        with pytest.raises(ArgumentError, match="no number of the book"):
            own_book(number, "title")


def test_an_unknown_number_names_the_nearest(own_book: Callable) -> None:
    for number in ("E5.1", "E5.2", "P8.1"):
        own_book(number, "title")(lambda page: None)
    assert find("e5.1").number == "E5.1"
    with pytest.raises(ArgumentError, match=r"no E5.12; nearest: E5.*E5.*smelt book list"):
        find("E5.12")
    with pytest.raises(ArgumentError, match="the book has no ; smelt book list names all"):
        find("")


def test_a_number_without_an_entry_says_where_to_look(own_book: Callable) -> None:
    own_book("E5.1", "title")(lambda page: None)
    for number in ("E5", "e5", "5"):
        with pytest.raises(ArgumentError, match=f"no {number}; smelt book list --chapter 5 names"):
            find(number)
    for number in ("E99.1", "E9", "E0.3"):
        with pytest.raises(ArgumentError, match=r"its chapters are 1 to 8; smelt book list") as it:
            find(number)
        assert "nearest" not in str(it.value)
    with pytest.raises(ArgumentError, match=r"no E7.1; smelt book list --chapter 7 names"):
        find("E7.1")


def test_every_entry_starts_from_the_seed_of_the_run(own_book: Callable) -> None:
    @own_book("E5.3", "A draw")
    def draw(page: Page) -> None:
        page.print(smelt.rand(()).item())
        page.claim("drawn", 1, 1, True)

    smelt.rand(100)
    first = run("E5.3").printed
    smelt.rand(7)
    assert run("E5.3").printed == first
    assert run("E5.3", seed=1).printed != first


def test_an_entry_must_claim_something(own_book: Callable) -> None:
    own_book("E5.1", "Silent")(lambda page: page.print("hello"))
    with pytest.raises(ArgumentError, match="E5.1: an entry must claim something"):
        run("E5.1")
