"""Pooling layers: one number for each window, or for each of a given number of parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import smelt.functional as F
from smelt.functional.adaptive_pooling import Output
from smelt.functional.windows import Sizes
from smelt.nn.module import Module
from smelt.tensor import Tensor

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AvgPool1d",
    "AvgPool2d", "MaxPool1d", "MaxPool2d",
]  # fmt: skip


class _Pool(Module):
    """Sizes as they were given; the functions check them against the input."""

    kernel_size: Any
    stride: Any
    padding: Any
    ceil_mode: bool

    def _settings(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"ceil_mode={self.ceil_mode}"
        )


class _MaxPool(_Pool):
    def __init__(
        self,
        kernel_size: int | Sizes,
        stride: int | Sizes | None = None,
        padding: int | Sizes = 0,
        dilation: int | Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride: int | Sizes = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return f"{self._settings()}, dilation={self.dilation}"


class MaxPool1d(_MaxPool):
    """`y[n, c, p] = max over k < kernel_size of x[n, c, p * stride + k * dilation - padding]`.

    Args:
        kernel_size: elements in a window.
        stride: distance between windows; None for kernel_size.
        padding: ignored positions at both ends.
        dilation: distance between the elements of a window.
        return_indices: whether to return the positions of the elements as well.
        ceil_mode: whether a last window may reach beyond the end.

    The gradient goes to the first of equal elements. Shapes: (N, C, L) -> (N, C, P), also
    without N.
    """

    def forward(self, x: Tensor) -> Any:
        return F.max_pool1d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip


class MaxPool2d(_MaxPool):
    """MaxPool1d for images; sizes are one number or two.

    Args:
        kernel_size: elements in a window.
        stride: see MaxPool1d, as for all following arguments.
        padding: see MaxPool1d.
        dilation: see MaxPool1d.
        return_indices: see MaxPool1d.
        ceil_mode: see MaxPool1d.

    Shapes: (N, C, H, W) -> (N, C, P, Q), also without N.
    """

    def forward(self, x: Tensor) -> Any:
        return F.max_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip


class AvgPool1d(_Pool):
    """`y[n, c, p] = mean over k < kernel_size of x[n, c, p * stride + k - padding]`.

    Args:
        kernel_size: elements in a window.
        stride: distance between windows; None for kernel_size.
        padding: zeros at both ends.
        ceil_mode: whether a last window may reach beyond the end.
        count_include_pad: whether zeros of the padding count as elements.

    Shapes: (N, C, L) -> (N, C, P), also without N.
    """

    def __init__(
        self,
        kernel_size: int | Sizes,
        stride: int | Sizes | None = None,
        padding: int | Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride: int | Sizes = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool1d(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def extra_repr(self) -> str:
        return f"{self._settings()}, count_include_pad={self.count_include_pad}"


class AvgPool2d(AvgPool1d):
    """AvgPool1d for images; sizes are one number or two.

    Args:
        kernel_size: elements in a window.
        stride: see AvgPool1d, as for the next three.
        padding: see AvgPool1d.
        ceil_mode: see AvgPool1d.
        count_include_pad: see AvgPool1d.
        divisor_override: what each sum is divided by; None for the number of its elements.

    Shapes: (N, C, H, W) -> (N, C, P, Q), also without N.
    """

    def __init__(
        self,
        kernel_size: int | Sizes,
        stride: int | Sizes | None = None,
        padding: int | Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip


class _AdaptiveAvgPool(Module):
    def __init__(self, output_size: Output) -> None:
        if isinstance(output_size, Sequence):
            output_size = tuple(output_size)
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The mean of each of `output_size` parts: (N, C, L) -> (N, C, output_size), also without N.

    Args:
        output_size: the number of parts; None keeps the size.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(x, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """AdaptiveAvgPool1d for images: (N, C, H, W) -> (N, C, *output_size), also without N.

    Args:
        output_size: the number of parts of both axes, or of each; None keeps a size.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, self.output_size)


class _AdaptiveMaxPool(_AdaptiveAvgPool):
    def __init__(self, output_size: Output, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest element of each of `output_size` parts: (N, C, L) -> (N, C, output_size).

    Args:
        output_size: the number of parts; None keeps the size.
        return_indices: whether to return the positions of the elements as well.
    """

    def forward(self, x: Tensor) -> Any:
        return F.adaptive_max_pool1d(x, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """AdaptiveMaxPool1d for images: (N, C, H, W) -> (N, C, *output_size), also without N.

    Args:
        output_size: the number of parts of both axes, or of each; None keeps a size.
        return_indices: whether to return the positions of the elements as well.
    """

    def forward(self, x: Tensor) -> Any:
        return F.adaptive_max_pool2d(x, self.output_size, self.return_indices)
