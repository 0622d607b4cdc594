"""Padding as layers: more elements at the ends of the last axes; the modes are those of `F.pad`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import smelt.functional as F
from smelt.errors import ArgumentError, ShapeError
from smelt.nn.module import Module
from smelt.tensor import Tensor
from smelt.tensor.apply import whole_number

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d",
    "ConstantPad3d", "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d",
    "ReplicationPad2d", "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Pad(Module):
    """Adds elements at the ends of the last `axes` axes.

    Args:
        padding: how many at each end, one number for all; or (before, behind) for the last axis,
            then for the one before it, and so on. A negative count cuts elements off.
    """

    axes: ClassVar[int]
    mode: ClassVar[str]

    def __init__(self, padding: int | Sequence[int]) -> None:
        name = type(self).__name__
        given = padding if isinstance(padding, Sequence) else (padding,) * (2 * self.axes)
        self.padding: tuple[int, ...] = tuple(
            whole_number(f"{name}: a count", count) for count in given
        )
        if len(self.padding) != 2 * self.axes:
            raise ArgumentError(
                f"{name}: padding must be one number or {2 * self.axes}, got {self.padding}"
            )

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim not in (self.axes + 1, self.axes + 2):
            raise ShapeError(
                f"{type(self).__name__} needs an input with {self.axes + 1} or {self.axes + 2} "
                f"axes, got shape {x.shape}"
            )
        return F.pad(x, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ReflectionPad(_Pad):
    mode = "reflect"


class _ReplicationPad(_Pad):
    mode = "replicate"


class _CircularPad(_Pad):
    mode = "circular"


class ConstantPad1d(_ConstantPad):
    """Adds `value` at the ends of the last axis: (B, C, L) or (C, L)."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """Adds `value` at the ends of height and width: (B, C, H, W) or (C, H, W)."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """Adds `value` at the ends of the last three axes: (B, C, D, H, W) or (C, D, H, W)."""

    axes = 3


class ZeroPad1d(_ZeroPad):
    """Adds zeros at the ends of the last axis: (B, C, L) or (C, L)."""

    axes = 1


class ZeroPad2d(_ZeroPad):
    """Adds zeros at the ends of height and width: (B, C, H, W) or (C, H, W)."""

    axes = 2


class ZeroPad3d(_ZeroPad):
    """Adds zeros at the ends of the last three axes: (B, C, D, H, W) or (C, D, H, W)."""

    axes = 3


class ReflectionPad1d(_ReflectionPad):
    """Adds the mirror image at the ends of the last axis: (B, C, L) or (C, L)."""

    axes = 1


class ReflectionPad2d(_ReflectionPad):
    """Adds the mirror image at the ends of height and width: (B, C, H, W) or (C, H, W)."""

    axes = 2


class ReflectionPad3d(_ReflectionPad):
    """Adds the mirror image at the ends of the last three axes: (B, C, D, H, W) or (C, D, H, W)."""

    axes = 3


class ReplicationPad1d(_ReplicationPad):
    """Adds the edge at the ends of the last axis: (B, C, L) or (C, L)."""

    axes = 1


class ReplicationPad2d(_ReplicationPad):
    """Adds the edge at the ends of height and width: (B, C, H, W) or (C, H, W)."""

    axes = 2


class ReplicationPad3d(_ReplicationPad):
    """Adds the edge at the ends of the last three axes: (B, C, D, H, W) or (C, D, H, W)."""

    axes = 3


class CircularPad1d(_CircularPad):
    """Adds the other end at the ends of the last axis: (B, C, L) or (C, L)."""

    axes = 1


class CircularPad2d(_CircularPad):
    """Adds the other end at the ends of height and width: (B, C, H, W) or (C, H, W)."""

    axes = 2


class CircularPad3d(_CircularPad):
    """Adds the other end at the ends of the last three axes: (B, C, D, H, W) or (C, D, H, W)."""

    axes = 3
