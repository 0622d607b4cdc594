"""E5.7, T5.3: a network that should learn max(x1, x2, x3), by forward-mode differentiation."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

import smelt
from smelt import Tensor, dual, plot
from smelt.book.entry import Page, entry

TRIPLES = [
    [3, 5, 2], [5, 7, 1], [1, 9, 4], [2, 3, 6], [4, 1, 3],
    [0, 8, 2], [7, 2, 1], [6, 3, 4], [5, 0, 2], [2, 6, 9],
]  # fmt: skip
INPUTS = smelt.tensor(TRIPLES, dtype=smelt.float64)  # (10, 3)
TARGETS = INPUTS.max(1).values  # (10,)
EPOCHS, LR = 1000, 0.001
# the book prints no numbers; these are recomputed from its settings, independently of Smelt
LOSSES = {  # the sum of the ten losses, as they are met during an epoch
    0: 328.95768, 20: 10.70179, 40: 10.58843, 60: 10.43801, 80: 10.29210, 100: 10.15594,
    200: 9.60255, 400: 8.92784, 600: 8.58568, 800: 8.41516, 980: 8.33433, 999: 8.32811,
}  # fmt: skip
TEST, TEST_OUTPUT = [0.7, 0.4, 1.0], 2.9704

# W1 (4, 3) row by row, b1 (4), W2 (1, 4), b2 (1): 21 numbers in one row
CONSTANT_START = np.array([0.1] * 12 + [0.0] * 4 + [0.1] * 4 + [0.0])
parameters = smelt.tensor(CONSTANT_START)  # (21,) float64, what all three trainings change


def predict(numbers: Any, x: Any) -> Any:
    """The 3-4-1 network on single numbers: plain ones, tensors of shape (), or duals."""
    rest = iter(numbers)
    w1 = [[next(rest) for _ in range(3)] for _ in range(4)]
    b1 = [next(rest) for _ in range(4)]
    w2 = [next(rest) for _ in range(4)]
    b2 = next(rest)
    hidden = [
        dual.relu(sum((w * v for w, v in zip(row, x, strict=True)), b))
        for row, b in zip(w1, b1, strict=True)
    ]
    return sum((w * h for w, h in zip(w2, hidden, strict=True)), b2)


def forward_step(x: Tensor, target: Tensor) -> Tensor:
    """One update as in the book: a derivative for each of the 21 parameters rides along.

    x: (1, 3), target: (1,). Returns the loss before the update, a constant dual's value.
    """
    numbers, inputs = list(parameters), list(x[0])

    def loss(numbers: Any) -> Any:
        return (predict(numbers, inputs) - target[0]) ** 2

    before = loss([dual.cst(number) for number in numbers]).x
    parameters.copy_(parameters - LR * smelt.stack(dual.grad(loss, numbers)))
    return before


def vector_loss(row: Tensor, x: Tensor, target: Tensor) -> Tensor:
    """The same loss with matrices: x (n, 3), target (n,); the sum over the samples."""
    w1, b1, w2, b2 = row[:12].reshape(4, 3), row[12:16], row[16:20], row[20]
    hidden = smelt.relu(x @ w1.T + b1)  # (n, 4)
    return ((hidden @ w2 + b2 - target) ** 2).sum()


def reverse_step(x: Tensor, target: Tensor) -> Tensor:
    """The same update by reverse mode: one backward pass, whatever the number of parameters."""
    before, gradient = smelt.value_and_grad(vector_loss)(parameters, x, target)
    parameters.copy_(parameters - LR * gradient)
    return before


compiled_forward = smelt.compile(forward_step)
compiled_reverse = smelt.compile(reverse_step)


def train(step: Any, start: np.ndarray = CONSTANT_START, epochs: int = EPOCHS) -> np.ndarray:
    """Trains from a start, one sample after the other; returns each epoch's sum of losses."""
    parameters.copy_(start)
    losses = step.over(INPUTS, TARGETS, batch_size=1, epochs=epochs)
    return losses.numpy().reshape(epochs, len(TRIPLES)).sum(axis=1)


def train_eagerly(step: Any, epochs: int) -> np.ndarray:
    """The same loop in Python, an operation at a time."""
    parameters.copy_(CONSTANT_START)
    pairs = [(INPUTS[n : n + 1], TARGETS[n : n + 1]) for n in range(len(TRIPLES))]
    return np.array([sum(step(x, y).item() for x, y in pairs) for _ in range(epochs)])


def least_squares() -> float:
    """The sum of squared errors of the best linear function of the ten samples."""
    design = np.column_stack([INPUTS.numpy(), np.ones(len(TRIPLES))])
    return float(np.linalg.lstsq(design, TARGETS.numpy())[1][0])


