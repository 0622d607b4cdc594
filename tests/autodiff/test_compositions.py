"""Every composition of three transformations of which one is `compile` equals that without it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

import smelt
from smelt import Tensor, float64

Function = Callable[[Tensor], Tensor]
Transformation = Callable[[Function], Function]

POINT = smelt.tensor([0.3, -0.7, 1.1], dtype=float64)
DIRECTION = smelt.tensor([1.0, -2.0, 0.5], dtype=float64)
MATRIX = smelt.tensor(np.random.default_rng(0).standard_normal((3, 3)))


def function(x: Tensor) -> Tensor:
    return smelt.tanh(MATRIX @ x) * x.exp()


TRANSFORMATIONS: dict[str, Transformation] = {
    "grad": lambda f: lambda x: smelt.grad(lambda y: (f(y) * f(y)).sum())(x),
    "jacrev": lambda f: lambda x: smelt.jacrev(f)(x),
    "jacfwd": lambda f: lambda x: smelt.jacfwd(f)(x),
    "jvp": lambda f: lambda x: smelt.jvp(f, (x,), (DIRECTION,))[1],
    "vmap": lambda f: lambda x: smelt.vmap(f)(smelt.stack([x, x * 2])),
    "checkpoint": lambda f: lambda x: smelt.checkpoint(f, x),
}
PAIRS = list(itertools.product(TRANSFORMATIONS, repeat=2))


def composed(names: tuple[str, ...]) -> Function:
    made: Function = function
    for name in names:
        made = smelt.compile(made) if name == "compile" else TRANSFORMATIONS[name](made)
    return made


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("names", PAIRS, ids="-".join)
def test_compiled_within(names: tuple[str, str], place: int) -> None:
    expected = composed(names)(POINT).numpy()
    compiled = composed((*names[:place], "compile", *names[place:]))
    for _ in range(2):  # the second call keeps residuals
        np.testing.assert_allclose(compiled(POINT).numpy(), expected, rtol=1e-9, atol=1e-12)
