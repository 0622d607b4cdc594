"""Gradients and the steps of optimizers: ai.onnx.preview.training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from smelt.autodiff import grad
from smelt.export.onnx.load.card import GRAPH, TEXT, TEXTS, Call, Card, Cards, Node, required
from smelt.export.onnx.load.known import lifted
from smelt.tensor import Tensor
from smelt.tensor.elementary import pow, sqrt, where

Step = Callable[..., tuple[Tensor, ...]]


def _for_each(step: Step, parts: int) -> Callable[..., tuple[Tensor, ...]]:
    """Returns the rule that takes a step for each tensor: all tensors come first, then all
    gradients, then all moments of a kind.
    """

    def rule(call: Call, rate: Tensor, count: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        if len(given) % parts:
            raise call.wrong(f"{len(given)} tensors do not make groups of {parts}")
        number = len(given) // parts
        groups = [given[part * number : (part + 1) * number] for part in range(parts)]
        results = [step(call, rate, count, *one) for one in zip(*groups, strict=True)]
        return tuple([tensor for kind in zip(*results, strict=True) for tensor in kind])

    return rule


def _regularized(call: Call, x: Tensor, gradient: Tensor) -> Tensor:
    return x * call["norm_coefficient"] + gradient


def _adagrad(
    call: Call, rate: Tensor, count: Tensor, x: Tensor, gradient: Tensor, squares: Tensor
) -> tuple[Tensor, ...]:
    slower = rate / (count.to(rate.dtype) * call["decay_factor"] + 1.0)
    gradient = _regularized(call, x, gradient)
    squares = squares + gradient * gradient
    return x - slower * gradient / (sqrt(squares) + call["epsilon"]), squares


def _adam(
    call: Call,
    rate: Tensor,
    count: Tensor,
    x: Tensor,
    gradient: Tensor,
    mean: Tensor,
    squares: Tensor,
) -> tuple[Tensor, ...]:
    alpha, beta = call["alpha"], call["beta"]
    gradient = _regularized(call, x, gradient)
    mean = mean * alpha + gradient * (1 - alpha)
    squares = squares * beta + gradient * gradient * (1 - beta)
    steps = where(count > 0, count, 1).to(rate.dtype)
    corrected = rate * sqrt(1.0 - pow(beta, steps)) / (1.0 - pow(alpha, steps))
    adjusted = where(count > 0, corrected, rate)
    moved = x - adjusted * mean / (sqrt(squares) + call["epsilon"])
    return moved * (1 - call["norm_coefficient_post"]), mean, squares


def _momentum(
    call: Call, rate: Tensor, count: Tensor, x: Tensor, gradient: Tensor, velocity: Tensor
) -> tuple[Tensor, ...]:
    gradient = _regularized(call, x, gradient)
    share = where(count > 0, call["beta"], 1.0).to(x.dtype)
    velocity = velocity * call["alpha"] + gradient * share
    if call["mode"] == "nesterov":
        return x - rate * (gradient + velocity * call["alpha"]), velocity
    return x - rate * velocity, velocity


def _gradient(call: Call, *given: Tensor) -> tuple[Tensor, ...]:
    """Returns the gradients of a value by others, at what is given for these; of a value with axes,
    those of its sum.
    """
    count = len(call["xs"])

    def value(*xs: Tensor) -> Tensor:
        (y,) = call.inner(call["body"], [*xs, *given[count:]])
        result: Tensor = lifted(y).sum()
        return result

    found: tuple[Tensor, ...] = grad(value, argnums=tuple(range(count)))(*given[:count])
    return found


def _refused_inputs(node: Node) -> str:
    names = (*node.settings["xs"], *(node.settings["zs"] or ()))
    return "" if len(node.inputs) == len(names) else f"{len(node.inputs)} inputs for {names}"


def _refused_mode(node: Node) -> str:
    mode = node.settings["mode"]
    return "" if mode in ("standard", "nesterov") else f"mode {mode!r}"


CARDS: Final[Cards] = {
    "Gradient": Card(
        _gradient,
        {"xs": required(TEXTS), "zs": TEXTS, "y": required(TEXT), "body": GRAPH},
        first=1,
        refused=_refused_inputs,
    ),
    "Adagrad": Card(
        _for_each(_adagrad, 3),
        {"decay_factor": 0.0, "epsilon": 1e-6, "norm_coefficient": 0.0},
        first=1,
    ),
    "Adam": Card(
        _for_each(_adam, 4),
        {
            "alpha": 0.9,
            "beta": 0.999,
            "epsilon": 1e-6,
            "norm_coefficient": 0.0,
            "norm_coefficient_post": 0.0,
        },
        first=1,
    ),
    "Momentum": Card(
        _for_each(_momentum, 3),
        {"alpha": 0.0, "beta": 0.0, "mode": required(TEXT), "norm_coefficient": 0.0},
        first=1,
        refused=_refused_mode,
    ),
}
