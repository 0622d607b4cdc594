"""What an entry of the book is, the page that it fills, and the list of all entries.

    @entry("E5.1", "A perceptron computes AND")
    def perceptron_and(page: Page) -> None:
        '''One unit with fixed weights and a step.'''
        outputs = [step(x + y - 1.5) for x, y in CORNERS]
        page.print("AND", outputs)
        page.claim("AND of the four corners", [0, 0, 0, 1], outputs, outputs == [0, 0, 0, 1])

The letter says what it is: E a program, A an algorithm, F a figure, T a table, P a problem.
`E5.7+` is the cured version of E5.7.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import io
import pkgutil
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import smelt
from smelt.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "CHAPTERS", "KINDS", "Answer", "Claim", "Drawing", "Entry", "Page", "Part", "Printed", "Table",
    "entries", "entry", "find", "ordered", "run", "short",
]  # fmt: skip

KINDS = {"E": "program", "A": "algorithm", "F": "figure", "T": "table", "P": "problem"}
CHAPTERS = {
    1: "Introduction",
    2: "Foundations and set-up",
    3: "Language primer",
    4: "Data loading and benchmarks",
    5: "Neural building blocks",
    6: "Concurrency",
    7: "Convolutional and recurrent networks",
    8: "Generative networks and Transformers",
}
_NUMBER = re.compile(r"([EAFTP])(\d)\.(\w+?)(\+*)$")
_BEGINNING = re.compile(r"[A-Za-z]?(\d+)")  # of a number, a wrong one too
_NAME = re.compile(r"[a-z0-9_-]+$")
_ALL: dict[str, Entry] = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """A program, figure, table or problem of the book.

    Args:
        number: as in the book, "E5.1"; its cured version has a "+" behind.
        title: one line.
        kind: one of the values of `KINDS`.
        function: fills a page.
    """

    number: str
    title: str
    kind: str
    function: Program

    @property
    def chapter(self) -> int:
        """The chapter that the number names."""
        return int(self.number[1])

    @property
    def text(self) -> str:
        """What the entry says of itself: the docstring of its function."""
        return inspect.getdoc(self.function) or ""


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that was checked: what the book (or the cure) promises, and what came out."""

    statement: str
    expected: str
    got: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Printed:
    """Lines that a program printed."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A small table; every cell is text."""

    header: list[str]
    rows: list[list[str]]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A matplotlib figure; `name` becomes part of the names of its files."""

    name: str
    figure: Figure
    caption: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A written answer to a question of the book, in paragraphs."""

    text: str


Part = Printed | Table | Drawing | Answer
Program = Callable[["Page"], None]


@dataclass(slots=True)
class Page:
    """What an entry fills as it runs: lines, tables, figures, answers, and what it claims.

    Args:
        number: of the entry.
        seed: of the run; an entry for which the book states a seed sets that one itself.
        data: the folder to look for data sets in; None leaves that to `smelt.data`.
    """

    number: str
    seed: int = 0
    data: Path | None = None
    parts: list[Part] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)

    def print(self, *things: object, sep: str = " ", end: str = "\n") -> None:
        """Prints on the page, as `print` does on the screen."""
        line = io.StringIO()
        print(*things, sep=sep, end=end, file=line)
        before = ""
        if self.parts and isinstance(self.parts[-1], Printed):
            before = self.parts[-1].text
            self.parts.pop()
        self.parts.append(Printed(before + line.getvalue()))

    def table(self, header: Sequence[object], rows: Sequence[Sequence[object]]) -> None:
        """Puts a small table on the page.

        Raises:
            ArgumentError: a row has not as many cells as the header.
        """
        cells = [[short(cell) for cell in row] for row in rows]
        for row in cells:
            if len(row) != len(header):
                raise ArgumentError(
                    f"{self.number}: a table of {len(header)} columns has the row {row}"
                )
        self.parts.append(Table([short(cell) for cell in header], cells))

    def figure(self, name: str, figure: Figure, caption: str = "") -> None:
        """Puts a figure on the page; the runner writes it as PNG and SVG.

        Args:
            name: for its files, of small letters, digits, "-" and "_".
            figure: a matplotlib Figure.
            caption: a line below it.

        Raises:
            ArgumentError: the name is taken on this page, or cannot be a file's.
        """
        if not _NAME.match(name):
            raise ArgumentError(
                f"{self.number}: figure name {name!r} must be made of a-z, 0-9, - and _"
            )
        if any(isinstance(part, Drawing) and part.name == name for part in self.parts):
            raise ArgumentError(f"{self.number}: there are two figures named {name!r}")
        self.parts.append(Drawing(name, figure, caption))

    def answer(self, text: str) -> None:
        """Puts a written answer on the page; an empty line begins a new paragraph."""
        self.parts.append(Answer(inspect.cleandoc(text)))

    def claim(self, statement: str, expected: object, got: object, holds: object) -> None:
        """Notes something that was checked.

        Args:
            statement: what is claimed, in a few words.
            expected: what the book says, or the bound that must be met.
            got: what came out.
            holds: whether that is so; computed, never written down.
        """
        self.claims.append(Claim(statement, short(expected), short(got), bool(holds)))

    @property
    def printed(self) -> str:
        """All the lines that were printed."""
        return "".join(part.text for part in self.parts if isinstance(part, Printed))

    @property
    def holds(self) -> bool:
        """Whether there are claims, and all of them hold."""
        return bool(self.claims) and all(claim.holds for claim in self.claims)


