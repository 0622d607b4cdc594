"""Diagrams of networks along time: recurrences unrolled, encoder and decoder, the LSTM cell."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from smelt.errors import ArgumentError
from smelt.plot.diagram import Diagram, Place
from smelt.plot.style import BLUE, COLORS, GRAY, ORANGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["encoder_decoder", "lstm_cell", "unrolled"]

GREEN = COLORS[2]
STEP = 1.45  # inches from one cell to the next
LSTM_FORMULAS = (
    r"$f = \sigma(W_f x + U_f h + b_f)\quad i = \sigma(W_i x + U_i h + b_i)\quad "
    r"\tilde{c} = \tanh(W_c x + U_c h + b_c)$",
    r"$c(t) = f \cdot c(t-1) + i \cdot \tilde{c}\qquad o = \sigma(W_o x + U_o h + b_o)\qquad "
    r"h(t) = o \cdot \tanh c(t)$",
)


def unrolled(
    steps: int = 3,
    *,
    inputs: Collection[int] | None = None,
    outputs: Collection[int] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    cell: str = "RNN",
    title: str = "",
) -> Figure:
    """Returns a diagram of a recurrent network, the same cell once for each step of time.

    Args:
        steps: number of steps.
        inputs: the steps, from 0, that have an input; all when None (one-to-many: [0]).
        outputs: the steps that have an output; all when None (many-to-one: [steps - 1]).
        input_names: of the inputs in order; x(1), ... when None.
        output_names: of the outputs in order; y(1), ... when None.
        cell: what is written in each cell.
        title: above the diagram.

    Raises:
        ArgumentError: no steps, a step that does not exist, or a wrong number of names.
        MissingExtra: matplotlib is not installed.
    """
    if steps < 1:
        raise ArgumentError(f"unrolled: steps must be 1 or more, got {steps}")
    below = _labels("inputs", inputs, input_names, "x", steps)
    above = _labels("outputs", outputs, output_names, "y", steps)
    diagram = Diagram(STEP * steps + 1.1, 2.75, title)
    before = diagram.circle(0.42, 1.37, "h(0)", radius=0.27, color=GRAY)
    for step in range(steps):
        x = 1.5 + STEP * step
        here = diagram.box(x, 1.37, cell, width=0.85, height=0.6)
        diagram.arrow(before.right, here.left, f"h({step})" if step else "")
        _terminals(diagram, here, below.get(step), above.get(step))
        before = here
    return diagram.figure


def _terminals(diagram: Diagram, cell: Place, below: str | None, above: str | None) -> None:
    """Draws what goes into a cell from below, and what comes out of it above."""
    if below is not None:
        source = diagram.box(cell.x, 0.4, below, width=1.05, height=0.38, color=GREEN)
        diagram.arrow(source.top, cell.bottom)
    if above is not None:
        sink = diagram.box(cell.x, 2.35, above, width=1.05, height=0.38, color=ORANGE)
        diagram.arrow(cell.top, sink.bottom)


def _labels(
    what: str,
    steps: Collection[int] | None,
    names: Sequence[str] | None,
    letter: str,
    count: int,
) -> dict[int, str]:
    chosen = range(count) if steps is None else sorted(steps)
    if wrong := [index for index in chosen if not 0 <= index < count]:
        raise ArgumentError(f"unrolled: {what} names step {wrong[0]} of 0 to {count - 1}")
    names = [f"{letter}({index + 1})" for index in chosen] if names is None else names
    if len(names) != len(chosen):
        raise ArgumentError(f"unrolled: {len(names)} names for {len(chosen)} {what}: {names}")
    return dict(zip(chosen, names, strict=True))


def encoder_decoder(
    source: Sequence[str] = ("x(1)", "x(2)", "x(3)"),
    target: Sequence[str] = ("y(1)", "y(2)", "<end>"),
    *,
    title: str = "",
) -> Figure:
    """Returns a diagram of an encoder that reads a sequence and a decoder that writes another.

    The decoder's input is its own output of the step before, or the target's with teacher forcing.

    Args:
        source: the tokens that are read.
        target: the tokens that are written.
        title: above the diagram.

    Raises:
        ArgumentError: one of them is empty.
        MissingExtra: matplotlib is not installed.
    """
    if not source or not target:
        raise ArgumentError("encoder_decoder: source and target need a token each")
    step = 1.05
    diagram = Diagram(step * (len(source) + len(target)) + 1.0, 3.0, title)
    cells = []
    for index, token in enumerate(source):
        cells.append(diagram.box(0.7 + step * index, 1.5, "E", width=0.66, height=0.55))
        _token(diagram, cells[-1], 0.55, token, GREEN)
    spoken = ["<start>", *target[:-1]]
    for index, (said, token) in enumerate(zip(spoken, target, strict=True)):
        x = 1.15 + step * (len(source) + index)
        cells.append(diagram.box(x, 1.5, "D", width=0.66, height=0.55, color=ORANGE))
        _token(diagram, cells[-1], 0.55, said, GRAY)
        _token(diagram, cells[-1], 2.42, token, ORANGE)
    for index, (before, after) in enumerate(pairwise(cells), 1):
        diagram.arrow(before.right, after.left, "context c" if index == len(source) else "")
    encoder, decoder = cells[: len(source)], cells[len(source) :]
    diagram.text((encoder[0].x + encoder[-1].x) / 2, 0.15, "encoder", bold=True)
    diagram.text((decoder[0].x + decoder[-1].x) / 2, 0.15, "decoder", bold=True)
    return diagram.figure


def _token(diagram: Diagram, cell: Place, y: float, token: str, color: str) -> None:
    box = diagram.box(cell.x, y, token, width=0.92, height=0.36, color=color, size=8)
    if y < cell.y:
        diagram.arrow(box.top, cell.bottom)
    else:
        diagram.arrow(cell.top, box.bottom)


def lstm_cell(*, title: str = "") -> Figure:
    """Returns a diagram of an LSTM cell: three gates, the candidate, and the state above them.

    Args:
        title: above the diagram.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    diagram = Diagram(7.4, 4.9, title)
    diagram.box(3.7, 2.85, width=5.6, height=3.0, color=GRAY, filled=False)
    state, mixed = 3.85, 1.65  # heights of the cell state and of the line that all gates read
    forget, add = (diagram.circle(x, state, s, radius=0.17) for x, s in ((2.0, "×"), (3.5, "+")))
    admit = diagram.circle(3.5, 3.1, "×", radius=0.17)
    release = diagram.circle(5.75, 2.86, "×", radius=0.17)
    squash = diagram.box(5.75, 3.4, "tanh", width=0.62, height=0.34, color=ORANGE)
    names = ("forget\n$\\sigma$", "input\n$\\sigma$", "candidate\ntanh", "output\n$\\sigma$")
    shades = (BLUE, BLUE, ORANGE, BLUE)
    gates = [
        diagram.box(x, 2.3, name, width=0.86, height=0.5, color=shade, size=8)
        for x, name, shade in zip((2.0, 3.0, 4.0, 5.0), names, shades, strict=True)
    ]
    diagram.arrow((0.62, state), forget.left)
    diagram.arrow(forget.right, add.left)
    diagram.arrow(add.right, (6.75, state))
    diagram.arrow(admit.top, add.bottom)
    diagram.arrow(gates[0].top, forget.bottom, "f")
    for gate, side, letter in (
        (gates[1], admit.left, "i"),
        (gates[2], admit.right, r"$\tilde{c}$"),
    ):
        diagram.path([gate.top, (gate.x, admit.y), side])
        diagram.text(gate.x + (-0.12 if gate.x < admit.x else 0.12), 2.8, letter, size=8)
    diagram.path([gates[3].top, (gates[3].x, release.y), release.left])
    diagram.text(gates[3].x + 0.3, release.y + 0.12, "o", size=8)
    diagram.arrow((squash.x, state), squash.top)
    diagram.arrow(squash.bottom, release.top)
    diagram.path([release.bottom, (release.x, mixed), (6.75, mixed)])
    diagram.line((0.62, mixed), (gates[3].x, mixed), color="#1f2933", width=1.3)
    for gate in gates:
        diagram.arrow((gate.x, mixed), gate.bottom)
    diagram.arrow((1.4, 1.12), (1.4, mixed))
    for x, y, text in ((0.3, state, "c(t-1)"), (0.3, mixed, "h(t-1)"), (1.4, 1.0, "x(t)")):
        diagram.text(x, y, text)
    diagram.text(7.05, state, "c(t)")
    diagram.text(7.05, mixed, "h(t)")
    for row, formula in enumerate(LSTM_FORMULAS):
        diagram.text(3.7, 0.62 - 0.34 * row, formula, size=9, color=GRAY)
    return diagram.figure