@entry("E5.7", "Max of three, trained by forward mode")
def forward_mode(page: Page) -> None:
    """A 3-4-1 network learns max(x1, x2, x3) from ten samples by plain gradient descent, with the
    gradient from dual numbers, as in the book: every weight starts at 0.1, every bias at 0. Its
    text calls the loss a mean; what its program logs is the sum of the ten squared errors.

    The training runs three times: the book's program an operation at a time (a few epochs of it),
    the same program compiled, and reverse mode. Forward mode suits few inputs; here it carries 21
    derivatives along, as the book admits, where reverse mode needs one backward pass. All three
    have the same losses, those that follow from the book's settings; it prints none.

    What the book does not say: this network cannot learn the task. Equal weights get equal
    gradients, so the four hidden units stay one unit for ever, and the sum of squared errors
    stays above that of a straight least-squares fit. E5.7+ shows the cure.
    """
    began = time.perf_counter()
    eager = train_eagerly(forward_step, epochs=3)
    eager_time = (time.perf_counter() - began) / 3
    by_reverse = train(compiled_reverse)
    train(compiled_forward, epochs=1)  # compiles it
    began = time.perf_counter()
    losses = train(compiled_forward)
    compiled_time = (time.perf_counter() - began) / EPOCHS

    for epoch, expected in LOSSES.items():
        page.print(f"epoch {epoch:3}  loss {losses[epoch]:.5f}")
        right = abs(losses[epoch] - expected) < 1e-5
        page.claim(f"loss of epoch {epoch}", f"{expected:.5f}", f"{losses[epoch]:.5f}", right)
    prediction = predict(parameters.tolist(), TEST).x.item()
    page.print(f"prediction for {TEST}: {prediction:.4f} (true: 1.0)")
    right = abs(prediction - TEST_OUTPUT) < 1e-4
    page.claim("prediction for [0.7, 0.4, 1.0]", TEST_OUTPUT, f"{prediction:.4f}", right)

    same = float(np.abs(losses - by_reverse).max())
    page.claim("forward and reverse mode differ by", "rounding", same, same < 1e-9)
    same = float(np.abs(eager - losses[:3]).max())
    page.claim("the book's loop and its compiled form differ by", "rounding", same, same < 1e-9)
    page.table(
        ["forward mode", "microseconds an epoch"],
        [["in Python", f"{1e6 * eager_time:,.0f}"], ["compiled", f"{1e6 * compiled_time:.2f}"]],
    )
    show_failure(page, losses)


def show_failure(page: Page, losses: np.ndarray) -> None:
    """Shows that four hidden units are one, and what that costs."""
    w1 = parameters.numpy()[:12].reshape(4, 3)
    apart = float(np.ptp(w1, axis=0).max())
    page.claim("failure: largest difference between hidden units", 0, apart, apart < 1e-12)
    linear = least_squares()
    page.claim("failure: final loss above least squares", f"> {linear:.3f}", losses[-1],
               losses[-1] > linear)  # fmt: skip
    levels = {f"least squares, {linear:.3f}": linear}
    figure = plot.loss_curves({"constant start": losses}, title="A straight line does better",
                              x_label="epoch", y_label="sum of squared errors", log=True,
                              levels=levels)  # fmt: skip
    page.figure("losses", figure)
    units = [f"unit {place}" for place in range(1, 5)]
    title = "W1 after 1,000 epochs: four times the same unit"
    figure = plot.heatmap(w1, x_names=["x1", "x2", "x3"], y_names=units, title=title)
    page.figure("weights", figure)


@entry("T5.3", "The parameters of the 3-4-1 network")
def parameter_table(page: Page) -> None:
    """All parameters stand in one row of 21 numbers; a running index takes them apart again."""
    shapes = {"W1": (4, 3), "b1": (4,), "W2": (1, 4), "b2": (1,)}
    place, rows = 0, []
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        rows.append([name, " x ".join(map(str, shape)), size, f"{place} to {place + size - 1}"])
        place += size
    page.table(["part", "shape", "numbers", "places"], rows)
    page.claim("numbers in all", 21, place, place == len(CONSTANT_START) == 21)
    numbers = np.random.default_rng(page.seed).normal(size=21)
    w1, b1, w2, b2 = (
        part.reshape(shape)
        for part, shape in zip(np.split(numbers, [12, 16, 20]), shapes.values(), strict=True)
    )
    matrices = (w2 @ np.maximum(w1 @ TEST + b1, 0) + b2).item()
    counted = predict(numbers, TEST).x.item()
    same = math.isclose(counted, matrices, rel_tol=1e-12)
    page.claim("network of the row, and of the four parts", matrices, counted, same)
