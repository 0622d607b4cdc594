"""Channels that become pixels, and pixels that become channels."""

from __future__ import annotations

from smelt.errors import ArgumentError, ShapeError
from smelt.tensor import Tensor
from smelt.tensor.apply import whole_number

__all__ = ["pixel_shuffle", "pixel_unshuffle"]


def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """Returns images r times as high and wide, from r * r times as many channels (Shi et al.,
    2016).

    y[..., c, h * r + i, w * r + j] = x[..., c * r * r + i * r + j, h, w].

    Args:
        x: (..., C * r * r, H, W).
        upscale_factor: r.

    Returns:
        (..., C, H * r, W * r).

    Raises:
        ArgumentError: r is below 1.
        ShapeError: r * r does not divide the number of channels.
    """
    r = _factor("pixel_shuffle", x, upscale_factor)
    *batch, channels, height, width = x.shape
    if channels % (r * r):
        raise ShapeError(
            f"pixel_shuffle: {channels} channels (axis -3 of shape {x.shape}) are not divisible by "
            f"{r} * {r}"
        )
    count = len(batch)
    parts = x.reshape(*batch, channels // (r * r), r, r, height, width)
    order = [*range(count + 1), count + 3, count + 1, count + 4, count + 2]
    return parts.permute(order).reshape(*batch, channels // (r * r), height * r, width * r)


def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """Returns the inverse of `pixel_shuffle`.

    Args:
        x: (..., C, H * r, W * r).
        downscale_factor: r.

    Returns:
        (..., C * r * r, H, W).

    Raises:
        ArgumentError: r is below 1.
        ShapeError: r does not divide height and width.
    """
    r = _factor("pixel_unshuffle", x, downscale_factor)
    *batch, channels, height, width = x.shape
    if height % r or width % r:
        raise ShapeError(
            f"pixel_unshuffle: height and width of shape {x.shape} are not divisible by {r}"
        )
    count = len(batch)
    parts = x.reshape(*batch, channels, height // r, r, width // r, r)
    order = [*range(count + 1), count + 2, count + 4, count + 1, count + 3]
    return parts.permute(order).reshape(*batch, channels * r * r, height // r, width // r)


def _factor(what: str, x: Tensor, factor: int) -> int:
    factor = whole_number(f"{what}: the factor", factor)
    if factor < 1:
        raise ArgumentError(f"{what}: the factor must be at least 1, got {factor}")
    if x.ndim < 3:
        raise ShapeError(f"{what}: needs images (..., C, H, W), got shape {x.shape}")
    return factor
