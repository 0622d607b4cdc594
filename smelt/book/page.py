"""Results of entries as one web page that needs no script, no network and no other file."""

from __future__ import annotations

import base64
import html
import platform
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import smelt
from smelt.book.entry import CHAPTERS, Answer, Claim, Drawing, Part, Printed, Table
from smelt.book.runner import Outcome, State
from smelt.book.source import classified, program
from smelt.book.text import summary

__all__ = ["make_page"]

STYLE = Path(__file__).with_name("page.css")
LARGE = 150_000  # bytes: a figure that is longer as SVG is shown as PNG
NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]\d+)?( ?(%|x|s|ms|us))?")
SHORT = 14  # characters of a value that stay on one line
PIXELS = 96  # an inch of a figure on the page
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
    """
    chapters = sorted({outcome.entry.chapter for outcome in outcomes})
    groups = {
        chapter: [one for one in outcomes if one.entry.chapter == chapter] for chapter in chapters
    }
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Deep Learning with Rust, in Smelt</title>
<style>
{STYLE.read_text("utf-8")}</style>
</head>
<body id="top">
{_head(outcomes)}
<nav aria-label="Contents">
<p class="brand"><a href="#top">Smelt</a></p>
{"".join(_contents(chapter, group) for chapter, group in groups.items())}
<p class="all"><a href="#claims">All claims</a></p>
</nav>
<main>
{"".join(_chapter(chapter, group) for chapter, group in groups.items())}
{_all_claims(outcomes)}
</main>
</body>
</html>
"""


def _head(outcomes: Sequence[Outcome]) -> str:
    libraries = f"Smelt {smelt.__version__}, Python {platform.python_version()}"
    machine = f"{platform.system()} {platform.machine()}"
    good = all(outcome.state is State.HOLDS for outcome in outcomes)
    return f"""<header>
<p class="over">The programs, figures, tables and problems of</p>
<h1>Deep Learning with Rust</h1>
<p class="under">run in Smelt, with the book's data and settings</p>
<p class="{"good" if good else "bad"} summary">{html.escape(summary(outcomes))}</p>
<p class="facts">{libraries}, NumPy {np.__version__}; {machine}</p>
</header>"""


def _contents(chapter: int, group: Sequence[Outcome]) -> str:
    items = "".join(
        f'<li><a href="#{_anchor(one)}"><b>{one.entry.number}</b> '
        f"{html.escape(one.entry.title)}{_flag(one)}</a></li>\n"
        for one in group
    )
    opened = " open" if any(one.state is not State.HOLDS for one in group) else ""
    return f"""<details{opened}>
<summary>{chapter} {CHAPTERS[chapter]}</summary>
<ol>
{items}</ol>
</details>
"""


def _flag(outcome: Outcome) -> str:
    """Returns a mark for the contents where something is not as it should be."""
    if outcome.state is State.HOLDS:
        return ""
    return f' <span class="flag">{MARKS[outcome.state]} {outcome.state}</span>'


def _anchor(outcome: Outcome) -> str:
    return outcome.entry.number.replace("+", "-cured")


def _chapter(chapter: int, group: Sequence[Outcome]) -> str:
    entries = "".join(_entry(outcome) for outcome in group)
    return f"""<section>
<h2 id="chapter{chapter}"><span>Chapter {chapter}</span> {CHAPTERS[chapter]}</h2>
{entries}</section>
"""


def _entry(outcome: Outcome) -> str:
    entry = outcome.entry
    parts = "".join(_part(part, outcome) for part in outcome.page.parts)
    error = f'<pre class="error">{html.escape(outcome.error)}</pre>\n' if outcome.error else ""
    return f"""<article id="{_anchor(outcome)}">
<h3><span class="number">{entry.number}</span> {html.escape(entry.title)}
<span class="state {outcome.state.name.lower()}">{MARKS[outcome.state]} {outcome.state}</span></h3>
<p class="facts">{entry.kind}, {outcome.seconds:.2f} s</p>
{"".join(_blocks(entry.text))}{parts}{error}{_claims(outcome.page.claims)}{_source(outcome)}</article>
"""


