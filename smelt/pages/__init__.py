"""Web pages that need no script, no network and no other file: templates, and figures for them.

Every value that a template shows is escaped by jinja2; a page forbids the browser to run or fetch
anything, so that whatever a run folder holds, reading its report is safe. One page is a program: it
reads digits that are drawn on it (`draw.html`); it runs its own script, and fetches nothing either.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt import plot
from smelt.errors import MissingExtra
from smelt.plot.dark import DARK_PAPER, dark_pixels, holds_pixels, with_dark_colors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PIXELS", "Picture", "drawn", "markup", "pictured", "pixels", "render", "require"]

LARGE = 150_000  # bytes: a figure that is longer as SVG is shown as PNG
PIXELS = 96  # an inch of a figure on a page


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture within a page.

    Attributes:
        address: all of it, as an address "data:...".
        description: for who cannot see it.
        width: in pixels of the page.
        caption: below it; none where it is empty.
        is_paper: whether it stays white on a dark page.
        dark_address: what stands in its place on a dark page; the same where it is empty.
    """

    address: str
    description: str
    width: int
    caption: str = ""
    is_paper: bool = False
    dark_address: str = ""


def require(figures: bool = True) -> None:
    """Says at once whether pages can be made.

    Args:
        figures: whether they show figures.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    _environment()
    if figures:
        plot.require()


def render(template: str, **values: Any) -> str:
    """Returns a page.

    Args:
        template: a file of `smelt/pages/templates`.
        values: what it shows.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    return _environment().get_template(template).render(dark_paper=DARK_PAPER, **values)


def markup(html: str) -> Any:
    """Returns HTML that a template shows as it is; every text within it must be escaped already."""
    import markupsafe  # of jinja2

    return markupsafe.Markup(html)


@cache
def _environment() -> Any:
    try:
        import jinja2
    except ImportError:
        raise MissingExtra("making a web page", "report") from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("smelt.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["words"] = lambda name: str(name).replace("_", " ")
    return environment


def pictured(figure: Figure, description: str, caption: str = "") -> Picture:
    """Returns a figure as a picture, dark on a dark page unless it holds pixels of its own.

    Args:
        figure: of `smelt.plot`.
        description: for who cannot see it.
        caption: below it.
    """
    plot.require()
    from matplotlib.text import Text

    for text in figure.findobj(Text):  # a name with two dollars in it is no formula
        text.set_parse_math(False)
    width = round(figure.get_figwidth() * PIXELS)
    svg = plot.to_svg(figure)
    return drawn(svg, lambda: plot.to_png(figure), width, description, caption)


def drawn(
    svg: str, png: Callable[[], bytes], width: int, description: str, caption: str = ""
) -> Picture:
    """Returns a drawing as a picture: its shapes, or its pixels where there are very many shapes.

    Args:
        svg: the drawing as matplotlib writes it.
        png: gives its pixels.
        width: in pixels of the page.
        description: for who cannot see it.
        caption: below it.
    """
    if len(svg) > LARGE:
        content, is_paper = png(), holds_pixels(svg)
        dark = "" if is_paper else _address("png", dark_pixels(content))
        return Picture(_address("png", content), description, width, caption, is_paper, dark)
    adapted = with_dark_colors(svg)
    address = _address("svg+xml", adapted.encode())
    return Picture(address, description, width, caption, adapted is svg)


def pixels(values: np.ndarray, description: str, size: int = 96) -> Picture:
    """Returns an image, one pixel a number, as a picture.

    Args:
        values: (height, width) for gray from the lowest number to the highest, or (height, width,
            3) for colors, likewise.
        description: for who cannot see it.
        size: how wide it is shown.
    """
    plot.require()
    from matplotlib.image import imsave

    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    scaled = np.nan_to_num((values.astype(np.float64) - low) / ((high - low) or 1.0))
    stream = io.BytesIO()
    imsave(stream, np.clip(scaled, 0, 1), format="png", cmap="gray", vmin=0, vmax=1)
    return Picture(_address("png", stream.getvalue()), description, size, is_paper=True)


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
