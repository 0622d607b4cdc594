"""Pictures: images, the kernels of a convolution, and the feature maps that they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.plot.cells import FEW, as_many, balanced, color_scale, diverging, draw_cells
from smelt.plot.style import as_array, grid_of, headed, new_figure, titled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["feature_maps", "images", "kernels"]


def images(
    images: Any,
    *,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    values: bool = False,
    title: str = "",
) -> Figure:
    """Returns a figure of images side by side.

    Args:
        images: (n, height, width), drawn from black to white, or (n, height, width, 3), from 0 to
            1 or as bytes.
        titles: of each image.
        columns: images in a row; chosen when None.
        values: whether each number is written into its pixel (small gray images).
        title: above the figure.

    Raises:
        ShapeError: the shapes differ from those above, or the number of titles differs.
        MissingExtra: matplotlib is not installed.
    """
    pixels = as_array("images", images, ("n", "height", "width"), ("n", "height", "width", "3"))
    as_many("images", titles, len(pixels))
    rows, columns = grid_of(len(pixels), columns)
    side = 2.6 if values else max(1.0, min(2.4, 7.2 / columns))
    figure = new_figure(side * columns + 0.2, (side + 0.3) * rows + 0.4 * bool(title))
    span = (float(pixels.min()), float(pixels.max()))
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if index >= len(pixels):
            axes.set_visible(False)
            continue
        draw_cells(axes, pixels[index], "gray", span, values)
        titled(axes, titles[index] if titles else "", fontsize=9, pad=4)
    headed(figure, title)
    return figure


def kernels(weights: Any, *, columns: int | None = None, title: str = "") -> Figure:
    """Returns a figure of a convolution's kernels: orange is positive, blue negative, white 0.

    Args:
        weights: (out, in, height, width), a row of panels for each output channel (for each
            kernel where in = 1), or (n, height, width).
        columns: panels in a row; chosen when None.
        title: above the figure.

    Raises:
        ShapeError: the shapes differ from those above.
        MissingExtra: matplotlib is not installed.
    """
    weights = as_array("kernels", weights, ("out", "in", "height", "width"), ("n", "h", "w"))
    if weights.ndim == 4:
        columns = columns or (weights.shape[1] if weights.shape[1] > 1 else None)
        weights = weights.reshape(-1, *weights.shape[2:])
    rows, columns = grid_of(len(weights), columns)
    write = max(weights.shape[1:]) <= FEW and columns <= 4 and len(weights) <= 12
    side = 1.9 if write else max(0.8, min(1.5, 7.2 / columns))
    figure = new_figure(side * columns + 0.9, side * rows + 0.4 * bool(title))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    span = balanced(weights)
    for index, axes in enumerate(panels):
        axes.set_visible(index < len(weights))
        if index < len(weights):
            shown = draw_cells(axes, weights[index], diverging(), span, write)
    color_scale(figure, shown, panels)
    headed(figure, title)
    return figure


def feature_maps(
    maps: Any,
    *,
    image: Any = None,
    names: Sequence[str] | None = None,
    columns: int | None = None,
    title: str = "",
) -> Figure:
    """Returns a figure of the feature maps of one image, next to the image itself.

    Args:
        maps: (channels, height, width).
        image: the input image, (height, width) or (height, width, 3), or None.
        names: of the channels.
        columns: panels in a row; chosen when None.
        title: above the figure.

    Raises:
        ShapeError: the shapes differ from those above, or the number of names differs.
        MissingExtra: matplotlib is not installed.
    """
    maps = as_array("feature_maps: maps", maps, ("channels", "height", "width"))
    as_many("feature_maps", names, len(maps))
    labels = list(names) if names else [f"channel {index}" for index in range(len(maps))]
    pictures: list[tuple[str, np.ndarray, str]] = []
    if image is not None:
        picture = as_array("feature_maps: image", image, ("h", "w"), ("h", "w", "3"))
        pictures = [("image", picture, "gray")]
    pictures += [(name, pixels, "viridis") for name, pixels in zip(labels, maps, strict=True)]
    rows, columns = grid_of(len(pictures), columns)
    side = max(1.1, min(2.2, 7.6 / columns))
    figure = new_figure(side * columns + 0.7, (side + 0.3) * rows + 0.4 * bool(title))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    span = (float(maps.min()), float(maps.max()))
    for axes in panels[len(pictures) :]:
        axes.set_visible(False)
    for axes, (name, picture, colors) in zip(panels, pictures, strict=False):
        gray = colors == "gray"
        limits = (float(picture.min()), float(picture.max())) if gray else span
        shown = draw_cells(axes, picture, colors, limits, False)
        titled(axes, name, fontsize=9, pad=4)
    color_scale(figure, shown, panels)
    headed(figure, title)
    return figure
