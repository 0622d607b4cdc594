"""Diagrams of networks without time: layers of units, a perceptron, a row of blocks."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from smelt.errors import ArgumentError
from smelt.nn.explain import explain
from smelt.nn.module import Module
from smelt.plot.diagram import Diagram, Place
from smelt.plot.style import BLUE, COLORS, GRAY, INK, ORANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["architecture", "network", "perceptron", "pipeline"]

GREEN = COLORS[2]
SHOWN = 8  # units of a layer that are drawn before it is abridged
ROW = 5  # blocks beside each other
JOINED = "\N{NO-BREAK SPACE}x\N{NO-BREAK SPACE}"  # 3 x 3 stays on one line


def network(
    sizes: Sequence[int] = (3, 4, 1), *, names: Sequence[str] | None = None, title: str = ""
) -> Figure:
    """Returns a diagram of a feed-forward network: a circle for each unit, a line for each weight.

    Args:
        sizes: units of each layer, the inputs first; of more than 8 only some are drawn.
        names: of the layers; input, hidden, ..., output when None.
        title: above the diagram.

    Raises:
        ArgumentError: fewer than two layers, a layer without units, or a wrong number of names.
        MissingExtra: matplotlib is not installed.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ArgumentError(f"network: sizes {tuple(sizes)} must be two or more, each above 0")
    names = names or ["input", *["hidden"] * (len(sizes) - 2), "output"]
    if len(names) != len(sizes):
        raise ArgumentError(f"network: {len(names)} names for {len(sizes)} layers")
    shown = [min(size, SHOWN) for size in sizes]
    height = 0.5 * max(shown) + 0.9
    diagram = Diagram(1.2 + 1.9 * (len(sizes) - 1) + 0.6, height, title)
    middle = (height + 0.5) / 2
    columns = [
        _layer(diagram, 0.9 + 1.9 * index, middle, size, _shade(index, len(sizes)))
        for index, size in enumerate(sizes)
    ]
    for layer, following in pairwise(columns):
        for unit in layer:
            for target in following:
                diagram.line((unit.x, unit.y), (target.x, target.y), color="#b9c2cc", width=0.7)
    for column, size, name in zip(columns, sizes, names, strict=True):
        diagram.text(column[0].x, 0.42, name, bold=True)
        diagram.text(column[0].x, 0.2, f"{size:,}", size=8, color=GRAY)
    return diagram.figure


def _shade(index: int, count: int) -> str:
    return GREEN if index == 0 else ORANGE if index == count - 1 else BLUE


def _layer(diagram: Diagram, x: float, middle: float, size: int, color: str) -> list[Place]:
    """Draws a layer; one that is too large gets three dots in place of what is left out."""
    indices = range(min(size, SHOWN))
    heights = [middle + 0.5 * ((len(indices) - 1) / 2 - index) for index in indices]
    if size > SHOWN:
        diagram.text(x, heights.pop(SHOWN // 2), "⋮", size=14, color=GRAY)
    return [diagram.circle(x, y, radius=0.18, color=color) for y in heights]


def perceptron(inputs: int = 3, *, activation: str = "step", title: str = "") -> Figure:
    """Returns a diagram of one unit: weighted inputs and a bias are added, and activated.

    Args:
        inputs: number of inputs.
        activation: its name.
        title: above the diagram.

    Raises:
        ArgumentError: there are no inputs, or more than 8.
        MissingExtra: matplotlib is not installed.
    """
    if not 1 <= inputs <= SHOWN:
        raise ArgumentError(f"perceptron: inputs must be 1 to {SHOWN}, got {inputs}")
    height = 0.75 * max(inputs, 3) + 1.0
    diagram = Diagram(6.6, height, title)
    middle = height / 2 + 0.2
    total = diagram.circle(2.7, middle, "+", radius=0.28, color=BLUE)
    unit = diagram.box(4.4, middle, activation, color=ORANGE)
    for index in range(inputs):
        y = middle + 0.75 * ((inputs - 1) / 2 - index)
        source = diagram.circle(0.6, y, f"$x_{index + 1}$", color=GREEN)
        slope = (y - middle) / 2.1
        start, end = (source.right[0], y - 0.22 * slope), (2.43, middle + 0.27 * slope)
        diagram.arrow(start, end)
        share = 0.4
        label = (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
        diagram.text(label[0], label[1] + 0.14, f"$w_{index + 1}$", color=GRAY)
    bias = diagram.circle(2.7, middle - 0.95, "b", color=GRAY)
    diagram.arrow(bias.top, total.bottom)
    diagram.arrow(total.right, unit.left, "z")
    diagram.arrow(unit.right, (5.9, middle))
    diagram.text(6.1, middle, "y", size=10)
    sums = " + ".join(f"w_{index + 1} x_{index + 1}" for index in range(inputs))
    diagram.text(3.3, 0.22, f"$y = \\mathrm{{{activation}}}({sums} + b)$", size=10, color=INK)
    return diagram.figure


def pipeline(blocks: Sequence[tuple[str, str]], *, title: str = "") -> Figure:
    """Returns a diagram of blocks in a row, each with a note below it: the shape it makes.

    Args:
        blocks: a name and a note for each, in order; after five a new row begins.
        title: above the diagram.

    Raises:
        ArgumentError: there are no blocks.
        MissingExtra: matplotlib is not installed.
    """
    if not blocks:
        raise ArgumentError("pipeline: there are no blocks to draw")
    rows = -(-len(blocks) // ROW)
    columns = -(-len(blocks) // rows)
    step, fall = 1.55, 1.25
    diagram = Diagram(step * columns + 0.2, fall * rows, title)
    boxes = []
    for index, (name, note) in enumerate(blocks):
        row, column = divmod(index, columns)
        color = GREEN if index == 0 else ORANGE if index == len(blocks) - 1 else BLUE
        x, y = 0.87 + step * column, fall * (rows - row) - 0.5
        wrapped = "\n".join(textwrap.wrap(name.replace(" x ", JOINED), 14))
        boxes.append(diagram.box(x, y, wrapped, color=color, note=note))
    for before, after in pairwise(boxes):
        if before.y == after.y:
            diagram.arrow(before.right, after.left)
        else:
            turn = after.top[1] + 0.17
            side = before.right[0] + 0.12
            corners = [(side, before.y), (side, turn), (after.x, turn)]
            diagram.path([before.right, *corners, after.top])
    return diagram.figure


def architecture(model: Module, *inputs: Any, title: str = "") -> Figure:
    """Returns a diagram of the path of one input through a network, with all shapes.

    Args:
        model: the network; it runs once, in evaluation mode.
        inputs: its arguments.
        title: above the diagram.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    explanation = explain(model, *inputs)
    blocks = [("input", explanation.root.input)]
    blocks += [(call.kind, call.output) for call in explanation.layers]
    return pipeline(blocks, title=title)
