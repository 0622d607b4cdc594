"""pad: adds elements at the ends of axes, constants or the tensor's own elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smelt.autodiff.composition import is_plain
from smelt.errors import ArgumentError, ShapeError
from smelt.functional.padding_value import OwnPadding
from smelt.ops.convolution import padded
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor, whole_number
from smelt.tensor.elementary import where
from smelt.tensor.shaping import cat, flip, narrow

MODES = ("constant", "reflect", "replicate", "circular")


def pad(
    x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Returns x with elements added at the ends of its last axes.

    Args:
        x: of any shape.
        pad: (before, after) for the last axis, then for the one before it, and so on; a negative
            count removes elements.
        mode: "constant" for `value`; "reflect" for the mirror image without the edge itself;
            "replicate" for the edge; "circular" for the other end (of the rest, if elements are
            removed).
        value: the added value in mode "constant"; None for 0.

    Raises:
        ArgumentError: an odd number of counts, or an unknown mode.
        ArgumentTypeError: a count is not an integer.
        ShapeError: more counts than axes, or fewer elements than are to be removed, mirrored or
            repeated.
    """
    x = as_tensor(x)
    counts = tuple(whole_number("pad: a count", count) for count in pad)
    if mode not in MODES:
        raise ArgumentError(f"pad: mode must be one of {', '.join(MODES)}, got {mode!r}")
    if len(counts) % 2:
        raise ArgumentError(f"pad: needs two whole numbers per axis, got {counts}")
    if len(counts) > 2 * x.ndim:
        raise ShapeError(f"pad: {counts} are widths for more axes than shape {x.shape} has")
    if mode == "constant":
        return _constant(x, counts, value or 0)
    axes = range(x.ndim - 1, x.ndim - 1 - len(counts) // 2, -1)
    ends = dict(zip(axes, zip(counts[::2], counts[1::2], strict=True), strict=True))
    if min(counts, default=0) < 0 or not is_plain(x):
        return _by_axes(x, ends, mode)
    for axis, (low, high) in ends.items():
        _check_own(x, axis, low, high, mode)
    edges = tuple(ends.get(axis, (0, 0)) for axis in range(x.ndim))
    return OwnPadding(lambda x: _by_axes(x, ends, mode), edges, mode)(x)


def _by_axes(x: Tensor, ends: dict[int, tuple[int, int]], mode: str) -> Tensor:
    """Adds elements of x itself, and cuts elements off, along one axis after the other."""
    for axis, (low, high) in ends.items():
        if mode == "circular":
            x = _own(_cut(x, axis, low, high), axis, max(0, low), max(0, high), mode)
        else:
            x = _cut(_own(x, axis, max(0, low), max(0, high), mode), axis, low, high)
    return x


def _cut(x: Tensor, axis: int, low: int, high: int) -> Tensor:
    """Returns x without as many elements at the ends of an axis as negative counts say."""
    start, left = max(0, -low), x.shape[axis] - max(0, -low) - max(0, -high)
    if left < 0:
        raise ShapeError(
            f"pad: ({low}, {high}) would remove more elements than axis {axis} of shape {x.shape} "
            "has"
        )
    return x if left == x.shape[axis] else narrow(x, axis, start, left)


def _constant(x: Tensor, counts: tuple[int, ...], value: float) -> Tensor:
    kept = (0,) * (x.ndim - len(counts) // 2)
    low, high = (kept + counts[side::2][::-1] for side in (0, 1))
    if any(sum(ends) < 0 for ends in zip(x.shape, low, high, strict=True)):
        raise ShapeError(f"pad: {counts} would remove more elements than shape {x.shape} has")
    once = (1,) * x.ndim
    result = padded(x, low, high, once)
    if value == 0:
        return result
    inside = padded(as_tensor(np.ones(x.shape, bool)), low, high, once)
    return where(inside, result, as_tensor(value, x.dtype))


def _own(x: Tensor, axis: int, low: int, high: int, mode: str) -> Tensor:
    """Adds elements of x itself along one axis."""
    extent = x.shape[axis]
    if not low and not high:
        return x
    _check_own(x, axis, low, high, mode)
    if mode == "reflect":
        ends = (narrow(x, axis, 1, low), narrow(x, axis, extent - 1 - high, high))
        before, behind = (end if end.shape[axis] < 2 else flip(end, (axis,)) for end in ends)
    elif mode == "circular":
        before, behind = narrow(x, axis, extent - low, low), narrow(x, axis, 0, high)
    else:
        shape = list(x.shape)
        shape[axis] = low
        before = narrow(x, axis, 0, 1).expand(shape)
        shape[axis] = high
        behind = narrow(x, axis, extent - 1, 1).expand(shape)
    blocks = [block for block in (before, x, behind) if block.shape[axis]]
    return cat(blocks, axis) if len(blocks) > 1 else x


def _check_own(x: Tensor, axis: int, low: int, high: int, mode: str) -> None:
    """Raises ShapeError where an axis has fewer elements than are to be added."""
    extent = x.shape[axis]
    limit = {"reflect": extent - 1, "replicate": low + high, "circular": extent}[mode]
    if (low or high) and (not extent or max(low, high) > limit):
        raise ShapeError(
            f"pad: ({low}, {high}) are too wide for mode {mode!r} along axis {axis} of shape "
            f"{x.shape}"
        )
