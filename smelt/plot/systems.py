"""Diagrams of parts that work on, with or against each other: a GAN, a Transformer's block,
threads that wait for each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from smelt.errors import ArgumentError
from smelt.plot.diagram import Diagram, Place
from smelt.plot.style import BLUE, COLORS, GRAY, ORANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["deadlock", "gan", "transformer_block"]

GREEN, PURPLE = COLORS[2], COLORS[3]
LEVEL = 0.75  # height at which a Transformer's parts stand


def gan(*, title: str = "") -> Figure:
    """Returns a diagram of a GAN: the generator, the discriminator, and what each learns from.

    Args:
        title: above the diagram.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    diagram = Diagram(7.6, 3.1, title)
    noise = diagram.box(0.85, 1.3, "noise z", color=GRAY, width=1.1)
    generator = diagram.box(2.55, 1.3, "generator\nG", color=ORANGE, height=0.7)
    fake = diagram.box(4.2, 1.3, "G(z)", color=ORANGE, width=0.9)
    real = diagram.box(4.2, 2.5, "data x", color=GREEN, width=0.9)
    judge = diagram.box(5.75, 1.9, "discriminator\nD", width=1.2, height=0.8)
    verdict = diagram.box(7.05, 1.9, "real?", width=0.8, color=PURPLE)
    diagram.arrow(noise.right, generator.left)
    diagram.arrow(generator.right, fake.left)
    for sample, side in ((real, 0.2), (fake, -0.2)):
        diagram.arrow(sample.right, (judge.left[0], judge.y + side))
    diagram.arrow(judge.right, verdict.left)
    diagram.path([verdict.top, (7.05, 2.75), (5.75, 2.75), judge.top], color=BLUE, dashed=True)
    diagram.text(6.4, 2.89, "D learns to tell them apart", size=8, color=BLUE)
    back = [verdict.bottom, (7.05, 0.55), (2.55, 0.55), generator.bottom]
    diagram.path(back, color=ORANGE, dashed=True)
    diagram.text(4.8, 0.39, "G learns to be taken for data", size=8, color=ORANGE)
    return diagram.figure


def transformer_block(*, norm_first: bool = True, title: str = "") -> Figure:
    """Returns a diagram of a Transformer's encoder layer with its residual links.

    Args:
        norm_first: whether the layer norms are before attention and feed-forward (pre-norm), as in
            the book, or after each sum (post-norm).
        title: above the diagram.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    norm, plus = ("layer\nnorm", GRAY), ("+", PURPLE)
    sublayers = (("multi-head\nattention", BLUE), ("feed-\nforward", ORANGE))
    halves = [[norm, map_, plus] if norm_first else [map_, plus, norm] for map_ in sublayers]
    diagram = Diagram(7.9, 1.9, title)
    diagram.text(0.2, LEVEL, "X", size=10)
    here = Place(0.3, LEVEL, 0, 0)
    for half in halves:
        here = _residual(diagram, here, half)
    diagram.arrow(here.right, (here.right[0] + 0.4, LEVEL))
    diagram.text(here.right[0] + 0.52, LEVEL, "Y", size=10)
    return diagram.figure


def _residual(diagram: Diagram, before: Place, sublayers: Sequence[tuple[str, str]]) -> Place:
    """Draws parts in a row, and the link that leads around them to the sum; returns the last."""
    split = before.right[0] + 0.16
    here = before
    for text, color in sublayers:
        edge = here.right[0] + 0.33
        if text == "+":
            box = diagram.circle(edge + 0.18, LEVEL, "+", radius=0.18, color=color)
            diagram.path([(split, LEVEL), (split, 1.5), (box.x, 1.5), box.top], color=color)
        else:
            width = 1.1 if "att" in text else 0.8
            box = diagram.box(edge + width / 2, LEVEL, text, width=width, height=0.62, color=color)
        diagram.arrow(here.right, box.left)
        here = box
    return here


def deadlock(threads: Sequence[str] = ("A", "B", "C"), *, title: str = "") -> Figure:
    """Returns a diagram of threads in a circle, each waiting for what the next one holds.

    Args:
        threads: their names, two or more.
        title: above the diagram.

    Raises:
        ArgumentError: fewer than two threads.
        MissingExtra: matplotlib is not installed.
    """
    count = len(threads)
    if count < 2:
        raise ArgumentError(f"deadlock: {count} thread has no other to wait for")
    angles = np.pi / 2 - 2 * np.pi * np.arange(count) / count
    positions = np.stack([1.7 * np.cos(angles), 1.25 * np.sin(angles)], axis=1)
    positions += (2.6, 0.5) - positions.min(axis=0) * (0, 1)
    diagram = Diagram(5.2, positions[:, 1].max() + 0.5, title)
    bow = 0.2 if count == 2 else 0.0  # else the two arrows would be one
    for index, (name, (x, y)) in enumerate(zip(threads, positions, strict=True)):
        diagram.box(x, y, f"thread {name}\nholds lock {index + 1}", width=1.25, height=0.62)
        start, end = positions[index], positions[(index + 1) % count]
        along = (end - start) / np.linalg.norm(end - start)
        gap = 0.34 + 0.36 * abs(along[0])
        ends = tuple(start + gap * along), tuple(end - gap * along)
        diagram.arrow(*ends, color=ORANGE, bend=-bow)
        outward = np.array([-along[1], along[0]])  # the circle runs clockwise
        middle = (start + end) / 2 + (0.16 + bow) * outward
        align = "center" if abs(outward[0]) < 0.3 else "left" if outward[0] > 0 else "right"
        text = f"waits for lock {(index + 1) % count + 1}"
        diagram.text(middle[0], middle[1], text, size=8, color=ORANGE, align=align)
    return diagram.figure
