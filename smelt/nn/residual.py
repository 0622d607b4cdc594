"""Blocks that add to their input instead of replacing it, so that gradients have a direct path."""

from __future__ import annotations

from typing import Any

import smelt.functional as F
from smelt.errors import ShapeError
from smelt.nn.checks import sizes
from smelt.nn.containers import Sequential
from smelt.nn.convolution import Conv2d
from smelt.nn.linear import Identity
from smelt.nn.module import Module
from smelt.nn.normalization import BatchNorm2d
from smelt.tensor import Tensor

__all__ = ["BasicBlock", "HeunBlock", "Residual"]


class Residual(Module):
    """`y = s(x) + f(x)` (He et al., "Deep residual learning", 2016).

    With s(x) = x that is a step of Euler's method for x' = f(x).

    Args:
        function: f.
        shortcut: s, for an f that changes the shape; the identity when None.

    Raises:
        ShapeError: when called, f(x) and s(x) differ in shape.
    """

    def __init__(self, function: Module, shortcut: Module | None = None) -> None:
        self.function = function
        self.shortcut: Module = Identity() if shortcut is None else shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Returns `s(x) + f(x)`."""
        return _sum(self, self.shortcut(x), self.function(x))


class BasicBlock(Module):
    """`relu(s(x) + bn2(conv2(relu(bn1(conv1(x))))))`, ResNet's block of two 3x3 convolutions.

    s is the identity, or, if the block changes the shape, a 1x1 convolution and batch norm (He et
    al., 2016).

    Args:
        in_channels: C.
        out_channels: O.
        stride: of conv1 and of s; 2 halves height and width.
        dtype: of parameters and buffers; float32 when None.

    Parameters: conv1, bn1, conv2, bn2, downsample.0, downsample.1, named as in torchvision.
    Shapes: (B, C, H, W) -> (B, O, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, dtype: Any = None
    ) -> None:
        sizes(self, in_channels=in_channels, out_channels=out_channels, stride=stride)
        out = out_channels
        self.conv1: Conv2d = Conv2d(in_channels, out, 3, stride, padding=1, bias=False, dtype=dtype)
        self.bn1: BatchNorm2d = BatchNorm2d(out, dtype=dtype)
        self.conv2: Conv2d = Conv2d(out, out, 3, padding=1, bias=False, dtype=dtype)
        self.bn2: BatchNorm2d = BatchNorm2d(out, dtype=dtype)
        self.downsample: Module | None = None
        if stride != 1 or in_channels != out:
            self.downsample = Sequential(
                Conv2d(in_channels, out, 1, stride, bias=False, dtype=dtype),
                BatchNorm2d(out, dtype=dtype),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Returns the block's output."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class HeunBlock(Module):
    """`y = x + h/2 (k1 + k2)`, k1 = f(x), k2 = f(x + h k1): a step of Heun's method for x' = f(x).

    f predicts, and is evaluated again at the prediction. The method is of second order in h, a
    residual block of first order (Maleki et al., "HeunNet", 2021).

    Args:
        function: f, which keeps the shape.
        step: h.

    Raises:
        ShapeError: when called, f(x) and x differ in shape.
    """

    def __init__(self, function: Module, step: float = 1.0) -> None:
        self.function = function
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """Returns `x + h/2 (k1 + k2)`."""
        first = self.function(x)
        second = self.function(_sum(self, x, self.step * first))
        return x + 0.5 * self.step * (first + second)

    def extra_repr(self) -> str:
        return f"step={self.step}"


def _sum(block: Any, x: Tensor, change: Tensor) -> Tensor:
    if x.shape != change.shape:
        raise ShapeError(
            f"{type(block).__name__}: a result of shape {change.shape} cannot be added to the "
            f"input {x.shape}; the function must keep the shape, or a shortcut must change it in "
            "the same way"
        )
    return x + change
