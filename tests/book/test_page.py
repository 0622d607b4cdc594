"""Runs of entries, and the page of their results."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from smelt.book.entry import Page, entries
from smelt.book.page import make_page
from smelt.book.runner import Outcome, State, run_entry
from smelt.book.text import claim_rows, columns, page_text, summary
from smelt.errors import FileError, MissingExtra

plot = pytest.importorskip("matplotlib.figure")
EMPTY = {"img", "meta", "br", "link"}


class Balance(HTMLParser):
    """Checks that tags are closed in order, and collects what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.names: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.tags.add(tag)
        self.references += [value for key in ("src", "href") if (value := given.get(key))]
        self.names += [value for key in ("id",) if (value := given.get(key))]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def good(page: Page) -> None:
    """Compares `a < b`.

        y = x < 3

    - first
    - second
    """
    page.print("1 < 2 & 3")
    page.table(["name", "<n>"], [["a<b", 1.5]])
    figure = plot.Figure(figsize=(3, 2))
    figure.subplots().plot([1, 2, 3])
    page.figure("line", figure, "A <line>")
    page.answer("It *is* `<`.")
    page.claim("less", "a < b", "a < b", True)


@pytest.fixture
def outcomes(own_book: Callable, tmp_path: Path) -> list[Outcome]:
    """What becomes of five entries, one of each kind of end."""

    own_book("E5.1", "Less <than> & more")(good)

    @own_book("E5.2", "Fails")
    def bad(page: Page) -> None:
        """Claims too much."""
        page.claim("sum", 3, 4, False)

    @own_book("E5.3", "Raises")
    def raises(page: Page) -> None:
        """Prints, then divides."""
        page.print("before")
        page.print(1 / 0)

    @own_book("E5.4", "Wants data")
    def wants(page: Page) -> None:
        """Reads a file."""
        raise FileError("numbers.csv: not there; use --data")

    @own_book("E5.7+", "Wants a library")
    def lacks(page: Page) -> None:
        """Imports something."""
        raise MissingExtra("reading CSV files", "data")

    return [run_entry(entry, tmp_path) for entry in entries()]


def test_each_end_has_its_state(outcomes: list[Outcome]) -> None:
    assert [outcome.state for outcome in outcomes] == list(State)
    good, _, raised, wants, lacks = outcomes
    assert good.error == ""
    assert good.seconds > 0
    assert raised.error.endswith("ZeroDivisionError: division by zero\n")
    assert raised.page.printed == "before\n"
    assert "use --data" in wants.error
    assert "smelt-learn[data]" in lacks.error


def test_figures_become_files(outcomes: list[Outcome], tmp_path: Path) -> None:
    assert outcomes[0].files == {"line": tmp_path / "E5.1-line.png"}
    assert (tmp_path / "E5.1-line.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "E5.1-line.svg").read_text("utf-8")


def test_a_figure_that_cannot_be_drawn_is_an_error_of_its_entry(
    own_book: Callable, tmp_path: Path
) -> None:
    class Broken(plot.Figure):
        def savefig(self, *arguments: object, **options: object) -> None:
            raise ValueError("cannot be drawn")

    @own_book("F5.1", "A broken figure")
    def broken(page: Page) -> None:
        """Draws."""
        page.figure("broken", Broken())
        page.claim("drawn", 1, 1, True)

    (outcome,) = [run_entry(entry, tmp_path) for entry in entries()]
    assert outcome.state is State.RAISED
    assert "cannot be drawn" in outcome.error
    assert "cannot be drawn" in make_page([outcome])
    assert "F5.1" in page_text(outcome)


def test_the_page_stands_alone_and_is_whole(outcomes: list[Outcome]) -> None:
    text = make_page(outcomes)
    page = Balance()
    page.feed(text)
    page.close()
    assert page.open == []
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert len(page.names) == len(set(page.names))
    for reference in page.references:
        inside = reference.startswith("#") and reference[1:] in page.names
        assert inside or reference.startswith("data:image/svg+xml;base64,")
    assert "url(" not in text
    assert "@import" not in text


def test_the_page_shows_everything(outcomes: list[Outcome]) -> None:
    text = make_page(outcomes)
    for part in (
        "Less &lt;than&gt; &amp; more",
        "<code>a &lt; b</code>",
        "<pre>y = x &lt; 3</pre>",
        "<ul><li>first</li><li>second</li></ul>",
        "1 &lt; 2 &amp; 3",
        '<th class="figure">&lt;n&gt;</th>',
        "<figcaption>A &lt;line&gt;</figcaption>",
        "<em>is</em> <code>&lt;</code>",
        "ZeroDivisionError: division by zero",
        "numbers.csv: not there; use --data",
        "✗ fails",
        "? needs data",
        "? needs extra",
        "5 entries; 1 of 2 claims hold",
        'href="#E5.7-cured"',
        '<span class="keyword">def</span> good',
    ):
        assert part in text, part


def test_the_terminal_shows_the_same(outcomes: list[Outcome], tmp_path: Path) -> None:
    assert page_text(outcomes[0]).splitlines() == [
        "E5.1  Less <than> & more",
        "",
        "1 < 2 & 3",
        "name  <n>",
        "a<b   1.5",
        f"figure: {tmp_path / 'E5.1-line.png'}",
        "It *is* `<`.",
        "holds: less: expected a < b, got a < b",
    ]
    assert "FAILS: sum: expected 3, got 4" in page_text(outcomes[1])
    assert "needs data: numbers.csv" in page_text(outcomes[3])
    rows = list(claim_rows(outcomes))
    assert [(row[0], row[4]) for row in rows] == [
        ("E5.1", "yes"),
        ("E5.2", "NO"),
        ("E5.3", "raised"),
        ("E5.4", "needs data"),
        ("E5.7+", "needs extra"),
    ]
    assert re.fullmatch(
        r"5 entries; 1 of 2 claims hold; fails: E5.2; raised: E5.3; needs data: E5.4; "
        r"needs extra: E5.7\+; \d+\.\d s",
        summary(outcomes),
    )


def test_tables_are_cut_to_the_terminal_where_they_are_widest() -> None:
    rows = [("a", "b" * 60, "c"), ("aa", "short", "d" * 30)]
    lines = list(columns(rows, width=50))
    assert max(map(len, lines)) <= 50
    assert lines[0].startswith("a   bbb")
    assert "…" in lines[0]
    assert list(columns(rows))[1] == "aa  short" + 57 * " " + "d" * 30
