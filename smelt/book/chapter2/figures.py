"""F2.1 to F2.5: networks, activations, gradients, and what a learning rate does."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise

import smelt
import smelt.nn.functional as F
from smelt import nn, plot
from smelt.book.entry import Page, entry


@entry("F2.1", "A feed-forward network")
def network(page: Page) -> None:
    """Input, hidden and output layer; every unit of one is joined with every unit of the next.

        a1 = act(W1 x + b1),  y = W2 a1 + b2

    A line of the drawing is an element of W1 or W2.
    """
    sizes = (3, 4, 1)
    page.figure("network", plot.network(sizes), "A network 3-4-1")
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    lines = 3 * 4 + 4 * 1
    weights = sum(one.numel() for one in model.parameters() if one.ndim == 2)
    page.claim("a line of the drawing is a weight of the model", lines, weights, lines == weights)


@entry("F2.2", "A perceptron")
def perceptron(page: Page) -> None:
    """Weighted inputs and a bias are added, and an activation decides.

        out = step(w1 x1 + w2 x2 + w3 x3 + b)

    The step is 1 from 0 on.
    """
    page.figure("perceptron", plot.perceptron(3), "A unit with three inputs")
    x = smelt.tensor([1.0, 0.0, 1.0])
    w, b = smelt.tensor([0.5, 0.7, 0.2]), -0.6
    total = (w * x).sum() + b
    out = int(total >= 0)
    page.print(f"0.5 x 1 + 0.7 x 0 + 0.2 x 1 - 0.6 = {total.item():.1f} -> {out}")
    page.claim("a unit computed as it is drawn", 1, out, out == 1)


ACTIVATIONS = {
    "step": F.step,
    "sigmoid": smelt.sigmoid,
    "tanh": smelt.tanh,
    "ReLU": smelt.relu,
    "leaky ReLU": F.leaky_relu,
    "GELU": F.gelu,
    "log-sigmoid": F.logsigmoid,
    "softplus": F.softplus,
    "identity": F.identity,
}
FORMULAS = [
    ("step", "1 if x >= 0 else 0", "the perceptron's; no slope to learn from"),
    ("sigmoid", "1 / (1 + e^-x)", "from 0 to 1: a probability; vanishing gradient"),
    ("tanh", "(e^x - e^-x) / (e^x + e^-x)", "from -1 to 1: recurrent networks; vanishing gradient"),
    ("ReLU", "max(0, x)", "cheap, many outputs 0; a unit can die"),
    ("leaky ReLU", "x if x > 0 else 0.01 x", "no unit can die"),
    ("GELU", "x P(Z <= x), Z from N(0, 1)", "Transformers; the book takes its form by tanh"),
    ("log-sigmoid", "log(1 / (1 + e^-x))", "losses from logits, without overflow"),
    ("softplus", "log(1 + e^x)", "a smooth ReLU"),
    ("identity", "x", "the output of a regression"),
    ("softmax", "e^x_i / (e^x_1 + ... + e^x_n)", "n classes: positive, with sum 1; not a curve"),
]
SLOPES = {  # by hand
    "step": lambda x: 0.0,
    "sigmoid": lambda x: math.exp(-x) / (1 + math.exp(-x)) ** 2,
    "tanh": lambda x: 1 - math.tanh(x) ** 2,
    "ReLU": lambda x: float(x > 0),
    "leaky ReLU": lambda x: 1.0 if x > 0 else 0.01,
    "GELU": lambda x: (
        0.5 * (1 + math.erf(x / 2**0.5)) + x * math.exp(-(x**2) / 2) / (2 * math.pi) ** 0.5
    ),
    "log-sigmoid": lambda x: 1 / (1 + math.exp(x)),
    "softplus": lambda x: 1 / (1 + math.exp(-x)),
    "identity": lambda x: 1.0,
}


@entry("F2.3", "The activation functions")
def activations(page: Page) -> None:
    """The curve of each, and its derivative by reverse mode (dashed).

    Where the derivative is near 0 a unit hardly learns: far from 0 for sigmoid and tanh (vanishing
    gradients), left of 0 for ReLU (a dying unit).
    """
    page.figure("activations", plot.activations(ACTIVATIONS), "Activations and their derivatives")
    page.table(["activation", "formula", "remark"], FORMULAS)
    x = smelt.linspace(-4.0, 4.0, 80, dtype=smelt.float64)
    for name, function in ACTIVATIONS.items():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*derivative is zero")  # that of the step function
            slopes = smelt.grad(lambda x, function=function: function(x).sum())(x).tolist()
        expected = [SLOPES[name](place) for place in x.tolist()]
        error = max(abs(a - b) for a, b in zip(slopes, expected, strict=True))
        page.claim(f"derivative of {name}: error", "< 1e-9", error, error < 1e-9)
    logits = smelt.tensor([1.0, 2.0, 3.0], dtype=smelt.float64)
    p, slopes = smelt.softmax(logits, 0), smelt.jacrev(lambda x: smelt.softmax(x, 0))(logits)
    error = float((slopes - (smelt.eye(3) * p - smelt.outer(p, p))).abs().max())
    page.claim("dp_i/dx_j of softmax is p_i ([i = j] - p_j): error", "< 1e-9", error, error < 1e-9)


@entry("F2.4", "A function of two numbers, and its gradients")
def contour(page: Page) -> None:
    """A hill from above. From x1 and x2 a step along the gradient leads up, from x3 one against it
    leads down: that is what descent does with a loss.

        D_v f = grad f . v
    """
    points = {"x1": (-1.6, -0.6), "x2": (1.0, 1.7), "x3": (1.3, -1.2)}
    page.figure(
        "contour",
        plot.contour(hill, points=points, against=("x3",)),
        "Contours of f, with gradient arrows",
    )
    for name, place in points.items():
        x = smelt.tensor(place)
        sign = -1 if name == "x3" else 1
        gradient = smelt.grad(lambda x: hill(x[0], x[1]))(x)
        after = x + sign * 0.1 * gradient
        change = (hill(after[0], after[1]) - hill(x[0], x[1])).item()
        direction = "against" if sign < 0 else "along"
        page.claim(
            f"f changes from {name} {direction} the gradient",
            "down" if sign < 0 else "up",
            change,
            sign * change > 0,
        )


def hill(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
    """Returns the height of a hill whose top, 1, is at (0.3, 0.4)."""
    return smelt.exp(-((x - 0.3) ** 2) / 4 - (y - 0.4) ** 2 / 2)


@entry("F2.5", "One loss, two learning rates")
def learning_rates(page: Page) -> None:
    """Descent on L(w) = w^2 from w = 2.5.

    Each step multiplies w by 1 - 2 alpha: a small rate converges slowly, one above 1 overshoots,
    further each time, and diverges.
    """
    paths = {rate: descend(rate, start=2.5, steps=12) for rate in (0.1, 1.03)}
    small, large = paths[0.1], paths[1.03]
    named = {"small, 0.1": small, "large, 1.03": large}
    page.figure(
        "descent",
        plot.descent(lambda w: w**2, named, limits=(-5.5, 5.5), title="Steps on the loss"),
        "The points that both descents visit",
    )
    losses = {rate: [w**2 for w in path] for rate, path in paths.items()}
    page.figure("losses", plot.learning_rates(losses), "The loss from step to step")
    slow = all(abs(b) < abs(a) and a * b > 0 for a, b in pairwise(small))
    page.claim("the small rate converges from one side", True, slow, slow)
    overshoots = all(abs(b) > abs(a) and a * b < 0 for a, b in pairwise(large))
    page.claim("the large rate overshoots and diverges", True, overshoots, overshoots)
    predicted = 2.5 * (1 - 2 * 0.1) ** 12
    error = abs(small[-1] - predicted)
    page.claim("w after 12 steps is 2.5 (1 - 2 alpha)^12", predicted, small[-1], error < 1e-6)


def descend(rate: float, start: float, steps: int) -> list[float]:
    """Returns the points that gradient descent on w^2 visits."""
    slope = smelt.grad(lambda w: w**2)
    w = smelt.tensor(start)
    path = [w.item()]
    for _ in range(steps):
        w = w - rate * slope(w)
        path.append(w.item())
    return path
