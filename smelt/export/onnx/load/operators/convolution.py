"""Convolutions, along any number of axes."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.creation import zeros
from smelt.export.onnx.load.card import INTS, Call, Card, Cards, Node
from smelt.export.onnx.load.operators.images import interpolated
from smelt.export.onnx.load.operators.products import centered
from smelt.export.onnx.load.operators.windows import WINDOWS, Sizes, paddings, per_axis
from smelt.ops.convolution import convolution, effective_extent, padded, transposed
from smelt.tensor import Tensor, as_tensor
from smelt.tensor import activations as A
from smelt.tensor.shaping import cat

# how an image is read between its elements: with zeros around
WITHIN: Final[dict[str, Any]] = {"mode": "linear", "padding_mode": "zeros", "align_corners": 1}


def _with_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.to(y.dtype).reshape((-1,) + (1,) * (y.ndim - 2))


def convolved(call: Call, x: Tensor, weight: Tensor) -> Tensor:
    """Returns the convolution of an image by the settings of a node."""
    ndim = weight.ndim - 2
    if x.ndim != weight.ndim or ndim < 1:
        raise call.wrong(f"an input {x.shape} and a weight {weight.shape} have not as many axes")
    kernel, stride, dilation = (
        weight.shape[2:],
        *(per_axis(call, name, ndim) for name in ("strides", "dilations")),
    )
    low, high = paddings(call, x.shape[2:], kernel, stride, dilation)
    if any(low) or any(high):
        x = padded(x, (0, 0, *low), (0, 0, *high), (1,) * x.ndim)
    result: Tensor = convolution(x, weight, stride=stride, dilation=dilation, groups=call["group"])
    return result


def _conv(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    compute = x.dtype.compute
    y = convolved(call, x.to(compute), weight.to(compute))
    return _with_bias(y, bias).to(x.dtype)


def _conv_integer(
    call: Call,
    x: Tensor,
    weight: Tensor,
    x_zero: Tensor | None = None,
    w_zero: Tensor | None = None,
) -> Tensor:
    """Sums of products of integers, exact in float64, which a convolution takes."""
    whole = centered(x, x_zero), centered(weight, w_zero, 0)
    return convolved(call, *(part.to(dtypes.float64) for part in whole)).to(dtypes.int32)


def _conv_transpose(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Each element of x times the kernel, added up where they fall, less what is cut off."""
    ndim = weight.ndim - 2
    stride, dilation = (per_axis(call, name, ndim) for name in ("strides", "dilations"))
    more = per_axis(call, "output_padding", ndim, 0)
    covered = [effective_extent(*axis) for axis in zip(weight.shape[2:], dilation, strict=True)]
    whole = [(n - 1) * s + k for n, s, k in zip(x.shape[2:], stride, covered, strict=True)]
    low, high = _cut_off(call, x, whole, stride, more, ndim)
    before = tuple([-count for count in low])
    behind = tuple([extra - count for extra, count in zip(more, high, strict=True)])
    compute = x.dtype.compute
    y = transposed(
        x.to(compute), weight.to(compute), before, behind, stride, dilation, call["group"]
    )
    return _with_bias(y, bias).to(x.dtype)


def _cut_off(
    call: Call, x: Tensor, whole: list[Any], stride: Any, more: Any, ndim: int
) -> tuple[list[Any], list[Any]]:
    """Returns how many elements are cut off before and behind."""
    wanted = call["output_shape"]
    auto = call["auto_pad"]
    if wanted is None and auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [extent * step for extent, step in zip(x.shape[2:], stride, strict=True)]
    if wanted is None or not len(wanted):
        pads = (0,) * 2 * ndim if auto == "VALID" else per_axis(call, "pads", 2 * ndim, 0)
        return list(pads[:ndim]), list(pads[ndim:])
    wanted = list(wanted)[-ndim:]
    totals = [size + extra - goal for size, extra, goal in zip(whole, more, wanted, strict=True)]
    small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return (small, large) if auto == "SAME_UPPER" else (large, small)


def _causal(
    call: Call, x: Tensor, weight: Tensor, bias: Tensor | None = None, past: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """A convolution of each channel by itself that looks back, over what came before as well."""
    samples, channels, _ = x.shape
    before = weight.shape[-1] - 1
    past = zeros(samples, channels, before, dtype=x.dtype) if past is None else past
    wide = cat([past, x], 2)
    compute = x.dtype.compute
    settings: dict[str, Any] = {"stride": (1,), "dilation": (1,), "groups": channels}
    y = _with_bias(convolution(wide.to(compute), weight.to(compute), **settings), bias)
    y = y.to(x.dtype) if call["activation"] == "none" else A.silu(y.to(x.dtype)).to(x.dtype)
    return y, wide.narrow(2, wide.shape[2] - before, before)


def _deformed(
    call: Call,
    x: Tensor,
    weight: Tensor,
    offset: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """A convolution whose taps stand where offsets move them (Dai et al., 2017), each times a
    number of the mask, if there is one (Zhu et al., 2019).
    """
    if x.ndim != 4:
        raise call.wrong(f"an input {x.shape} does not have two spatial axes")
    samples, channels, *_ = x.shape
    kernel, counts = weight.shape[2:], offset.shape[2:]
    positions, parts, compute = math.prod(counts), call["offset_group"], x.dtype.compute
    moves = offset.to(compute).reshape(samples * parts, *kernel, 2, *counts)
    places = []
    for axis, standing in enumerate(_taps(call, kernel, counts)):
        still = as_tensor(standing.astype(compute.storage))
        places.append((moves[:, :, :, axis] + still).flatten(1))
    groups = x.to(compute).reshape(samples * parts, channels // parts, *x.shape[2:])
    seen = interpolated(WITHIN, groups, places)  # (N, P, C)
    if mask is not None:
        seen = seen * mask.to(compute).reshape(samples * parts, -1, 1)
    columns = seen.transpose(1, 2).reshape(samples, call["group"], -1, positions)
    rows = weight.to(compute).reshape(call["group"], weight.shape[0] // call["group"], -1)
    y = (rows @ columns).reshape(samples, weight.shape[0], *counts)
    return _with_bias(y, bias).to(x.dtype)


def _taps(call: Call, kernel: Sizes, counts: Sizes) -> list[np.ndarray]:
    """Returns where the taps of each window stand along two axes: (*kernel, *counts) each."""
    stride, dilation = (per_axis(call, name, 2) for name in ("strides", "dilations"))
    low = per_axis(call, "pads", 4, 0)[:2]
    places = np.indices((*kernel, *counts))
    return [
        places[axis] * dilation[axis] + places[2 + axis] * stride[axis] - low[axis]
        for axis in range(2)
    ]


def _refused_activation(node: Node) -> str:
    given = node.settings["activation"]
    return "" if given in ("none", "silu", "swish") else f"activation {given!r}"


CARDS: Final[Cards] = {
    "Conv": Card(_conv, {**WINDOWS, "group": 1}, first=1),
    "ConvInteger": Card(_conv_integer, {**WINDOWS, "group": 1}, first=10),
    "ConvTranspose": Card(
        _conv_transpose,
        {**WINDOWS, "group": 1, "output_padding": INTS, "output_shape": INTS},
        first=1,
    ),
    "DeformConv": Card(_deformed, {**WINDOWS, "group": 1, "offset_group": 1}, first=19),
    "CausalConvWithState": Card(
        _causal, {"activation": "none"}, first=27, refused=_refused_activation
    ),
}
