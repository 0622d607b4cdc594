"""The convolution in NumPy: matrix products with the elements that the kernel's taps see."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

Sizes = tuple[int, ...]
_FEW_POSITIONS = 48  # with fewer per sample, samples share one product
_CACHED = 1 << 18  # elements gathered at once


def effective_extent(extent: int, dilation: int) -> int:
    """Returns how many elements a kernel of `extent` taps covers, gaps included."""
    return (extent - 1) * dilation + 1


def convolution_value(
    x: np.ndarray, w: np.ndarray, stride: Sizes, dilation: Sizes, groups: int
) -> np.ndarray:
    """Returns y (N, O, *P) for x (N, C, *S) and w (O, C / groups, *K), see `Convolution`.

    Either all elements that the taps see are gathered and multiplied by the kernel at once, or, if
    there are fewer positions than taps (as in the gradient of a kernel), it loops over positions.
    """
    kernel = w.shape[2:]
    covered = map(effective_extent, kernel, dilation)
    axes = zip(x.shape[2:], covered, stride, strict=True)
    spatial = tuple([(extent - taps) // step + 1 for extent, taps, step in axes])
    samples, inner = x.shape[0], w.shape[1]
    if 0 in (*x.shape, *w.shape, *spatial):
        return np.zeros((samples, w.shape[0], *spatial), x.dtype)
    x = x.reshape((samples, groups, inner, *x.shape[2:]))
    if math.prod(spatial) < math.prod(kernel):
        return _by_positions(x, w, spatial, stride, dilation)
    weights = w.reshape((groups, w.shape[0] // groups, inner * math.prod(kernel)))
    y = np.empty((samples, w.shape[0], *spatial), x.dtype)
    for part in _blocks(samples, weights.shape[2] * groups * math.prod(spatial)):
        _by_taps(x[part], weights, kernel, y[part], stride, dilation)
    return y


def _blocks(samples: int, each: int) -> Iterator[slice]:
    """Yields slices of samples whose gathered elements fit into the cache together."""
    count = max(1, _CACHED // max(1, each))
    for start in range(0, samples, count):
        yield slice(start, start + count)


def _by_taps(
    x: np.ndarray,
    weights: np.ndarray,
    kernel: Sizes,
    y: np.ndarray,
    stride: Sizes,
    dilation: Sizes,
) -> None:
    """Fills y (N, O, *P) from x (N, G, C / G, *S) and weights (G, O / G, C / G * taps)."""
    samples, groups, _ = x.shape[:3]
    spatial, taps = y.shape[2:], math.prod(kernel)
    positions = math.prod(spatial)
    shared = positions < _FEW_POSITIONS
    if shared:  # (G, C / G, N, *S): all samples are one row of positions
        x = x.transpose((1, 2, 0, *range(3, x.ndim)))
    before = x.shape[:2] if shared else x.shape[:3]
    seen = np.empty((*before, taps, *x.shape[len(before) : 3], *spatial), x.dtype)
    for number, tap in enumerate(itertools.product(*map(range, kernel))):
        start = [place * gap for place, gap in zip(tap, dilation, strict=True)]
        room = seen[:, :, number] if shared else seen[:, :, :, number]
        np.copyto(room, _strided(x, start, spatial, stride))
    if shared:
        product = np.matmul(weights, seen.reshape((groups, -1, samples * positions)))
        y[...] = product.reshape((y.shape[1], samples, *spatial)).swapaxes(0, 1)
    else:
        columns = seen.reshape((samples, groups, -1, positions))
        np.matmul(weights, columns, out=y.reshape((samples, groups, -1, positions)))


def _by_positions(
    x: np.ndarray, w: np.ndarray, spatial: Sizes, stride: Sizes, dilation: Sizes
) -> np.ndarray:
    """Returns y (N, O, *P) from x (N, G, C / G, *S), one product for each position."""
    samples, groups, inner = x.shape[:3]
    depth, kernel = inner * math.prod(w.shape[2:]), w.shape[2:]
    weights = w.reshape((groups, w.shape[0] // groups, depth)).swapaxes(1, 2)
    x = x.swapaxes(0, 1)
    y = np.empty((*spatial, groups, samples, weights.shape[2]), x.dtype)
    for place in itertools.product(*map(range, spatial)):
        start = [part * step for part, step in zip(place, stride, strict=True)]
        seen = _strided(x, start, kernel, dilation).reshape((groups, samples, depth))
        np.matmul(seen, weights, out=y[place])
    ndim = len(spatial)
    y = y.transpose((ndim + 1, ndim, ndim + 2, *range(ndim)))
    return y.reshape((samples, w.shape[0], *spatial))


def _strided(x: np.ndarray, start: list[int], counts: Sizes, steps: Sizes) -> np.ndarray:
    """Returns so many elements from `start` on along each of the last axes, `steps` apart."""
    ends = [first + (n - 1) * gap + 1 for first, n, gap in zip(start, counts, steps, strict=True)]
    kept = [slice(None)] * (x.ndim - len(start))
    return x[(*kept, *map(slice, start, ends, steps))]
