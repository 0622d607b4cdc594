"""interpolate: resizes the axes of an image, by nearest or linear interpolation.

Each axis is interpolated separately. The positions to read and their weights follow from the sizes,
so a step computes only reads at constant positions and their weighted sums.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError
from smelt.functional.adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d
from smelt.ops.indexing import take
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor, floating, whole_number
from smelt.tensor.checked import described

__all__ = ["interpolate"]

Factor = float | Sequence[float] | None
LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3}  # and how many axes they are for
MODES = ("nearest", "nearest-exact", *LINEAR, "area")


class Extent(NamedTuple):
    """How an axis is resized."""

    old: int
    new: int
    step: float  # how far apart two new elements are among the old ones, unless corners are aligned


def interpolate(
    x: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: Factor = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Tensor:
    """Returns x with new sizes of all axes except the first two.

    New element p is at `(p + 1/2) * old / new - 1/2` among the old ones, or at
    `p * (old - 1) / (new - 1)` with `align_corners`; "linear" weights the two elements around that
    position by their distance, on each axis.

    Args:
        x: (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: the new sizes, one for all axes or one for each.
        scale_factor: the factor by which they grow instead; the sizes are rounded down.
        mode: "nearest" for the old element at floor(p * old / new), "nearest-exact" for the one
            nearest to the position above; "linear", "bilinear" or "trilinear", for one, two or
            three axes; "area" for adaptive average pooling.
        align_corners: whether the first and last elements coincide with the first and last old
            ones; for the linear modes only.
        recompute_scale_factor: True to compute old / new from the sizes; by default it is 1 /
            scale_factor, if that is given.

    Returns:
        (N, C, *new sizes), of x's dtype; the linear modes turn integers into float32.

    Raises:
        ArgumentError: not exactly one of `size` and `scale_factor` is given, an unknown mode, or
            `align_corners` for a mode without it.
        ShapeError: x has a number of axes that does not fit the mode and the sizes, or an axis
            would be empty.
    """
    x = as_tensor(x)
    _check(x, mode, align_corners)
    extents = _extents(x, size, scale_factor, bool(recompute_scale_factor))
    if mode == "area":
        return _pooled(x, [extent.new for extent in extents])
    if mode in LINEAR:
        x = floating(x)
    for axis in reversed(range(2, x.ndim)):
        extent = extents[axis - 2]
        if mode in LINEAR:
            x = _weighted(x, axis, extent, bool(align_corners))
        else:
            x = take(
                x, as_tensor(_nearest(extent, 0.5 if mode == "nearest-exact" else 0)), axis=axis
            )
    return x


def _check(x: Tensor, mode: str, align_corners: bool | None) -> None:
    if mode not in MODES:
        raise ArgumentError(f"interpolate: mode must be one of {', '.join(MODES)}, got {mode!r}")
    if align_corners is not None and mode not in LINEAR:
        raise ArgumentError(
            f"interpolate: align_corners is only for modes {', '.join(LINEAR)}; leave it out with "
            f"mode {mode!r}"
        )
    axes = LINEAR.get(mode)
    if not 3 <= x.ndim <= 5 or axes not in (None, x.ndim - 2):
        wanted = f"{axes + 2} axes" if axes else "3 to 5 axes"
        hint = "; write x.unsqueeze(0) for a single sample" if x.ndim == (axes or 1) + 1 else ""
        raise ShapeError(
            f"interpolate: mode {mode!r} needs (N, C, ...) with {wanted}, got shape {x.shape}{hint}"
        )


def _extents(x: Tensor, size: Any, scale_factor: Factor, recompute: bool) -> list[Extent]:
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate: give either size or scale_factor")
    old = x.shape[2:]
    if scale_factor is None:
        new = [whole_number("interpolate: size", n) for n in _per_axis("size", size, old)]
        steps = [n / max(m, 1) for n, m in zip(old, new, strict=True)]
    else:
        factors = [_factor(value) for value in _per_axis("scale_factor", scale_factor, old)]
        new = [math.floor(n * factor) for n, factor in zip(old, factors, strict=True)]
        steps = [1 / factor for factor in factors]
        if recompute:
            steps = [n / max(m, 1) for n, m in zip(old, new, strict=True)]
    if min(*old, *new) < 1:
        raise ShapeError(
            f"interpolate: extents must be at least 1, got {tuple(old)} to {tuple(new)}"
        )
    return [Extent(*extent) for extent in zip(old, new, steps, strict=True)]


def _per_axis(name: str, value: Any, extents: Sequence[int]) -> tuple[Any, ...]:
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,) * len(extents)
    if len(values) != len(extents):
        raise ShapeError(
            f"interpolate: {name} must be one number or {len(extents)}, one per spatial axis "
            f"{tuple(extents)}, got {value}"
        )
    return values


def _factor(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise ArgumentTypeError(
            f"interpolate: scale_factor must be a number, got {described(value)}"
        )
    if not 0 < value < math.inf:
        raise ArgumentError(f"interpolate: scale_factor must be positive, got {value}")
    return float(value)


def _nearest(extent: Extent, offset: float) -> np.ndarray:
    """Returns where each new element is read, rounded as PyTorch does: in float32."""
    places = (np.arange(extent.new, dtype=np.float32) + np.float32(offset)) * np.float32(
        extent.step
    )
    return np.minimum(np.floor(places).astype(np.int64), extent.old - 1)


def _weighted(x: Tensor, axis: int, extent: Extent, align_corners: bool) -> Tensor:
    """Returns the weighted sum of the two old elements around each new one of an axis."""
    places = np.arange(extent.new, dtype=np.float64)
    if align_corners:
        places *= (extent.old - 1) / max(extent.new - 1, 1)
    else:
        places = np.maximum((places + 0.5) * extent.step - 0.5, 0)
    below = np.minimum(places.astype(np.int64), extent.old - 1)
    above = np.minimum(below + 1, extent.old - 1)
    second = np.clip(places - below, 0, 1).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
    first = as_tensor(1 - second, x.dtype.compute)
    return (
        take(x, as_tensor(below), axis=axis) * first
        + take(x, as_tensor(above), axis=axis) * as_tensor(second, x.dtype.compute)
    ).to(x.dtype)


def _pooled(x: Tensor, sizes: list[int]) -> Tensor:
    if x.ndim == 5:
        raise ShapeError(f"interpolate: mode 'area' is for one or two axes, got shape {x.shape}")
    return adaptive_avg_pool1d(x, sizes) if x.ndim == 3 else adaptive_avg_pool2d(x, sizes)
