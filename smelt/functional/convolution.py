"""Convolution: that of deep learning, whose kernel is not flipped, and the mathematical one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.functional.channels import check_channels
from smelt.functional.windows import Sizes, per_axis, with_batch
from smelt.ops.convolution import convolution, effective_extent, padded, transposed
from smelt.ops.op import Shape
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor, common_dtype
from smelt.tensor.composite import marked
from smelt.tensor.shaping import flip

MODES = ("full", "same", "valid")


def conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sizes = 1,
    padding: int | Sizes | str = 0,
    dilation: int | Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Returns y[n, o, p] = b[o] + sum over c, k of x[n, c, p * stride + k * dilation] w[o, c, k].

    Args:
        x: (N, C, L) or (C, L).
        weight: w, (O, C / groups, K), as PyTorch stores it.
        bias: b, (O), or None for 0.
        stride: how far the kernel moves from one output to the next.
        padding: zeros at both ends; or "valid" for none, "same" for as many as make y as long as x
            (an odd one goes at the end).
        dilation: distance between the taps of the kernel.
        groups: number of groups of channels that are independent of each other.

    Returns:
        (N, O, P) or (O, P), P = (L + 2 padding - (K - 1) dilation - 1) // stride + 1.

    Raises:
        ShapeError: channels that do not fit, or a kernel larger than the padded input.
        ArgumentError: a size that is not an integer or is out of range, or "same" with a stride.
        DTypeError: x and the weight are floats of different dtypes.
    """
    return _convolution("conv1d", x, weight, bias, stride, padding, dilation, groups, 1)


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sizes = 1,
    padding: int | Sizes | str = 0,
    dilation: int | Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Returns `conv1d` over two axes.

    y[n, o, i, j] = b[o] + sum over c, k, l of x[n, c, i * stride + k, j * stride + l] w[o, c, k, l]

    Args:
        x: (N, C, H, W) or (C, H, W).
        weight: w, (O, C / groups, K, L).
        bias: b, (O), or None for 0.
        stride: one number, or one for each of the two axes; the same holds for the next two.
        padding: see `conv1d`.
        dilation: see `conv1d`.
        groups: see `conv1d`.

    Raises the same errors as `conv1d`.
    """
    return _convolution("conv2d", x, weight, bias, stride, padding, dilation, groups, 2)


def conv_transpose1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sizes = 1,
    padding: int | Sizes = 0,
    output_padding: int | Sizes = 0,
    groups: int = 1,
    dilation: int | Sizes = 1,
) -> Tensor:
    """Returns the transposed convolution: each element of x adds a scaled kernel to y.

    y[n, o, p * stride + k * dilation - padding] += x[n, c, p] w[c, o, k], then b[o] everywhere:
    the gradient of `conv1d` with respect to its input (Zeiler et al., 2010).

    Args:
        x: (N, C, L) or (C, L).
        weight: w, (C, O / groups, K), as PyTorch stores it.
        bias: b, (O), or None for 0.
        stride: distance between the kernels in y.
        padding: how much is cut off at both ends.
        output_padding: how much less is cut off at the far end; below stride or dilation.
        groups: number of groups of channels that are independent of each other.
        dilation: distance between the taps of the kernel.

    Returns:
        (N, O, P) or (O, P), P = (L - 1) stride - 2 padding + (K - 1) dilation + output_padding + 1.

    Raises the same errors as `conv1d`.
    """
    settings = (stride, padding, output_padding, groups, dilation)
    return _transposed("conv_transpose1d", x, weight, bias, *settings, ndim=1)


def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sizes = 1,
    padding: int | Sizes = 0,
    output_padding: int | Sizes = 0,
    groups: int = 1,
    dilation: int | Sizes = 1,
) -> Tensor:
    """Returns `conv_transpose1d` over two axes: x (N, C, H, W) or (C, H, W), weight
    (C, O / groups, K, L).
    """
    settings = (stride, padding, output_padding, groups, dilation)
    return _transposed("conv_transpose2d", x, weight, bias, *settings, ndim=2)


def convolve(x: Any, kernel: Any, mode: str = "full") -> Tensor:
    """Returns the mathematical convolution, which flips the kernel, over all axes.

    y[n] = sum over i of x[i] kernel[n - i]

    Args:
        x: of any shape with one axis or more; no batch, no channels.
        kernel: with the same number of axes.
        mode: "full" for every n where they overlap; "same" for the central part, as long as x;
            "valid" for only those n where the kernel is entirely within x.

    Raises:
        ShapeError: different numbers of axes, or a kernel larger than x in mode "valid".
        ArgumentError: an unknown mode.
    """
    kernel = as_tensor(kernel)
    return _signal_convolution("convolve", x, flip(kernel, tuple(range(kernel.ndim))), mode)


def correlate(x: Any, kernel: Any, mode: str = "valid") -> Tensor:
    """Returns the cross-correlation y[n] = sum over i of x[n + i] kernel[i], over all axes.

    Arguments and errors are those of `convolve`; the kernel is not flipped.
    """
    return _signal_convolution("correlate", x, as_tensor(kernel), mode)


def _convolution(
    what: str,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    ndim: int,
) -> Tensor:
    x = _fitting(what, as_tensor(x), weight, bias, weight.shape[:1], ndim)
    _check_groups(what, groups, weight.shape[0], "output")
    form = "(O, C, ...)" if groups == 1 else f"(O, C / {groups} groups, ...)"
    check_channels(what, x, weight, form, weight.shape[1] * groups, ndim)
    stride = per_axis(what, "stride", stride, ndim, 1)
    dilation = per_axis(what, "dilation", dilation, ndim, 1)
    covered = tuple(map(effective_extent, weight.shape[2:], dilation))
    low, high = _ends(what, padding, stride, covered, ndim)

    def convolved(x: Tensor) -> Tensor:
        wide = tuple(map(sum, zip(x.shape[2:], low, high, strict=True)))
        if any(reach > extent for reach, extent in zip(covered, wide, strict=True)):
            raise ShapeError(
                f"{what}: a kernel that covers {covered} elements (weight {weight.shape}, "
                f"dilation {dilation}) is larger than the padded input {wide} (input {x.shape})"
            )
        settings = {"stride": stride, "dilation": dilation, "groups": groups}
        wide_x = _zero_padded(x, low, high)
        return _run(wide_x, weight, bias, lambda x, w: convolution(x, w, **settings))

    return with_batch(what, x, ndim, convolved)


def _transposed(
    what: str,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    ndim: int,
) -> Tensor:
    x = _fitting(what, as_tensor(x), weight, bias, (weight.shape[1] * groups,), ndim)
    _check_groups(what, groups, weight.shape[0], "input")
    form = "(C, O, ...)" if groups == 1 else f"(C, O / {groups} groups, ...)"
    check_channels(what, x, weight, form, weight.shape[0], ndim)
    stride = per_axis(what, "stride", stride, ndim, 1)
    dilation = per_axis(what, "dilation", dilation, ndim, 1)
    padding = per_axis(what, "padding", padding, ndim)
    more = per_axis(what, "output_padding", output_padding, ndim)
    bounds = zip(more, stride, dilation, strict=True)
    if any(extra >= max(step, gap) for extra, step, gap in bounds):
        raise ArgumentError(
            f"{what}: output_padding {more} must be smaller than stride {stride} or dilation"
        )

    def spread(x: Tensor) -> Tensor:
        low = tuple(-count for count in padding)
        high = tuple(extra - count for extra, count in zip(more, padding, strict=True))
        axes = zip(x.shape[2:], stride, weight.shape[2:], dilation, low, high, strict=True)
        sizes = [(n - 1) * s + effective_extent(k, d) + a + b for n, s, k, d, a, b in axes]
        if any(size < 1 for size in sizes):
            raise ShapeError(
                f"{what}: an input with extents {x.shape[2:]} would give an output with extents "
                f"{tuple(sizes)}; use a smaller padding than {padding}"
            )
        y = _run(
            x, weight, bias, lambda x, w: transposed(x, w, low, high, stride, dilation, groups)
        )
        form = {"window": weight.shape[2:], "stride": stride, "padding": padding}
        form |= {"output_padding": more, "dilation": dilation}
        return marked(y, "conv_transpose", x, weight, bias, **form, groups=groups)

    return with_batch(what, x, ndim, spread)


def _fitting(
    what: str, x: Tensor, weight: Tensor, bias: Tensor | None, outputs: Shape, ndim: int
) -> Tensor:
    """Returns x in the weight's dtype; refuses weights of a wrong rank, biases of a wrong size,
    and floats of other dtypes.
    """
    if weight.ndim != ndim + 2:
        raise ShapeError(
            f"{what}: the weight needs {ndim + 2} axes, (channels, channels, kernel), "
            f"got {weight.shape}"
        )
    if bias is not None and bias.shape != outputs:
        raise ShapeError(
            f"{what}: the bias must have shape ({outputs[0]},), one number per output channel, got "
            f"{bias.shape}"
        )
    for name, given in (("an input", x), ("a bias", bias)):
        if given is not None and given.dtype is not weight.dtype and given.dtype.is_float:
            raise DTypeError(
                f"{what}: {name} is {given.dtype.name}, but the weight is {weight.dtype.name}; "
                "cast a tensor to the weight's dtype with "
                f".to(smelt.{weight.dtype.name}), an array with .astype('{weight.dtype.name}')"
            )
    return x.to(weight.dtype)


def _check_groups(what: str, groups: int, channels: int, kind: str) -> None:
    if groups < 1 or channels % groups:
        raise ShapeError(
            f"{what}: {groups} groups do not divide the weight's {channels} {kind} channels"
        )


def _ends(what: str, padding: Any, stride: Sizes, covered: Sizes, ndim: int) -> tuple[Sizes, Sizes]:
    """Returns how many zeros come before and behind each axis."""
    if padding == "same":
        if max(stride) > 1:
            raise ArgumentError(f"{what}: padding 'same' needs stride 1, got {stride}")
        low = tuple((reach - 1) // 2 for reach in covered)
        return low, tuple(reach - 1 - before for reach, before in zip(covered, low, strict=True))
    if isinstance(padding, str) and padding != "valid":
        raise ArgumentError(f"{what}: padding must be a number, 'same' or 'valid', got {padding!r}")
    low = per_axis(what, "padding", 0 if padding == "valid" else padding, ndim)
    return low, low


def _zero_padded(x: Tensor, low: Sizes, high: Sizes) -> Tensor:
    if not any(low + high):
        return x
    return padded(x, (0, 0, *low), (0, 0, *high), (1,) * x.ndim)


def _run(
    x: Tensor, weight: Tensor, bias: Tensor | None, function: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Returns function(x, weight) + bias; half floats are computed in float32."""
    compute = x.dtype.compute
    y = function(x.to(compute), weight.to(compute))
    if bias is not None:
        y = y + bias.to(compute).reshape((-1,) + (1,) * (y.ndim - 2))
    return y.to(x.dtype)


