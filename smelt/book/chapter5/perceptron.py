"""E5.1, E5.2: one perceptron computes AND; XOR takes four of them."""

from __future__ import annotations

import itertools

from smelt import Tensor, plot, tensor
from smelt.book.entry import Page, entry

CORNERS = [(0, 0), (0, 1), (1, 0), (1, 1)]
NAMES = ["output 0", "output 1"]


def perceptron(weights: tuple[float, ...], bias: float, *inputs: float) -> int:
    """One unit: 1 if w . x + b >= 0 else 0."""
    total = sum(w * x for w, x in zip(weights, inputs, strict=True)) + bias
    return 1 if total >= 0 else 0


def logical_and(x: float, y: float) -> int:
    """1 above the line x + y = 1.5."""
    return perceptron((1.0, 1.0), -1.5, x, y)


def logical_or(x: float, y: float) -> int:
    """1 above the line x + y = 0.5."""
    return perceptron((1.0, 1.0), -0.5, x, y)


def logical_not(x: float) -> int:
    """1 where x is below 0.5."""
    return perceptron((-1.0,), 0.5, x)


def logical_xor(x: float, y: float) -> int:
    """AND(OR(x, y), NOT(AND(x, y))): between the two lines."""
    return logical_and(logical_or(x, y), logical_not(logical_and(x, y)))


@entry("E5.1", "A perceptron computes AND")
def and_gate(page: Page) -> None:
    """A single unit with weights 1 and 1, bias -1.5 and a step decides like a logical AND.

    Nothing is learned: the three numbers are chosen so that the line x + y = 1.5 leaves only the
    corner (1, 1) on its upper side. The book's text has the step say true or false of a positive
    sum; its program, and ours, say 1 from 0 on.
    """
    for x, y in CORNERS:
        page.print(f"AND({x}, {y}) = {logical_and(x, y)}")
    outputs = [logical_and(x, y) for x, y in CORNERS]
    page.claim("AND of the four corners", [0, 0, 0, 1], outputs, outputs == [0, 0, 0, 1])
    before = line(tensor([[1.0, 1.0]])).item()
    page.claim("1 * 1 + 1 * 1 - 1.5, before the step", 0.5, before, before == 0.5)
    figure = plot.decision_boundary(
        line, CORNERS, outputs, names=NAMES, title="AND: one line is enough"
    )
    page.figure("and", figure)


def line(points: Tensor) -> Tensor:
    """What the unit adds up before its step, for points (m, 2)."""
    return points[:, 0] + points[:, 1] - 1.5


@entry("E5.2", "XOR from perceptrons")
def xor_gate(page: Page) -> None:
    """XOR is put together from OR, AND and NOT: a network of four perceptrons, not of one.

    One perceptron cuts the plane along one line, and no line has (0, 1) and (1, 0) on one side and
    (0, 0) and (1, 1) on the other. A search over a grid of weights and biases finds none either.
    """
    for x, y in CORNERS:
        page.print(f"XOR({x}, {y}) = {logical_xor(x, y)}")
    outputs = [logical_xor(x, y) for x, y in CORNERS]
    page.claim("XOR of the four corners", [0, 1, 1, 0], outputs, outputs == [0, 1, 1, 0])

    most = best_alone()
    page.claim("corners that one perceptron alone gets right, at best", 3, most, most == 3)
    figure = plot.decision_boundary(
        between, CORNERS, outputs, names=NAMES, title="XOR: it takes two lines"
    )
    page.figure("xor", figure)


def best_alone() -> int:
    """Tries 21 ** 3 perceptrons on XOR; returns the most corners that one of them gets right."""
    values = [place / 5 for place in range(-10, 11)]
    return max(
        sum(perceptron((v, w), b, x, y) == (x ^ y) for x, y in CORNERS)
        for v, w, b in itertools.product(values, repeat=3)
    )


def between(points: Tensor) -> Tensor:
    """Positive between the lines x + y = 0.5 and x + y = 1.5, for points (m, 2)."""
    total = points[:, 0] + points[:, 1]
    return (total - 0.5) * (1.5 - total)
