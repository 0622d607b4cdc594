"""Pooling of every window, stride and padding: compiled, eager and (where it is installed) PyTorch
agree in values and gradients.

Padding makes conditions on the position, at which the compiler cuts loops, so that what is left
between them has any width. `SMELT_POOLING=all` tries all widths to 70 and all heights to 20, which
takes about an hour.
"""

from __future__ import annotations

import importlib.util
import os
from itertools import product
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import Tensor

ALL = os.environ.get("SMELT_POOLING") == "all"
WIDTHS = range(1, 71) if ALL else (16, 18, 33)
HEIGHTS = range(1, 21) if ALL else (3,)
HAS_TORCH = importlib.util.find_spec("torch") is not None
WINDOWS = [
    (window, stride, padding)
    for window, stride in product(range(1, 6), range(1, 4))
    for padding in range(window // 2 + 1)
]
Way = tuple[int, int, int]


def shapes(width: int, dimensions: int, way: Way) -> list[tuple[int, ...]]:
    """Returns the inputs of that width into which the window fits."""
    window, _, padding = way
    heights = HEIGHTS if dimensions == 2 else (None,)
    found = [(2, 1, width) if height is None else (1, 2, height, width) for height in heights]
    return [shape for shape in found if min(shape[2:]) + 2 * padding >= window]


def pooled(x: Any, library: Any, way: Way) -> tuple[Any, Any]:
    """Returns the maximum and the mean of each window, by Smelt's functions or PyTorch's."""
    dimensions = len(x.shape) - 2
    functions = (f"max_pool{dimensions}d", f"avg_pool{dimensions}d")
    largest, mean = (getattr(library, name)(x, *way) for name in functions)
    return largest, mean


def step(*inputs: Tensor, way: Way) -> list[Tensor]:
    """Returns what pooling gives, and the gradient of a sum in which every element counts."""

    def total(x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        largest, mean = pooled(x, F, way)
        return (largest * largest).sum() + (mean * mean * mean).sum(), (largest, mean)

    results = []
    for x in inputs:
        (_, values), gradient = smelt.value_and_grad(total, has_aux=True)(x)
        results += [*values, gradient]
    return results


def by_torch(x: np.ndarray, way: Way) -> list[np.ndarray]:
    import torch

    given = torch.tensor(x, requires_grad=True)
    largest, mean = pooled(given, torch.nn.functional, way)
    ((largest * largest).sum() + (mean * mean * mean).sum()).backward()
    return [one.detach().numpy() for one in (largest, mean, given.grad)]


def check(width: int, dimensions: int, way: Way) -> None:
    generator = np.random.default_rng(width)
    arrays = [generator.standard_normal(shape) for shape in shapes(width, dimensions, way)]
    inputs = [smelt.tensor(array, dtype=smelt.float64) for array in arrays]
    if not inputs:
        return
    with smelt.settings(verify=True):
        compiled = smelt.compile(lambda *given: step(*given, way=way))(*inputs)
    with smelt.settings(compile=False):
        eager = step(*inputs, way=way)
    for number, (have, want) in enumerate(zip(compiled, eager, strict=True)):
        tolerance = 1e-12 if number % 3 else 0.0  # a maximum is not rounded
        np.testing.assert_allclose(have.numpy(), want.numpy(), tolerance, tolerance)
    if HAS_TORCH:
        expected = [one for array in arrays for one in by_torch(array, way)]
        for have, other in zip(compiled, expected, strict=True):
            np.testing.assert_allclose(have.numpy(), other, 1e-12, 1e-12)


@pytest.mark.parametrize("way", WINDOWS, ids=lambda way: "window{}-stride{}-padding{}".format(*way))
@pytest.mark.parametrize("dimensions", [1, 2])
def test_compiled_pooling_is_eager_pooling(way: Way, dimensions: int) -> None:
    for width in WIDTHS:
        check(width, dimensions, way)


def test_a_padded_window_as_wide_as_the_input_is_no_tile():
    """Of [1, 2, 3] with a zero in front, the one window of three holds 0, 1 and 2."""
    x = smelt.tensor([[[1.0, 2.0, 3.0]]])
    assert F.avg_pool1d(x, 3, 3, 1).tolist() == [[[1.0]]]


def test_no_stride_is_the_size_of_the_window() -> None:
    x = smelt.arange(16.0).reshape(1, 1, 4, 4)
    for pool in (F.avg_pool2d, F.max_pool2d):
        assert pool(x, 2, ()).tolist() == pool(x, 2).tolist() == pool(x, 2, 2).tolist()
