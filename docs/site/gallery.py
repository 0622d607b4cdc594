"""Draws the figures of the book, and writes the page that shows them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from smelt.book.entry import CHAPTERS, Entry, entries
from smelt.book.runner import Outcome, State, run_entry

__all__ = ["write"]

HEAD = """# Gallery

The figures of the book *Deep Learning with Rust*, drawn by Smelt as this page was built. Each is
one short function in `smelt/book/`, and one command:

```sh
smelt book show F2.3    # the program
smelt book run F2.3     # the figure, as PNG and SVG
```

The page on [figures](../figures.md) describes the functions that draw them.
"""


def write(folder: Path) -> None:
    """Draws all figures into a folder, together with the page `index.md`.

    Raises:
        RuntimeError: a figure could not be drawn.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    lines = [HEAD]
    for number, title in CHAPTERS.items():
        figures = [entry for entry in entries(number) if entry.kind == "figure"]
        if figures:
            lines.append(f"## {number}. {title}\n")
        for figure in figures:
            lines += _shown(figure, run_entry(figure, folder))
    (folder / "index.md").write_text("\n".join(lines), "utf-8")


def _shown(figure: Entry, outcome: Outcome) -> Iterator[str]:
    title = figure.title.removesuffix(" (figure)")
    yield f"### {figure.number}: {title}\n"
    yield f"{figure.text}\n"
    if outcome.state is State.NEEDS_DATA:
        yield f"Not drawn when this page was built:\n\n```text\n{outcome.error}\n```\n"
        return
    # claims are the tests' business: some are about time, and a busy machine fails them
    if outcome.state not in (State.HOLDS, State.FAILS):
        raise RuntimeError(f"{figure.number} {outcome.state}: {outcome.error}")
    for path in outcome.files.values():
        yield f"![{title}]({path.name})\n"
