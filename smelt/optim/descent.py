"""Gradient descent with a stop condition, as textbooks write it.

    repeat  x <- x - lr * grad f(x)   until  ||x_new - x_old|| <= tolerance

For training a network, where a step has to be fast, use `SGD`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smelt import tree
from smelt.autodiff import value_and_grad
from smelt.errors import ArgumentError
from smelt.tensor.apply import as_tensor
from smelt.tracing.engine import no_grad

__all__ = ["Descent", "gradient_descent"]


@dataclass(frozen=True, slots=True)
class Descent:
    """The result of a descent.

    `x` is the last point, `iterations` the number of steps, `converged` whether the last one was no
    longer than the tolerance, `history` the value of the function before each step and at the end.
    """

    x: Any
    iterations: int
    converged: bool
    history: tuple[float, ...]


def gradient_descent(
    function: Callable[[Any], Any],
    x0: Any,
    lr: float,
    tolerance: float = 1e-6,
    max_iterations: int = 1000,
    callback: Callable[[int, Any, float], None] | None = None,
) -> Descent:
    """Runs gradient descent from `x0`.

    It stops at the first of these:

    - a step is short: the Euclidean norm of `x_new - x_old` is at most `tolerance` (converged);
    - `max_iterations` steps were done (not converged);
    - the value or the next point is no longer finite: `lr` is too large (not converged).

    A short step means that lr times the gradient is small, which it is at a minimum, and also at
    any other stationary point or with a tiny `lr`.

    Args:
        function: returns one number; takes a float tensor, or a tree of them.
        x0: where to start: a tensor, numbers, or a tree of tensors.
        lr: the step per unit of gradient, > 0.
        tolerance: the length of a step that counts as converged, >= 0.
        max_iterations: maximum number of steps, >= 0.
        callback: called before each step with its number, the point and the value.

    Raises:
        ArgumentError: a setting outside its range.
    """
    if not lr > 0 or not tolerance >= 0 or max_iterations < 0:
        raise ArgumentError(
            "gradient_descent needs lr > 0, tolerance >= 0 and max_iterations >= 0; got "
            f"{lr}, {tolerance} and {max_iterations}"
        )
    slope = value_and_grad(function)
    x = tree.map(lambda leaf: as_tensor(leaf).detach(), x0)
    values: list[float] = []
    converged = False
    with no_grad():
        for iteration in range(max_iterations + 1):
            value, gradient = slope(x)
            values.append(float(value))
            if converged or iteration == max_iterations or not math.isfinite(values[-1]):
                break
            if callback is not None:
                callback(iteration, x, values[-1])
            new = tree.map(lambda leaf, g: leaf - lr * g, x, gradient)
            length = _distance(new, x)
            if not math.isfinite(length):
                break
            x, converged = new, length <= tolerance
    return Descent(x, len(values) - 1, converged, tuple(values))


def _distance(a: Any, b: Any) -> float:
    """The Euclidean norm of the difference, over all leaves of two trees."""
    pairs = zip(tree.flatten(a)[0], tree.flatten(b)[0], strict=True)
    return math.hypot(*(float(((p - q) ** 2).sum().sqrt()) for p, q in pairs))
