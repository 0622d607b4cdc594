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
from smelt import Tensor, nn

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


@pytest.mark.parametrize("dtype", [smelt.int32, smelt.int64], ids=repr)
@pytest.mark.parametrize("mode", [lambda f: f, smelt.compile], ids=["eager", "compiled"])
def test_means_of_integers_lose_their_fraction(mode, dtype) -> None:
    """The numbers are PyTorch's, which divides toward 0."""
    line = (smelt.arange(7) - 3).to(dtype).reshape(1, 1, 7)
    image = (smelt.arange(16) - 9).to(dtype).reshape(1, 1, 4, 4)
    cases = [
        (lambda x: F.avg_pool1d(x, 2), line, [[[-2, 0, 1]]]),
        (lambda x: F.avg_pool1d(x, 3, 2, 1), line, [[[-1, -1, 1, 1]]]),
        (lambda x: F.avg_pool1d(x, 3, 2, 1, False, False), line, [[[-2, -1, 1, 2]]]),
        (lambda x: F.avg_pool2d(x, 2), image, [[[[-6, -4], [1, 3]]]]),
        (lambda x: F.avg_pool2d(x, 3, 2, 1, False, False), image, [[[[-6, -5], [0, 1]]]]),
        (lambda x: F.avg_pool2d(x, 3, 2, 1, divisor_override=2), image, [[[[-13, -15], [-1, 4]]]]),
    ]
    for function, x, expected in cases:
        pooled = mode(function)(x)
        assert pooled.dtype is dtype
        assert pooled.tolist() == expected


@pytest.mark.parametrize("stride", [(), []])
def test_no_stride_is_that_of_the_window(stride) -> None:
    x = smelt.randn(1, 1, 4, 4)
    for pool in (F.max_pool2d, F.avg_pool2d):
        assert pool(x, 2, stride).tolist() == pool(x, 2).tolist()
    assert nn.MaxPool1d(2, stride)(x[0]).tolist() == nn.MaxPool1d(2)(x[0]).tolist()


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("dtype", [smelt.float32, smelt.int64])
def test_a_mean_with_padding_is_right_at_lengths_that_change(
    include: bool, dtype: smelt.DType
) -> None:
    def pooled(x: Tensor) -> Tensor:
        return F.avg_pool1d(x, 3, 2, 1, count_include_pad=include)

    of_any = smelt.compile(pooled, dynamic={"x": {2: "length"}})
    for length in (40, 33, 18, 65, 1):
        x = (smelt.randn(2, 3, length) * 9).to(dtype)
        np.testing.assert_array_equal(of_any(x), smelt.compile(pooled)(x))
        np.testing.assert_allclose(of_any(x), pooled(x), 1e-5, 1e-5)
