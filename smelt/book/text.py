"""Results of entries for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from smelt.book.entry import Answer, Claim, Drawing, Part, Printed, Table
from smelt.book.runner import Outcome, State

__all__ = ["CLAIM_HEADER", "claim_rows", "columns", "page_text", "summary"]

CLAIM_HEADER = ("entry", "claim", "expected", "got", "holds", "seconds")
SHORTEST = 8  # characters that a shortened column keeps


def page_text(outcome: Outcome) -> str:
    """Returns all that an entry put on its page, and its claims."""
    pieces = [f"{outcome.entry.number}  {outcome.entry.title}", ""]
    pieces += [_part_text(part, outcome) for part in outcome.page.parts]
    if outcome.error:
        pieces.append(f"{outcome.state}: {outcome.error}")
    pieces += [_claim_text(claim) for claim in outcome.page.claims]
    return "\n".join(piece.rstrip("\n") for piece in pieces)


def _part_text(part: Part, outcome: Outcome) -> str:
    match part:
        case Printed(text):
            return text
        case Table(header, rows):
            return "\n".join(columns([header, *rows])) + "\n"
        case Drawing(name):
            return f"figure: {outcome.files.get(name, 'not drawn')}\n"
        case Answer(text):
            return f"{text}\n"


def _claim_text(claim: Claim) -> str:
    verdict = "holds" if claim.holds else "FAILS"
    return f"{verdict}: {claim.statement}: expected {claim.expected}, got {claim.got}"


def claim_rows(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Yields a row for each claim, and one for each entry that raised."""
    for outcome in outcomes:
        number, seconds = outcome.entry.number, f"{outcome.seconds:.2f}"
        for claim in outcome.page.claims:
            verdict = "yes" if claim.holds else "NO"
            yield number, claim.statement, claim.expected, claim.got, verdict, seconds
            seconds = ""
        if outcome.error:
            reason = outcome.error.strip().splitlines()[-1]
            yield number, reason, "", "", str(outcome.state), seconds


def columns(rows: Sequence[Sequence[str]], width: int | None = None) -> Iterator[str]:
    """Yields rows as lines of aligned columns; of `width` characters at most, where one is given,
    by shortening the widest cells.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    while width and sum(widths) + 2 * len(widths) > width and max(widths) > SHORTEST:
        widths[widths.index(max(widths))] -= 1
    for row in rows:
        cells = [_fitted(cell, size) for cell, size in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()


def _fitted(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else cell[: width - 1] + "…"


def summary(outcomes: Sequence[Outcome]) -> str:
    """Returns one line: how many entries and claims, what fails, how long it took."""
    claims = [claim for outcome in outcomes for claim in outcome.page.claims]
    held = sum(claim.holds for claim in claims)
    entries = "1 entry" if len(outcomes) == 1 else f"{len(outcomes)} entries"
    parts = [entries, f"{held} of {len(claims)} claims hold"]
    for state in (State.FAILS, State.RAISED, State.NEEDS_DATA, State.NEEDS_EXTRA):
        numbers = [outcome.entry.number for outcome in outcomes if outcome.state is state]
        if numbers:
            parts.append(f"{state}: {', '.join(numbers)}")
    seconds = sum(outcome.seconds for outcome in outcomes)
    return "; ".join(parts) + f"; {seconds:.1f} s"
