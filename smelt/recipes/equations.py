"""Equations: a network becomes the solution of a partial differential equation.

No solution is shown to it. The network is inserted into the equation, by forward-mode derivatives
(`smelt.jvp`, `smelt.hessian`), at random points that change in each step, and the residual is
minimized; initial and boundary values hold by construction.

- burgers: u_t + u u_x = nu u_xx for x in [-1, 1], t in [0, 1], u(x, 0) = -sin(pi x), with
  nu = 0.01 / pi, where the wave becomes a step of width nu. The network, which is odd in x, begins
  with nu = 0.1, and nu falls by 3 % whenever the equation is solved for the current nu. More points
  lie where the step will be. The reference is the Cole-Hopf formula, by Gauss-Hermite quadrature.
- poisson: -(u_xx + u_yy) = f on the unit square, u = 0 on its border, for the f of which
  u = exp(x) sin(pi x) sin(2 pi y) is the solution.

With 337 weights, second-order optimization is the cheapest: each step is a Levenberg-Marquardt step
(damped Gauss-Newton) with the Jacobian of the residuals with respect to all weights. Residuals,
Jacobian, solution of the 337 equations and update are one native function, in float64. The sizes
were chosen with seeds 10 to 12.
"""

from __future__ import annotations

import math
import os
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np

import smelt
from smelt import nn, optim, plot, train
from smelt.data import TensorDataset
from smelt.dtypes import float64
from smelt.errors import ArgumentError
from smelt.export.inference import Inference, InferenceTensor
from smelt.limits import Within
from smelt.random import manual_seed
from smelt.recipes.inference import Applied
from smelt.recipes.recipe import Result, Seed
from smelt.tensor import Tensor

__all__ = ["Burgers", "Poisson", "Solution", "cole_hopf", "inference", "make_model", "run"]

VISCOSITY, FIRST_VISCOSITY = 0.01 / math.pi, 0.1
SLOWER = 0.97  # what becomes of the viscosity once the equation is solved for it
TOLERANCE = 1e-3  # the mean squared residual of an equation that counts as solved
SIZES = (2, 16, 16, 1)
FIRST_DAMPING, LEAST_DAMPING = 1e-2, 1e-6
STEPS = 20  # an epoch
PLACES = (256, 100)  # of a grid's two axes, for the error: those that others measure on
Equation = Literal["burgers", "poisson"]


