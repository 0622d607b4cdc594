"""The verbs of random programs that slide windows: convolutions, transposed ones, pooling."""

from __future__ import annotations

import math

import numpy as np

from smelt.errors import SmeltError
from smelt.ops import movement as M
from smelt.ops.convolution import convolution, effective_extent, padded, transposed
from smelt.ops.pooling import window_argmax, window_put, window_take
from smelt.tensor import Tensor
from tests.compiler.graph_programs import STRUCTURED_VERBS, Run, verb

__all__ = ["STRUCTURED_VERBS"]


@verb(6, STRUCTURED_VERBS)
def convolved(run: Run, a: int, b: int, p: int) -> None:
    """Any stride, dilation, groups; zeros at the ends, or elements cut off; also transposed."""
    draw = np.random.default_rng((a, b, p))
    ndim, groups = int(draw.integers(1, 3)), int(draw.integers(1, 4))
    inner, outer = (int(one) for one in draw.integers(1, 3, 2))
    spatial = _some(draw, 1, 8 if ndim == 1 else 6, ndim)
    kernel, stride, dilation = (_some(draw, 1, 4, ndim) for _ in range(3))
    low, high = (_some(draw, -1, 3, ndim) for _ in range(2))
    samples, x, w = int(draw.integers(1, 3)), run.float(a), run.float(b)
    if not x.tensor.size or not w.tensor.size:
        return
    weight = elements(w.tensor, (groups * outer, inner, *kernel))
    settings = {"stride": stride, "dilation": dilation, "groups": groups}
    try:
        if draw.random() < 0.5:
            given = elements(x.tensor, (samples, groups * inner, *spatial))
            wide = padded(given, (0, 0, *low), (0, 0, *high), (1,) * given.ndim)
            made = convolution(wide, weight, **settings)
        else:
            given = elements(x.tensor, (samples, groups * outer, *spatial))
            made = transposed(given, weight, low, high, **settings)
    except SmeltError:
        return  # a kernel larger than what it slides over
    if made.size <= run.limit:
        run.make(made, False, x.bound * w.bound * math.prod(kernel) * inner * outer)


@verb(4, STRUCTURED_VERBS)
def pooled(run: Run, a: int, b: int, p: int) -> None:
    """The greatest elements of windows, where they stand, and other elements put there."""
    draw = np.random.default_rng((a, b, p))
    ndim = int(draw.integers(1, 3))
    spatial = _some(draw, 1, 8, ndim)
    window, stride, dilation = (_some(draw, 1, 4, ndim) for _ in range(3))
    covered = tuple(map(effective_extent, window, dilation))
    low, high = (tuple(int(draw.integers(0, one)) for one in covered) for _ in range(2))
    axes = zip(spatial, low, high, covered, stride, strict=True)
    counts = tuple((n + lo + hi - most) // step + 1 for n, lo, hi, most, step in axes)
    x, y = run.exact(a), run.float(b)
    if min(counts) < 1 or not x.tensor.size or not y.tensor.size:
        return
    given = elements(x.tensor, (2, *spatial))
    settings = {
        "window": window, "stride": stride, "dilation": dilation, "low": low, "counts": counts
    }  # fmt: skip
    try:
        place = window_argmax(given, **settings)
    except SmeltError:
        return  # a window without elements
    run.make(window_take(given, place, **settings), True, x.bound)
    other = elements(y.tensor, place.shape)
    bound = y.bound * math.prod(window)
    run.make(window_put(other, place, extents=spatial, **settings), False, bound)


def elements(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Returns the first elements of x in another shape, again from the first when they end."""
    count = math.prod(shape)
    times = -(-count // x.size)
    flat = M.broadcast_to(M.reshape(x, shape=(1, x.size)), shape=(times, x.size))
    flat = M.reshape(flat, shape=(times * x.size,))
    return M.reshape(M.slice_(flat, start=(0,), stop=(count,), step=(1,)), shape=shape)


def _some(draw: np.random.Generator, low: int, high: int, count: int) -> tuple[int, ...]:
    return tuple(int(one) for one in draw.integers(low, high, count))
