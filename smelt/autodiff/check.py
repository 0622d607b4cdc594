"""`gradcheck`: compares derivatives with finite differences, and with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt import dtypes, tree
from smelt.autodiff.forward import jvp
from smelt.autodiff.record import Function
from smelt.autodiff.reverse import vjp
from smelt.errors import ArgumentError, GradientError
from smelt.tensor import Tensor, as_tensor

Arrays = list[np.ndarray]
MODES = ("reverse", "forward")
EXACT = 1e-9  # tolerance between the modes: the same arithmetic in another order


@dataclass(frozen=True, slots=True)
class _Settings:
    modes: tuple[str, ...]
    eps: float
    rtol: float
    atol: float


def gradcheck(
    function: Function,
    *inputs: Any,
    modes: Sequence[str] = MODES,
    order: int = 1,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    seed: int = 0,
) -> bool:
    """Returns True if the derivatives of `function` at `inputs` agree with finite differences.

    For each float input, in float64, with a random direction v and random weights u of the outputs:

        forward:  J v      against  (f(x + eps v) - f(x - eps v)) / (2 eps)
        reverse:  <J^T u, v>  against  <u, that difference>
        both:     <u, J v> == <J^T u, v>  up to rounding

    Args:
        function: takes Tensors and returns a tree of Tensors; smooth around `inputs`.
        inputs: Tensors, arrays or numbers, also all in one tuple, as in PyTorch; float inputs are
            cast to float64, the others stay fixed.
        modes: which of "reverse" and "forward" to check.
        order: 2 also checks second derivatives in each mode.
        eps: the step of the finite differences.
        rtol: tolerance of the derivatives: |got - expected| <= atol + rtol |expected|.
        atol: see `rtol`.
        seed: random seed of the directions.

    Raises:
        GradientError: a derivative is wrong; the error names the mode, the input, and the expected
            and actual values.
        ArgumentError: a mode or order that does not exist, or no float input.
    """
    if order not in (1, 2) or not modes or not set(modes) <= set(MODES):
        raise ArgumentError(
            f"gradcheck: modes must be among {MODES} and order must be 1 or 2, got {modes} and "
            f"{order}"
        )
    if len(inputs) == 1 and isinstance(inputs[0], tuple):
        (inputs,) = inputs
    points = [as_tensor(given) for given in inputs]
    float_inputs = [index for index, x in enumerate(points) if x.dtype.is_float]
    if not float_inputs:
        raise ArgumentError(
            "gradcheck: none of the inputs is a float, so there is no derivative to check; pass a "
            "float tensor or number"
        )

    def moving(*values: Any) -> tuple[Tensor, ...]:
        arguments = list(points)
        for index, value in zip(float_inputs, values, strict=True):
            arguments[index] = as_tensor(value)
        return _float_outputs(function(*arguments))

    at = [points[index].detach().to(dtypes.float64).numpy() for index in float_inputs]
    settings = _Settings(tuple(modes), eps, rtol, atol)
    random = np.random.default_rng(seed)
    _check(moving, at, settings, random, "", float_inputs)
    if order == 2:
        for mode in settings.modes:
            slope = _derivative(mode, moving, at, random)
            _check(slope, at, settings, random, f" of the {mode}-mode derivative", float_inputs)
    return True


def _float_outputs(value: Any) -> tuple[Tensor, ...]:
    outputs = [as_tensor(leaf) for leaf in tree.flatten(value)[0]]
    return tuple(y for y in outputs if y.dtype.is_float)


def _derivative(mode: str, function: Function, at: Arrays, random: np.random.Generator) -> Function:
    """Returns a function whose value is the first derivative of `function`, in one direction."""
    if mode == "reverse":
        weights = [as_tensor(u) for u in _directions([y.numpy() for y in function(*at)], random)]
        return lambda *values: vjp(function, *map(as_tensor, values))[1](tuple(weights))
    direction = tuple(as_tensor(v) for v in _directions(at, random))
    return lambda *values: jvp(function, tuple(map(as_tensor, values)), direction)[1]


def _directions(likes: Arrays, random: np.random.Generator) -> Arrays:
    return [random.standard_normal(like.shape) for like in likes]


def _check(
    function: Function,
    at: Arrays,
    settings: _Settings,
    random: np.random.Generator,
    suffix: str,
    float_inputs: list[int],
) -> None:
    weights = _directions([y.numpy() for y in function(*at)], random)
    for position, index in enumerate(float_inputs):
        direction = [np.zeros_like(x) for x in at]
        direction[position] = random.standard_normal(at[position].shape)
        difference = _difference(function, at, direction, settings.eps)
        expected = _dot(weights, difference)
        where = f"{suffix}, input {index}"
        if "forward" in settings.modes:
            tangent = _forward(function, at, direction)
            for got, want in zip(tangent, difference, strict=True):
                _compare(f"forward mode{where}", got, want, settings)
        if "reverse" in settings.modes:
            gradients = _reverse(function, at, weights)
            product = _dot(gradients, direction)
            _compare(f"reverse mode{where}", product, expected, settings)
        if len(settings.modes) == 2:
            exact = _Settings(settings.modes, settings.eps, EXACT, EXACT)
            _compare(f"<J^T u, v> against <u, J v>{where}", product, _dot(weights, tangent), exact)


def _difference(function: Function, at: Arrays, direction: Arrays, eps: float) -> Arrays:
    ahead = function(*(x + eps * v for x, v in zip(at, direction, strict=True)))
    behind = function(*(x - eps * v for x, v in zip(at, direction, strict=True)))
    return [(a.numpy() - b.numpy()) / (2 * eps) for a, b in zip(ahead, behind, strict=True)]


def _forward(function: Function, at: Arrays, direction: Arrays) -> Arrays:
    _, tangent = jvp(function, tuple(map(as_tensor, at)), tuple(map(as_tensor, direction)))
    return [leaf.numpy() for leaf in tangent]


def _reverse(function: Function, at: Arrays, weights: Arrays) -> Arrays:
    _, pullback = vjp(function, *map(as_tensor, at))
    return [leaf.numpy() for leaf in pullback(tuple(map(as_tensor, weights)))]


def _dot(a: Arrays, b: Arrays) -> np.ndarray:
    return np.asarray(sum(np.vdot(x, y) for x, y in zip(a, b, strict=True)))


def _compare(what: str, got: np.ndarray, expected: np.ndarray, settings: _Settings) -> None:
    if np.allclose(got, expected, settings.rtol, settings.atol):
        return
    wrong = ~np.isclose(got, expected, settings.rtol, settings.atol)
    index = tuple(int(coordinate) for coordinate in np.argwhere(wrong)[0])
    at = f" at output element {index}" if index else ""
    raise GradientError(
        f"gradcheck: {what}: the derivative in a random direction is {got[index]:.9g}{at}, "
        f"expected {expected[index]:.9g} ({int(wrong.sum())} of {wrong.size} numbers differ)"
    )