class Solution(nn.Module):
    """A network u(weights, point) that is trained to solve an equation.

    Called with points (n, 2), it returns the mean squared residual, whose "gradient" is the
    Levenberg-Marquardt step: gradient descent with learning rate 1 makes this step.

    Attributes:
        ends: of the region, (left, right, bottom, top).
        weights: all weights, (p,), float64.
        damping: how much the step leans toward the gradient; it falls as steps succeed.
    """

    ends: tuple[float, float, float, float]
    damping: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(first_weights())
        self.register_buffer("damping", smelt.tensor(FIRST_DAMPING, dtype=smelt.float64))

    @abstractmethod
    def at(self, weights: Tensor, point: Tensor) -> Tensor:
        """Returns u at a point (2,), a number."""

    @abstractmethod
    def residual(self, weights: Tensor, point: Tensor) -> Tensor:
        """Returns the residual of the equation at a point (2,), a number."""

    def solved(self, loss: Tensor) -> None:
        """Called with the loss after each step."""

    def forward(self, points: Tensor) -> Tensor:
        with smelt.no_grad():
            loss, step = self.levenberg_marquardt(points)
        descent = (self.weights * step).sum()
        return loss + descent - descent.detach()

    def levenberg_marquardt(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the loss, and the step (p,) to be subtracted: zeros if it would not reduce the
        loss.

        With residuals r and Jacobian J the step solves (J'J/n + damping) step = J'r/n.
        """
        weights, n = self.weights.detach(), len(points)
        by_weights = smelt.value_and_grad(self.residual)
        residuals, columns = smelt.vmap(by_weights, in_axes=(None, 0), out_axes=(0, 1))(
            weights, points
        )  # (n,), (p, n)
        matrix = columns @ columns.T / n + self.damping * smelt.eye(
            len(weights), dtype=smelt.float64
        )
        step = solve(matrix, columns @ residuals / n)
        loss, new = (residuals**2).mean(), self.loss(weights - step, points)
        helps = new < loss
        following = smelt.where(helps, self.damping / 3, self.damping * 4)
        self.damping.copy_(following.clamp(LEAST_DAMPING))
        self.solved(smelt.minimum(loss, new))
        return loss, smelt.where(helps, step, smelt.zeros_like(step))

    def loss(self, weights: Tensor, points: Tensor) -> Tensor:
        """Returns the mean squared residual at points (n, 2)."""
        return (smelt.vmap(self.residual, in_axes=(None, 0))(weights, points) ** 2).mean()

    @staticmethod
    @abstractmethod
    def points(count: int, random: np.random.Generator) -> np.ndarray:
        """Returns points (count, 2) at which the equation should hold."""

    @staticmethod
    @abstractmethod
    def true(points: Tensor) -> Tensor:
        """Returns the solution at points (..., 2)."""


class Burgers(Solution):
    """The solution of Burgers' equation; a point is (x, t), the network odd in x."""

    ends = (-1.0, 1.0, 0.0, 1.0)
    viscosity: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("viscosity", smelt.tensor(FIRST_VISCOSITY, dtype=smelt.float64))

    def at(self, weights: Tensor, point: Tensor) -> Tensor:
        x, t = point[0], point[1]
        right, left = (network(weights, smelt.stack([s * x, 2 * t - 1])) for s in (1, -1))
        return t * (1 - x**2) * (right - left) / 2 - smelt.sin(math.pi * x)

    def residual(self, weights: Tensor, point: Tensor) -> Tensor:
        along_x, along_t = smelt.eye(2, dtype=smelt.float64)

        def slope(point: Tensor) -> tuple[Tensor, Tensor]:
            return smelt.jvp(lambda point: self.at(weights, point), (point,), (along_x,))

        (u, u_x), (_, u_xx) = smelt.jvp(slope, (point,), (along_x,))
        _, u_t = smelt.jvp(lambda point: self.at(weights, point), (point,), (along_t,))
        return u_t + u * u_x - self.viscosity * u_xx

    def solved(self, loss: Tensor) -> None:
        slower = (self.viscosity * SLOWER).clamp(VISCOSITY)
        self.viscosity.copy_(smelt.where(loss < TOLERANCE, slower, self.viscosity))

    @staticmethod
    def points(count: int, random: np.random.Generator) -> np.ndarray:
        x, t = random.uniform(size=(2, count))  # x > 0: the other half is its mirror image
        near = np.arange(count) % 3 > 0
        return np.stack([np.where(near, 10 ** (-3.5 * x), x), t], axis=1)

    @staticmethod
    def true(points: Tensor) -> Tensor:
        return smelt.tensor(cole_hopf(points.numpy()))


class Poisson(Solution):
    """The solution of Poisson's equation; a point is (x, y)."""

    ends = (0.0, 1.0, 0.0, 1.0)

    def at(self, weights: Tensor, point: Tensor) -> Tensor:
        x, y = point[0], point[1]
        return x * (1 - x) * y * (1 - y) * network(weights, 2 * point - 1)

    def residual(self, weights: Tensor, point: Tensor) -> Tensor:
        def difference(point: Tensor) -> Tensor:  # f is all that it tells of the truth
            return self.at(weights, point) - self.true(point)

        curvatures = smelt.hessian(difference)(point)  # (2, 2)
        return curvatures[0, 0] + curvatures[1, 1]

    @staticmethod
    def true(points: Tensor) -> Tensor:
        x, y = points[..., 0], points[..., 1]
        return smelt.exp(x) * smelt.sin(math.pi * x) * smelt.sin(2 * math.pi * y)

    @staticmethod
    def points(count: int, random: np.random.Generator) -> np.ndarray:
        return random.uniform(size=(count, 2))


def first_weights() -> Tensor:
    """Returns weights with standard deviation 1 / sqrt(inputs) and biases 0, layer by layer in one
    vector.
    """
    parts = []
    for before, after in pairwise(SIZES):
        parts += [smelt.randn(before * after) / math.sqrt(before), smelt.zeros(after)]
    return smelt.cat(parts).to(smelt.float64)


def network(weights: Tensor, x: Tensor) -> Tensor:
    """Returns the output of the layers SIZES with tanh between them, for one input (2,)."""
    start = 0
    for before, after in pairwise(SIZES):
        x = smelt.tanh(x) if start else x
        end = start + before * after
        x = weights[start:end].reshape(after, before) @ x + weights[end : end + after]
        start = end + after
    return x[0]


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Returns x of `matrix @ x = right` by Gauss-Jordan elimination.

    Args:
        matrix: (p, p), symmetric positive definite, so that no pivoting is needed.
        right: (p,).
    """
    rows = smelt.arange(len(right))

    def eliminate(table: Tensor, k: Tensor) -> tuple[Tensor, None]:
        pivot = table[k] / table[k, k]
        is_pivot = (rows == k).unsqueeze(1)
        others = table - table[:, k].unsqueeze(1) * pivot
        return smelt.where(is_pivot, pivot, others), None

    table, _ = smelt.scan(eliminate, smelt.cat([matrix, right.unsqueeze(1)], dim=1), rows)
    return table[:, -1]


def cole_hopf(points: np.ndarray, nodes: int = 200) -> np.ndarray:
    """Returns the solution of Burgers' equation at points (..., 2) of (x, t).

        u = -integral sin(pi (x - s)) w ds / integral w ds,
        w = exp(-cos(pi (x - s)) / (2 pi nu)) exp(-s^2 / (4 nu t))

    by Gauss-Hermite quadrature in s / sqrt(4 nu t).
    """
    x, t = points[..., :1], points[..., 1:]
    places, weights = np.polynomial.hermite.hermgauss(nodes)
    y = math.pi * (x - np.sqrt(4 * VISCOSITY * t) * places)
    exponent = -np.cos(y) / (2 * math.pi * VISCOSITY)
    kernel = weights * np.exp(exponent - exponent.max(axis=-1, keepdims=True))
    return -(kernel * np.sin(y)).sum(-1) / kernel.sum(-1)


def make_model(equation: Equation = "burgers") -> Solution:
    """Returns the network of an equation with initial weights.

    Raises:
        ArgumentError: there is no such equation.
    """
    if equation not in get_args(Equation):
        known = ", ".join(get_args(Equation))
        raise ArgumentError(f"equations: equation={equation!r} must be one of {known}")
    return Burgers() if equation == "burgers" else Poisson()


def run(
    folder: str | os.PathLike[str],
    *,
    equation: Equation = "burgers",
    epochs: Annotated[int, Within(1)] = 15,
    points: Annotated[int, Within(100)] = 2000,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Solves an equation, measures the error, and keeps everything in a folder.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint and figures.
        equation: the equation to solve.
        epochs: of 20 steps each.
        points: number of points per step; they change from step to step.
        seed: random seed of the initial weights and of the points.
        callbacks: further callbacks, called after each epoch.
        resume: whether to resume the run in the folder; the settings must be those of the run.

    Raises:
        FileError: the folder cannot be written, or holds a run already.
        ArgumentError: a setting is out of its range.
        MissingExtra: matplotlib or safetensors is not installed.
    """
    plot.require()
    settings = {"equation": equation, "epochs": epochs, "points": points, "seed": seed}
    manual_seed(seed)
    model = make_model(equation)
    run_folder = train.RunFolder(folder, model, {"recipe": "equations", **settings}, resume=resume)
    drawn = model.points(STEPS * points, np.random.default_rng(seed))
    error = measure(model)
    history = train.fit(
        model,
        None,
        optim.SGD(model.parameters(), lr=1.0),
        TensorDataset(drawn),
        epochs=epochs,
        batch_size=points,
        validation=lambda: {"relative_error": error()},
        callbacks=callbacks,
        run=run_folder,
        resume=resume,
        progress=False,
    )
    steps = run_folder.training.update.steps
    if history.interrupted:
        return Result({}, history, steps)
    draw(run_folder.path, model, history)
    return Result({"relative_error": error(), "loss": history.epochs[-1].loss}, history, steps)


def values(model: Solution) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function that gives u at points (n, 2)."""

    @smelt.compile
    def at(points: Tensor) -> Tensor:
        return smelt.vmap(model.at, in_axes=(None, 0))(model.weights.detach(), points)

    return lambda points: at(smelt.tensor(points)).numpy()


def measure(model: Solution) -> Callable[[], float]:
    """Returns a function that gives the relative L2 error |u - true| / |true| over a grid."""
    left, right, bottom, top = model.ends
    axes = np.linspace(left, right, PLACES[0]), np.linspace(bottom, top, PLACES[1])
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    true, found = model.true(smelt.tensor(points)).numpy(), values(model)

    def error() -> float:
        difference = found(points) - true
        return float(np.linalg.norm(difference) / np.linalg.norm(true))

    return error


def draw(folder: Path, model: Solution, history: train.History) -> None:
    """Draws loss and error, and u."""
    curves: dict[str, Any] = {
        "mean squared residual": [epoch.loss for epoch in history.epochs],
        "relative L2 error": [epoch.held_out["relative_error"] for epoch in history.epochs],
    }
    curve = plot.loss_curves(curves, title="Loss and error", x_label="epoch", y_label="", start=1)
    plot.save(curve, folder / "error.png")
    found, (left, right, bottom, top) = values(model), model.ends

    def heights(x: Tensor, y: Tensor) -> Tensor:
        pairs = np.stack([x.numpy(), y.numpy()], axis=-1).astype(np.float64)
        return smelt.tensor(found(pairs.reshape(-1, 2)).reshape(x.shape))

    names = {"burgers": "u(x, t)", "poisson": "u(x, y)"}
    title = names["burgers" if isinstance(model, Burgers) else "poisson"]
    figure = plot.contour(heights, x=(left, right), y=(bottom, top), arrows=False, title=title)
    plot.save(figure, folder / "solution.png")


def inference(folder: Path, config: Mapping[str, Any]) -> Inference:
    """Returns the solution that a run has found, u at points."""
    model = make_model(config["equation"])
    train.read_model(folder, model)
    left, right, bottom, top = model.ends
    second = "t" if config["equation"] == "burgers" else "y"
    columns = [
        {"name": "x", "from": left, "to": right},
        {"name": second, "from": bottom, "to": top},
    ]
    given = InferenceTensor("inputs", float64, (2,), {"columns": columns})
    return Inference(
        "equations",
        Applied(model, solution).eval(),
        (given,),
        InferenceTensor("value", float64, (), {"target": "u"}),
        {"task": "regression", "equation": config["equation"]},
    )


def solution(model: Solution, points: Tensor) -> Tensor:
    """Returns u (n,) at points (n, 2)."""
    return smelt.vmap(model.at, in_axes=(None, 0))(model.weights, points)