def _signal_convolution(what: str, x: Any, kernel: Tensor, mode: str) -> Tensor:
    x = as_tensor(x)
    if x.ndim != kernel.ndim or not x.ndim:
        raise ShapeError(
            f"{what}: input and kernel must have the same number of axes, at least one; got shapes "
            f"{x.shape} and {kernel.shape}"
        )
    if mode not in MODES:
        raise ArgumentError(f"{what}: mode must be one of {MODES}, got {mode!r}")
    dtype = common_dtype((x, kernel))
    x, kernel = x.to(dtype), kernel.to(dtype)
    if mode == "valid":
        low = high = (0,) * x.ndim
    elif mode == "full":
        low = high = tuple(extent - 1 for extent in kernel.shape)
    else:
        low = tuple(extent // 2 for extent in kernel.shape)
        high = tuple((extent - 1) // 2 for extent in kernel.shape)
    once = (1,) * x.ndim
    image = _zero_padded(x.reshape((1, 1, *x.shape)), low, high)
    weight = kernel.reshape((1, 1, *kernel.shape))

    def convolved(x: Tensor, w: Tensor) -> Tensor:
        return convolution(x, w, stride=once, dilation=once, groups=1)

    y = _run(image, weight, None, convolved)
    return y.reshape(y.shape[2:])
