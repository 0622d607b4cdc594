"""Convolutions over one or two axes, and the transposed ones (LeCun et al. 1998, Zeiler 2010)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import smelt.functional as F
from smelt.errors import ArgumentError
from smelt.functional.windows import Sizes, per_axis
from smelt.nn import init
from smelt.nn.checks import sizes
from smelt.nn.linear import empty_parameter
from smelt.nn.module import Module
from smelt.tensor import Tensor

if TYPE_CHECKING:
    from smelt.nn.parameter import Parameter

__all__ = ["Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d"]

MODES = ("zeros", "reflect", "replicate", "circular")


class _AnyConvolution(Module):
    """Sizes, checks and first values that all convolutions share."""

    ndim: ClassVar[int]

    def _prepare(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        dilation: Any,
        groups: int,
    ) -> None:
        kind, ndim = type(self).__name__, self.ndim
        sizes(self, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if not groups or in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{kind}: in_channels={in_channels} and out_channels={out_channels} must be "
                f"divisible by groups={groups}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size: tuple[int, ...] = per_axis(kind, "kernel_size", kernel_size, ndim, 1)
        self.stride: tuple[int, ...] = per_axis(kind, "stride", stride, ndim, 1)
        self.dilation: tuple[int, ...] = per_axis(kind, "dilation", dilation, ndim, 1)
        self.groups = groups

    def _make_parameters(self, outer: int, inner: int, bias: bool, dtype: Any) -> None:
        self.weight: Parameter = empty_parameter(outer, inner, *self.kernel_size, dtype=dtype)
        self.bias: Parameter | None = (
            empty_parameter(self.out_channels, dtype=dtype) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new initial values, as PyTorch does: kaiming_uniform with a = sqrt(5)."""
        fan_in = self.weight.shape[1] * math.prod(self.kernel_size)
        limit = 1.0 / math.sqrt(fan_in) if fan_in else 0.0
        init.uniform_(self.weight, -limit, limit)
        if self.bias is not None:
            init.uniform_(self.bias, -limit, limit)

    def extra_repr(self) -> str:
        settings = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        settings += [f"stride={self.stride}"]
        usual = {
            "padding": (0,) * self.ndim,
            "dilation": (1,) * self.ndim,
            "output_padding": (0,) * self.ndim,
            "groups": 1,
            "padding_mode": "zeros",
        }
        for name, value in usual.items():
            own = getattr(self, name, value)
            settings += [f"{name}={own!r}"] if own != value else []
        settings += ["bias=False"] if self.bias is None else []
        return ", ".join(settings)


