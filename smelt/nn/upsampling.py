"""Layers that resize images."""

from __future__ import annotations

from collections.abc import Sequence

import smelt.functional as F
from smelt.nn.module import Module
from smelt.tensor import Tensor

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]


class Upsample(Module):
    """`F.interpolate` as a layer.

    Args:
        size: the new sizes of all axes except the first two, one number or one for each.
        scale_factor: the factor by which they grow instead.
        mode: "nearest", "nearest-exact", "linear", "bilinear", "trilinear" or "area".
        align_corners: whether the outermost elements keep their positions, in the linear modes.
        recompute_scale_factor: see `F.interpolate`.

    Shapes: (N, C, ...) -> (N, C, *new sizes).
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(
            x, self.size, self.scale_factor, self.mode, self.align_corners,
            self.recompute_scale_factor,
        )  # fmt: skip

    def extra_repr(self) -> str:
        given = "size" if self.scale_factor is None else "scale_factor"
        return f"{given}={getattr(self, given)}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Upsample for images with the nearest elements.

    Args:
        size: the new height and width, one number or two.
        scale_factor: the factor by which they grow instead.

    Shapes: (N, C, H, W) -> (N, C, P, Q).
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Upsample for images by bilinear interpolation, with aligned corners.

    Args:
        size: the new height and width, one number or two.
        scale_factor: the factor by which they grow instead.

    Shapes: (N, C, H, W) -> (N, C, P, Q).
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__(size, scale_factor, "bilinear", align_corners=True)