def entry(number: str, title: str, kind: str | None = None) -> Callable[[Program], Program]:
    """Makes a function that fills a page an entry of the book.

    Args:
        number: of the book: a letter, the chapter, a dot, the rest; "+" behind for a cured version.
        title: one line.
        kind: one of the values of `KINDS`; the letter says it when None.

    Raises:
        ArgumentError: the number is none, or taken.
    """
    if not (parts := _NUMBER.match(number)):
        raise ArgumentError(f'entry: {number!r} is no number of the book such as "E5.1" or "E5.7+"')
    if number in _ALL:
        raise ArgumentError(f"entry: there are two entries {number}")

    def register(function: Program) -> Program:
        _ALL[number] = Entry(number, title, kind or KINDS[parts[1]], function)
        return function

    return register


def entries(chapter: int | None = None) -> list[Entry]:
    """Returns the entries of a chapter, or of all, in the order of `KINDS` and their numbers."""
    _load(chapter)
    return ordered(one for one in _ALL.values() if chapter in (None, one.chapter))


def ordered(chosen: Iterable[Entry]) -> list[Entry]:
    """Returns entries in the order of the book, each of them once."""
    return sorted(set(chosen), key=_order)


def find(number: str) -> Entry:
    """Returns the entry of a number.

    Raises:
        ArgumentError: there is none; the nearest numbers of its chapter are named.
    """
    wanted = number[:1].upper() + number[1:]
    parts = _NUMBER.match(wanted)
    _load(int(parts[2]) if parts else None)
    if wanted not in _ALL:
        raise ArgumentError(f"the book has no {number}{_hint(wanted)}")
    return _ALL[wanted]


def _hint(wanted: str) -> str:
    """Says where a number would be found that the book does not have."""
    beginning = _BEGINNING.match(wanted)
    if not beginning:
        return "; smelt book list names all"
    chapter = int(beginning[1])
    if chapter not in CHAPTERS:
        return f": its chapters are 1 to {max(CHAPTERS)}; smelt book list names all"
    names = f"; smelt book list --chapter {chapter} names those of chapter {chapter}"
    if beginning[0] == wanted:
        return f"{names}, smelt book run {chapter} runs them"
    numbers = [one.number for one in entries(chapter)]
    near = difflib.get_close_matches(wanted, numbers, n=4, cutoff=0.6)
    return f"; nearest: {', '.join(near)}{names}" if near else names


def run(number: str, seed: int = 0, data: Path | None = None) -> Page:
    """Runs an entry and returns its page.

    Args:
        number: of the entry.
        seed: given to `smelt.manual_seed` first, so that no entry depends on those before it.
        data: the folder to look for data sets in.

    Raises:
        ArgumentError: there is no such entry, or it claims nothing.
    """
    chosen = find(number)
    page = Page(chosen.number, seed, data)
    fill(chosen, page)
    return page


def fill(chosen: Entry, page: Page) -> None:
    """Runs an entry on a page; what it raises leaves on the page what was there before."""
    smelt.manual_seed(page.seed)
    chosen.function(page)
    if not page.claims:
        raise ArgumentError(f"{chosen.number}: an entry must claim something that it has checked")


def short(thing: object) -> str:
    """Returns one line of text: floats with six digits, arrays and tensors as lists."""
    if isinstance(thing, (smelt.Tensor, np.ndarray)):
        thing = thing.tolist()
    if isinstance(thing, (float, np.floating)):
        return f"{thing:.6g}"
    if isinstance(thing, (list, tuple)):
        inside = ", ".join(short(one) for one in thing)
        return f"[{inside}]" if isinstance(thing, list) else f"({inside})"
    return " ".join(str(thing).split())


def _load(chapter: int | None) -> None:
    """Imports a chapter, or all: their modules register the entries."""
    for found in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if found.ispkg and found.name.startswith(f"chapter{chapter or ''}"):
            importlib.import_module(f"smelt.book.{found.name}")


def _order(one: Entry) -> tuple[int, int, tuple[str | int, ...]]:
    rest = one.number[3:]
    natural = tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", rest))
    return one.chapter, list(KINDS).index(one.number[0]), natural
