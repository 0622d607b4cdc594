"""Quantized numbers: integers that stand for floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from smelt import dtypes
from smelt.export.onnx.load.card import INT, Call, Card, Cards, Node
from smelt.export.onnx.load.casting import NARROW
from smelt.export.onnx.load.operators.convolution import convolved
from smelt.export.onnx.load.operators.products import centered
from smelt.export.onnx.load.operators.shapes import axes_from_front
from smelt.export.onnx.load.operators.windows import WINDOWS
from smelt.export.onnx.load.tensors import KINDS, type_name
from smelt.export.onnx.load.types import quantized_type
from smelt.tensor import Tensor, as_tensor, elementary, products, reductions
from smelt.tensor.elementary import where


def _along(call: Call, given: Tensor, x: Tensor) -> Tensor:
    """Returns scales or zero points so that they broadcast with x."""
    if given.ndim == 0 or (given.ndim == 1 and given.shape[0] == 1):
        return given.reshape(())
    (axis,) = axes_from_front([call["axis"]], x.ndim)
    if given.ndim == 1:
        return given.reshape([-1 if other == axis else 1 for other in range(x.ndim)])
    size = call["block_size"] or -(-x.shape[axis] // given.shape[axis])
    wide = given.unsqueeze(axis + 1)
    shape = [*given.shape[: axis + 1], size, *given.shape[axis + 1 :]]
    rows = wide.expand(shape).flatten(axis, axis + 1)
    return rows.narrow(axis, 0, x.shape[axis])


def _dequantize(call: Call, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """Returns (x - zero) * scale."""
    whole = x.to(dtypes.int64)
    if zero is not None:
        whole = whole - _along(call, zero, x).to(dtypes.int64)
    wanted = scale.dtype if not call["output_dtype"] else KINDS[call["output_dtype"]].dtype
    y = whole.to(scale.dtype.compute) * _along(call, scale, x).to(scale.dtype.compute)
    return y.to(wanted)


def _refused_dtype(node: Node) -> str:
    given = node.settings["output_dtype"]
    return "" if not given or given in KINDS else f"to {type_name(given)}"


def _quantize(call: Call, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """Returns x / scale + zero, rounded to even and limited to what the integers hold."""
    y = elementary.round(x.to(scale.dtype) / _along(call, scale, x))
    return _limited(call, y, None if zero is None else _along(call, zero, x), 2)


def _limited(call: Call, y: Tensor, zero: Tensor | None, place: int) -> Tensor:
    low, count = NARROW[quantized_type(call.node.settings, call.node.types, place)]
    y = y.to(dtypes.float64)
    y = y if zero is None else y + zero.to(dtypes.float64)
    return elementary.clamp(y, low, low + count - 1).to(dtypes.int32)


def _refused_result(place: int) -> Callable[[Node], str]:
    def refused(node: Node) -> str:
        wanted = quantized_type(node.settings, node.types, place)
        return "" if wanted in NARROW else f"to {type_name(wanted)}"

    return refused


def _product(
    call: Call,
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
) -> Tensor:
    """A product of matrices of quantized numbers, which is quantized again."""
    whole = products.matmul(centered(a, a_zero, -2), centered(b, b_zero, -1))
    rows = a_scale.unsqueeze(-1) if a_scale.ndim == 1 and a_scale.shape[0] > 1 else a_scale
    scale = rows.to(dtypes.float32) * b_scale.to(dtypes.float32) / y_scale.to(dtypes.float32)
    return _limited(call, elementary.round(whole.to(dtypes.float32) * scale), y_zero, 7)


def _convolution(
    call: Call,
    x: Tensor,
    x_scale: Tensor,
    x_zero: Tensor,
    weight: Tensor,
    w_scale: Tensor,
    w_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
    bias: Tensor | None = None,
) -> Tensor:
    """A convolution of quantized numbers, exact in float64, which is quantized again."""
    parts = centered(x, x_zero), centered(weight, w_zero, 0)
    whole = convolved(call, *(part.to(dtypes.float64) for part in parts))
    by_channel = (-1,) + (1,) * (whole.ndim - 2)
    if bias is not None:
        whole = whole + bias.to(dtypes.float64).reshape(by_channel)
    scales = x_scale.to(dtypes.float32) * w_scale.to(dtypes.float32) / y_scale.to(dtypes.float32)
    scales = scales.reshape(by_channel) if scales.ndim == 1 else scales
    return _limited(call, elementary.round(whole.to(dtypes.float32) * scales), y_zero, 7)


def _dynamic(call: Call, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers from 0 to 255 with a scale and a zero point that fit all of x."""
    low = elementary.minimum(reductions.amin(x), 0.0)
    high = elementary.maximum(reductions.amax(x), 0.0)
    scale = (high - low) / 255.0
    steps = where(scale == 0, 1.0, scale)
    zero = elementary.clamp(elementary.round(-low / steps), 0, 255)
    y = elementary.clamp(elementary.round(x / steps) + zero, 0, 255)
    return y.to(dtypes.int32), scale, as_tensor(zero).to(dtypes.int32)


CARDS: Final[Cards] = {
    "DequantizeLinear": Card(
        _dequantize,
        {"axis": 1, "block_size": 0, "output_dtype": INT},
        first=10,
        refused=_refused_dtype,
    ),
    "QuantizeLinear": Card(
        _quantize,
        {"axis": 1, "block_size": 0, "output_dtype": 0, "precision": 0, "saturate": 1},
        first=10,
        refused=_refused_result(2),
    ),
    "QLinearMatMul": Card(_product, first=10, refused=_refused_result(7)),
    "QLinearConv": Card(
        _convolution, {**WINDOWS, "group": 1}, first=10, refused=_refused_result(7)
    ),
    "DynamicQuantizeLinear": Card(_dynamic, first=11),
}