class _Convolution(_AnyConvolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sizes,
        stride: int | Sizes = 1,
        padding: int | Sizes | str = 0,
        dilation: int | Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: Any = None,
    ) -> None:
        kind = type(self).__name__
        self._prepare(in_channels, out_channels, kernel_size, stride, dilation, groups)
        if padding_mode not in MODES:
            raise ArgumentError(
                f"{kind}: padding_mode must be one of {MODES}, got {padding_mode!r}"
            )
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ArgumentError(
                    f"{kind}: padding must be a number, 'same' or 'valid', got {padding!r}"
                )
            if padding == "same" and max(self.stride) > 1:
                raise ArgumentError(f"{kind}: padding 'same' needs stride 1, got {self.stride}")
            self.padding: Sizes | str = padding
        else:
            self.padding = per_axis(kind, "padding", padding, self.ndim)
        self.padding_mode = padding_mode
        self._make_parameters(out_channels, in_channels // groups, bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        padding: int | Sizes | str = self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, self._ends(), self.padding_mode), 0
        function = F.conv1d if self.ndim == 1 else F.conv2d
        return function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _ends(self) -> list[int]:
        """Returns what `F.pad` adds: before and behind, the last axis first."""
        ends: list[int] = []
        for axis in reversed(range(self.ndim)):
            if isinstance(self.padding, str):
                total = (self.kernel_size[axis] - 1) * self.dilation[axis]
                total = total if self.padding == "same" else 0
                ends += [total // 2, total - total // 2]
            else:
                ends += [self.padding[axis]] * 2
        return ends


class Conv1d(_Convolution):
    """`y[n, o, p] = b[o] + sum over c, k of x[n, c, p * stride + k * dilation] * w[o, c, k]`.

    Args:
        in_channels: channels of the input, C.
        out_channels: channels of the output, O.
        kernel_size: taps of the kernel, K.
        stride: how far the kernel moves from one output to the next.
        padding: elements added at both ends; "valid" for none, "same" for as many as keep the
            length.
        dilation: distance between the taps.
        groups: number of groups of channels that are independent of each other.
        bias: whether b is added.
        padding_mode: the padding: "zeros", or elements of the input: "reflect", "replicate",
            "circular".
        dtype: of the parameters; float32 when None.

    Parameters: weight (O, C / groups, K) and bias (O), both initially drawn from U(-r, r) with r =
    1 / sqrt(C / groups * K). Shapes: (N, C, L) -> (N, O, P), also without N.
    """

    ndim = 1


class Conv2d(_Convolution):
    """Conv1d for images: `y[n, o, i, j] = b[o] + sum over c, k, l of
    x[n, c, i * stride + k, j * stride + l] * w[o, c, k, l]`.

    Args:
        in_channels: channels of the input, C.
        out_channels: channels of the output, O.
        kernel_size: one number or two, (K, L); so are stride, padding and dilation.
        stride: see Conv1d, as for all following arguments.
        padding: see Conv1d.
        dilation: see Conv1d.
        groups: see Conv1d.
        bias: whether b is added.
        padding_mode: see Conv1d.
        dtype: of the parameters; float32 when None.

    Parameters: weight (O, C / groups, K, L), bias (O). Shapes: (N, C, H, W) -> (N, O, P, Q), also
    without N.
    """

    ndim = 2


class _TransposedConvolution(_AnyConvolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sizes,
        stride: int | Sizes = 1,
        padding: int | Sizes = 0,
        output_padding: int | Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sizes = 1,
        dtype: Any = None,
    ) -> None:
        kind = type(self).__name__
        self._prepare(in_channels, out_channels, kernel_size, stride, dilation, groups)
        self.padding: tuple[int, ...] = per_axis(kind, "padding", padding, self.ndim)
        self.output_padding: tuple[int, ...] = per_axis(
            kind, "output_padding", output_padding, self.ndim
        )
        self._make_parameters(in_channels, out_channels // groups, bias, dtype)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Returns the transposed convolution; `output_size` chooses among the possible extents."""
        more = self.output_padding if output_size is None else self._missing(x, output_size)
        function = F.conv_transpose1d if self.ndim == 1 else F.conv_transpose2d
        settings = (self.stride, self.padding, more, self.groups, self.dilation)
        return function(x, self.weight, self.bias, *settings)

    def _missing(self, x: Tensor, output_size: Sequence[int]) -> Sizes:
        """Returns the output_padding that gives the extents asked for."""
        asked, spatial = tuple(output_size)[-self.ndim :], x.shape[-self.ndim :]
        axes = zip(spatial, self.stride, self.padding, self.kernel_size, self.dilation, strict=True)
        least = [(n - 1) * s - 2 * p + (k - 1) * d + 1 for n, s, p, k, d in axes]
        more = tuple(a - b for a, b in zip(asked, least, strict=True))
        if any(not 0 <= extra < step for extra, step in zip(more, self.stride, strict=True)):
            largest = tuple(b + step - 1 for b, step in zip(least, self.stride, strict=True))
            raise ArgumentError(
                f"{type(self).__name__}: for an input {x.shape}, output_size must lie between "
                f"{tuple(least)} and {largest}, got {asked}"
            )
        return more


class ConvTranspose1d(_TransposedConvolution):
    """`y[n, o, p * stride + k * dilation - padding] += x[n, c, p] * w[c, o, k]`, then `b[o]`.

    Args:
        in_channels: channels of the input, C.
        out_channels: channels of the output, O.
        kernel_size: taps of the kernel, K.
        stride: distance between the kernels in the output.
        padding: how much is cut off at both ends.
        output_padding: how much less is cut off at the far end.
        groups: number of groups of channels that are independent of each other.
        bias: whether b is added.
        dilation: distance between the taps.
        dtype: of the parameters; float32 when None.

    Parameters: weight (C, O / groups, K) and bias (O), both initially drawn from U(-r, r) with r =
    1 / sqrt(O / groups * K), as PyTorch does. Shapes: (N, C, L) -> (N, O, P) with P = (L - 1) *
    stride - 2 * padding + dilation * (K - 1) + output_padding + 1, also without N.
    """

    ndim = 1


class ConvTranspose2d(_TransposedConvolution):
    """ConvTranspose1d for images; sizes are one number or two.

    Args:
        in_channels: channels of the input, C.
        out_channels: channels of the output, O.
        kernel_size: taps of the kernel, (K, L).
        stride: see ConvTranspose1d, as for all following arguments.
        padding: see ConvTranspose1d.
        output_padding: see ConvTranspose1d.
        groups: see ConvTranspose1d.
        bias: whether b is added.
        dilation: see ConvTranspose1d.
        dtype: of the parameters; float32 when None.

    Parameters: weight (C, O / groups, K, L), bias (O). Shapes: (N, C, H, W) -> (N, O, P, Q), also
    without N.
    """

    ndim = 2
