"""smelt draw: a web page on which a trained network reads what one draws."""

from __future__ import annotations

from pathlib import Path

from smelt.atomic import write_bytes
from smelt.cli.report import checked_page
from smelt.errors import FileError
from smelt.recipes import digits, drawing_page
from smelt.train import read_config, read_model

__all__ = ["draw"]


def draw(run: Path, /, *, out: Path | None = None) -> int:
    """Write a web page on which a network reads digits that you draw, and learns your hand.

    The page is one file, which needs no server and no network: the network is in it, as
    WebAssembly.

    Args:
        run: folder that `smelt train digits` made
        out: the page (default: draw.html in the folder)
    """
    recipe = read_config(run).get("recipe")
    if recipe != "digits":
        held = f"a run of {recipe!r}" if recipe else "a run of train.fit"
        raise FileError(f"{run}: holds {held}; smelt draw works for runs of 'digits' only")
    page = checked_page(run / "draw.html" if out is None else out)
    model = digits.make_model()
    read_model(run, model)
    write_bytes(page, drawing_page(model).encode())
    print(f"page: {page}")
    return 0
