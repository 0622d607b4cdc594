"""The program text of an entry."""

from __future__ import annotations

from smelt.book.entry import _ALL, Page, entry
from smelt.book.source import classified, program

BASE = 3  # needed by a helper

# this one is needed too
SCALE = {
    "two": 2,
}
UNUSED = 7


def helper(x: int) -> int:
    """Returns more."""
    return BASE + x


def unused_helper() -> int:
    return UNUSED


@entry("E9.1", "A program of this test")
def shown(page: Page) -> None:
    """This text stands above the program, not in it.

    Nor does this.
    """
    page.print(helper(1) * SCALE["two"])  # why
    page.claim("printed", 8, page.printed, page.printed == "8\n")


SHOWN = _ALL.pop("E9.1")  # the book has no such number

EXPECTED = '''from smelt.book.entry import _ALL, Page, entry

BASE = 3  # needed by a helper

# this one is needed too
SCALE = {
    "two": 2,
}


def helper(x: int) -> int:
    """Returns more."""
    return BASE + x


@entry("E9.1", "A program of this test")
def shown(page: Page) -> None:
    page.print(helper(1) * SCALE["two"])  # why
    page.claim("printed", 8, page.printed, page.printed == "8\\n")
'''


def test_a_program_holds_all_that_it_needs_and_nothing_else() -> None:
    assert program(SHOWN) == EXPECTED


def test_pieces_of_a_program_are_told_apart_and_make_the_whole() -> None:
    text = 'def f(x):  # why\n    """Two\n    lines."""\n    return len(x) + 1.5\n'
    pieces = list(classified(text))
    assert "".join(piece for _, piece in pieces) == text
    assert [(kind, piece) for kind, piece in pieces if kind] == [
        ("keyword", "def"),
        ("comment", "# why"),
        ("string", '"""Two\n    lines."""'),
        ("keyword", "return"),
        ("builtin", "len"),
        ("number", "1.5"),
    ]


def test_letters_of_other_alphabets_keep_their_places() -> None:
    text = 'σ = "ünï" + 1\nif σ:\n    pass\n'
    pieces = list(classified(text))
    assert "".join(piece for _, piece in pieces) == text
    assert ("string", '"ünï"') in pieces
    assert ("keyword", "if") in pieces
