"""Results of entries as one web page that needs no script, no network and no other file."""

from __future__ import annotations

import html
import platform
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import smelt
from smelt.book.entry import CHAPTERS, Answer, Claim, Drawing, Part, Printed, Table
from smelt.book.runner import Outcome, State
from smelt.book.source import classified, program
from smelt.book.text import summary
from smelt.pages import PIXELS, Picture, drawn, markup, render

__all__ = ["make_page"]

NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]\d+)?( ?(%|x|s|ms|us))?")
SHORT = 14  # characters of a value that stay on one line
MARKS = {
    State.HOLDS: "✓",
    State.FAILS: "✗",
    State.RAISED: "!",
    State.NEEDS_DATA: "?",
    State.NEEDS_EXTRA: "?",
}


def make_page(outcomes: Sequence[Outcome]) -> str:
    """Returns the HTML of a page with every entry that has run: what it is, its program, its output
    and figures, and what it claims.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    chapters = sorted({outcome.entry.chapter for outcome in outcomes})
    return render(
        "book.html",
        title="Deep Learning with Rust, in Smelt",
        chapters=[
            (chapter, CHAPTERS[chapter], [one for one in outcomes if one.entry.chapter == chapter])
            for chapter in chapters
        ],
        outcomes=outcomes,
        is_good=all(outcome.state is State.HOLDS for outcome in outcomes),
        summary=summary(outcomes),
        libraries=(
            f"Smelt {smelt.__version__}, Python {platform.python_version()}, NumPy "
            f"{np.__version__}; {platform.system()} {platform.machine()}"
        ),
        marks=MARKS,
        holds=State.HOLDS,
        anchor=_anchor,
        part=_part,
        blocks=_marked,
        program=lambda outcome: classified(program(outcome.entry)),
        claims=_claims,
        is_short=lambda text: len(text) <= SHORT,
    )


def _anchor(outcome: Outcome) -> str:
    return outcome.entry.number.replace("+", "-cured")


def _part(part: Part, outcome: Outcome) -> dict[str, Any]:
    """Returns what the template shows of a part."""
    match part:
        case Printed(text):
            return {"output": text.rstrip()}
        case Table(header, rows):
            columns = list(zip(*rows, strict=True)) or [()] * len(header)
            return {"header": header, "rows": rows, "numbers": _numbers(columns)}
        case Answer(text):
            return {"answer": text}
        case Drawing():
            return {"picture": _picture(part, outcome)}


def _numbers(columns: Sequence[Sequence[str]]) -> list[int]:
    """Returns the places of the columns that hold numbers only."""
    return [
        place
        for place, column in enumerate(columns)
        if all(NUMBER.fullmatch(cell) for cell in column)
    ]


def _picture(drawing: Drawing, outcome: Outcome) -> Picture | None:
    """Returns a figure with its picture inside; nothing where it could not be drawn."""
    if not (path := outcome.files.get(drawing.name)):
        return None
    svg = path.with_name(path.stem + ".svg").read_text("utf-8")
    width = round(drawing.figure.get_figwidth() * PIXELS)
    description = drawing.caption or f"{outcome.entry.title}: {drawing.name}"
    return drawn(svg, path.read_bytes, width, description, drawing.caption)


def _claims(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, Claim]]:
    return [(outcome, claim) for outcome in outcomes for claim in outcome.page.claims]


def _marked(text: str) -> Any:
    """Returns the small markup of an entry's text as HTML, in which all else is escaped."""
    return markup("".join(_blocks(text)))


def _blocks(text: str) -> Iterator[str]:
    """Yields the HTML of paragraphs, lists ("- " before each item) and indented lines (a formula
    or a program); `code` stands between backticks.
    """
    for block in re.split(r"\n[ ]*\n", text.strip("\n")):
        lines = block.splitlines()
        if all(line.startswith("    ") for line in lines):
            yield f"<pre>{html.escape(_dedented(lines))}</pre>\n"
        elif lines and lines[0].startswith("- "):
            items = re.split(r"^- ", block, flags=re.MULTILINE)[1:]
            yield "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>\n"
        elif block.strip():
            yield f"<p>{_inline(block)}</p>\n"


def _dedented(lines: Sequence[str]) -> str:
    return "\n".join(line[4:] for line in lines)


def _inline(text: str) -> str:
    """Returns the HTML of running text, with `code` and *stress*."""
    pieces = re.split(r"`([^`]+)`", html.escape(text.strip(), quote=False))
    pieces[::2] = [re.sub(r"(?<!\S)\*(\w[^*]*)\*", r"<em>\1</em>", piece) for piece in pieces[::2]]
    pieces[1::2] = [f"<code>{piece}</code>" for piece in pieces[1::2]]
    return "".join(pieces)
