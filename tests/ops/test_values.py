"""Values by NumPy that are computed otherwise than they are defined, against their definitions."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from smelt.ir.arithmetic import erf
from smelt.ir.select import select
from smelt.ops.convolution_value import convolution_value
from smelt.ops.order import places_in_order
from smelt.ops.random import WORD, _words, philox

DTYPES = (np.float32, np.float64, np.int32, np.int64, np.bool_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_is_right_to_the_last_bits(dtype: Any) -> None:
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(0, 2, 20_000), np.linspace(-7, 7, 9_001)]).astype(dtype)
    wanted = np.array([math.erf(number) for number in x.tolist()])
    distance = np.abs(erf(x) - wanted) / np.spacing(np.abs(wanted.astype(dtype)) + dtype(1e-30))
    assert distance.max() <= 2.6


def test_erf_at_the_ends() -> None:
    ends = np.array([0.0, -0.0, np.inf, -np.inf, 1e30, -1e30, np.nan], np.float32)
    with np.errstate(all="ignore"):
        found = erf(ends)
    np.testing.assert_array_equal(found, np.float32([0, 0, 1, -1, 1, -1, np.nan]))
    assert np.signbit(found[1])


@pytest.mark.parametrize("dtype", [*DTYPES, np.float16])
@pytest.mark.parametrize(
    ("condition", "yes", "no"),
    [
        ((3000,), (), ()),
        ((3000,), (3000,), ()),
        ((50, 100), (100,), (50, 1)),
        ((1, 3000), (5, 1), (1, 1)),
        ((4,), (4,), ()),
        ((), (), ()),
    ],
)
def test_select_is_where(dtype: Any, condition: Any, yes: Any, no: Any) -> None:
    random = np.random.default_rng(1)
    chosen = np.asarray(random.random(condition) < 0.5)
    sides = [np.asarray(random.integers(0, 3, shape)).astype(dtype) for shape in (yes, no)]
    found, wanted = select(chosen, *sides), np.where(chosen, *sides)
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


def test_select_keeps_every_bit() -> None:
    odd = np.array([np.nan, -np.nan, -0.0, np.inf] * 1000, np.float32)
    found = select(np.ones(4000, bool), odd, np.float32(1))
    np.testing.assert_array_equal(found.view(np.int32), odd.view(np.int32))


def convolved(x: Any, w: Any, stride: Any, dilation: Any, groups: int) -> np.ndarray:
    """The definition, one position after the other."""
    axes = zip(x.shape[2:], w.shape[2:], stride, dilation, strict=True)
    spatial = [(extent - (taps - 1) * gap - 1) // step + 1 for extent, taps, step, gap in axes]
    inner, outer = x.shape[1] // groups, w.shape[0] // groups
    y = np.zeros((x.shape[0], w.shape[0], *spatial))
    for o, place in itertools.product(range(w.shape[0]), itertools.product(*map(range, spatial))):
        first = o // outer * inner
        parts = zip(place, stride, w.shape[2:], dilation, strict=True)
        seen = [slice(p * s, p * s + (taps - 1) * gap + 1, gap) for p, s, taps, gap in parts]
        part = x[(slice(None), slice(first, first + inner), *seen)] * w[o]
        y[(slice(None), o, *place)] = part.sum(tuple(range(1, part.ndim)))
    return y


@pytest.mark.parametrize("seed", range(60))
def test_convolution_is_its_definition(seed: int) -> None:
    random = np.random.default_rng(seed)

    def whole(low: int, high: int, count: int) -> tuple[int, ...]:
        return tuple(map(int, random.integers(low, high, count)))

    ndim, (groups, inner, outer) = int(random.integers(1, 4)), whole(1, 3, 3)
    kernel, stride, dilation = whole(1, 4, ndim), whole(1, 4, ndim), whole(1, 3, ndim)
    axes = zip(kernel, dilation, whole(0, 9, ndim), strict=True)
    extents = [(taps - 1) * gap + 1 + more for taps, gap, more in axes]
    x = random.normal(size=(*whole(0, 4, 1), groups * inner, *extents))
    w = random.normal(size=(groups * outer, inner, *kernel))
    found = convolution_value(x, w, stride, dilation, groups)
    np.testing.assert_allclose(found, convolved(x, w, stride, dilation, groups), atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [0, 1, 7, 40, 300, 5000])
@pytest.mark.parametrize("descending", [False, True])
def test_places_in_order_are_stable(dtype: Any, length: int, descending: bool) -> None:
    random = np.random.default_rng(length)
    draws = ((4, 1, 0.2), (1000, 1, 0.2), (2**31 - 1, 2**31, 0.2), (2**31 - 1, 1, 0.002))
    for spread, factor, share in draws:
        x = random.integers(-spread, spread, (3, length)).astype(dtype)
        if dtype in (np.float32, np.float64):
            odd = random.choice([np.nan, -np.nan, np.inf, -np.inf, -0.0, 0.0], x.shape)
            x = np.where(random.random(x.shape) < share, odd, x).astype(dtype)
        elif dtype is np.int64:
            x *= factor
        wanted = np.argsort(x, axis=-1, kind="stable")
        if descending:
            backward = np.argsort(x[:, ::-1], axis=-1, kind="stable")[:, ::-1]
            wanted = length - 1 - backward
        for rows, order in ((x, wanted), (x[0], wanted[0])):
            for count in (None, 0, 1, 4, length // 2, length):
                found = places_in_order(rows, count, descending)
                assert found.dtype == np.int64
                np.testing.assert_array_equal(found, order[..., :count])


def test_places_of_long_rows_of_64_bits() -> None:
    random = np.random.default_rng(0)
    x = random.integers(-(2**63), 2**63 - 1, 50_000)
    x[:10_000] = x[10_000] ^ random.integers(0, 4, 10_000)  # equal upper halves
    for rows in (x, x[20_000:], x[20_000:].view(np.float64)):
        wanted = np.argsort(rows, kind="stable")
        with np.errstate(all="ignore"):  # nan of every kind
            np.testing.assert_array_equal(places_in_order(rows), wanted)


def test_words_are_those_of_philox() -> None:
    random = np.random.default_rng(0)
    block, seed = random.integers(0, 2**63, 500).astype(np.uint64), 2**63 + 12345
    zero, word = np.zeros_like(block), np.uint64(WORD)
    key = (np.uint64(seed & WORD), np.uint64(seed >> 32))
    wanted = philox((block & word, block >> np.uint64(32), zero, zero), key)
    np.testing.assert_array_equal(_words(block, seed), np.stack(wanted))