def _source(outcome: Outcome) -> str:
    pieces = "".join(
        f'<span class="{kind}">{html.escape(text)}</span>' if kind else html.escape(text)
        for kind, text in classified(program(outcome.entry))
    )
    return f"""<details class="program">
<summary>Program</summary>
<pre><code>{pieces}</code></pre>
</details>
"""


def _part(part: Part, outcome: Outcome) -> str:
    match part:
        case Printed(text):
            return f'<pre class="output">{html.escape(text.rstrip())}</pre>\n'
        case Table(header, rows):
            return _table(header, [[html.escape(cell) for cell in row] for row in rows])
        case Answer(text):
            return f'<div class="answer">{"".join(_blocks(text))}</div>\n'
        case Drawing():
            return _picture(part, outcome)


def _picture(drawing: Drawing, outcome: Outcome) -> str:
    """Returns a figure with its picture inside; nothing where it could not be drawn."""
    if not (path := outcome.files.get(drawing.name)):
        return ""
    vector = path.with_name(path.stem + ".svg")
    small = vector.stat().st_size <= LARGE
    kind = "svg+xml" if small else "png"
    content = base64.b64encode((vector if small else path).read_bytes()).decode()
    width = round(drawing.figure.get_figwidth() * PIXELS)
    description = html.escape(drawing.caption or f"{outcome.entry.title}: {drawing.name}")
    caption = f"<figcaption>{html.escape(drawing.caption)}</figcaption>" if drawing.caption else ""
    return (
        f'<figure><img src="data:image/{kind};base64,{content}" width="{width}" '
        f'alt="{description}">{caption}</figure>\n'
    )


def _claims(claims: Sequence[Claim]) -> str:
    if not claims:
        return ""
    rows = [
        [
            f'<span class="{"yes" if claim.holds else "no"}">{"✓" if claim.holds else "✗"}</span>',
            html.escape(claim.statement),
            _value(claim.expected),
            _value(claim.got),
        ]
        for claim in claims
    ]
    return _table(["", "claim", "expected", "got"], rows, "claims")


def _all_claims(outcomes: Sequence[Outcome]) -> str:
    rows = []
    for one in outcomes:
        link = f'<a href="#{_anchor(one)}">{one.entry.number}</a>'
        for claim in one.page.claims:
            mark = '<span class="yes">✓</span>' if claim.holds else '<span class="no">✗</span>'
            values = (_value(claim.expected), _value(claim.got))
            seconds = f"{one.seconds:.2f}"
            rows.append([link, html.escape(claim.statement), *values, mark, seconds])
        if one.error:
            reason = html.escape(one.error.strip().splitlines()[-1])
            rows.append([link, reason, "", "", f'<span class="no">{one.state}</span>', ""])
    header = ["entry", "claim", "expected", "got", "holds", "seconds"]
    return f'<section id="claims">\n<h2>All claims</h2>\n{_table(header, rows, "claims")}</section>'


def _value(text: str) -> str:
    """Returns what was expected or came out; a short one is not broken into lines."""
    text = html.escape(text)
    return f'<span class="whole">{text}</span>' if len(text) <= SHORT else text


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], name: str = "") -> str:
    """Returns a table of cells that are HTML already; it scrolls sideways where it is too wide."""
    kinds = [_column_kind(column) for column in zip(*rows, strict=True)] or [""] * len(header)
    head = "".join(
        f"<th{kind}>{html.escape(cell)}</th>" for kind, cell in zip(kinds, header, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True))
        + "</tr>\n"
        for row in rows
    )
    return f"""<div class="scroll"><table class="{name}"><thead><tr>{head}</tr></thead>
<tbody>
{body}</tbody></table></div>
"""


def _column_kind(column: Sequence[str]) -> str:
    """Returns the attribute that sets a column of numbers to the right."""
    return ' class="figure"' if all(NUMBER.fullmatch(cell) for cell in column) else ""


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
