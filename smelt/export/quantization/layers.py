"""Layers of a quantized model: each is a few ordinary operations on int8 and int32 tensors.

Weights and activations are int8, sums of products int32. So the same code runs eagerly, compiles,
and is exported; and since integers are exact, all three give the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smelt.dtypes import int8, int32
from smelt.export.quantization.capture import Attributes
from smelt.export.quantization.fixed_point import LARGEST, clipped, combined, requantized
from smelt.nn.module import Module
from smelt.ops import contraction, elementwise, indexing, movement, pooling, reduction
from smelt.ops.convolution import convolution
from smelt.ops.op import Op
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor

__all__ = [
    "Clip",
    "Combination",
    "Concatenation",
    "Convolution",
    "Dequantize",
    "Extreme",
    "FloatOperation",
    "Layer",
    "Linear",
    "MatrixProduct",
    "MaxPool",
    "Movement",
    "Multiplication",
    "Quantize",
    "Requantize",
    "Sum",
    "Table",
    "bytes_of",
]


class Layer(Module):
    """A layer: `forward(samples, *values)` gives one value.

    `samples` is the number of samples, on which the extents of a reshape depend.
    """

    kind: str = "layer"  # in a report
    bytes_before: int = 0  # of the float32 weights and biases that it stands for

    def _hold(self, **arrays: np.ndarray | None) -> None:
        """Keeps arrays as buffers."""
        for name, array in arrays.items():
            self.register_buffer(name, None if array is None else as_tensor(np.array(array)))


def bytes_of(module: Module) -> int:
    """Returns the bytes of all that a layer, or a model of layers, keeps."""
    return sum(x.size * x.dtype.itemsize for x in module.buffers())


class Quantize(Layer):
    """q = clip(round(x / scale), -127, 127), halves to the even integer; float32 -> int8."""

    kind = "quantize"

    def __init__(self, scale: float) -> None:
        self.scale: float = scale

    def forward(self, samples: int, x: Tensor) -> Tensor:
        steps = (x * float(np.float32(1 / self.scale))).round().to(int32)
        return clipped(steps, -LARGEST, LARGEST).to(int8)

    def extra_repr(self) -> str:
        return f"scale={self.scale:.6g}"


class Dequantize(Layer):
    """x = scale * q; int8 -> float32."""

    kind = "dequantize"

    def __init__(self, scale: float) -> None:
        self.scale: float = scale

    def forward(self, samples: int, q: Tensor) -> Tensor:
        return q.float() * float(np.float32(self.scale))

    def extra_repr(self) -> str:
        return f"scale={self.scale:.6g}"


class Requantize(Layer):
    """int32 sums -> int8 of another scale; see `fixed_point.py`.

    Args:
        multiplier: m, int32: one, or one for each channel or element.
        shift: n, the bits by which products with m are moved to the right.
        low, high: the bounds, which are also those of a ReLU that follows.
    """

    kind = "requantize"
    multiplier: Tensor

    def __init__(self, multiplier: np.ndarray, shift: int, low: int, high: int) -> None:
        self.shift: int = shift
        self.low: int = low
        self.high: int = high
        self._hold(multiplier=multiplier)

    def forward(self, samples: int, total: Tensor) -> Tensor:
        return requantized(total, self.multiplier, self.shift, self.low, self.high)

    def extra_repr(self) -> str:
        return f"shift={self.shift}, low={self.low}, high={self.high}"


class _Product(Layer):
    """Sums of products as int32; as int8 with `output`, which requantizes them."""

    output: Requantize | None = None

    def _finished(self, samples: int, total: Tensor) -> Tensor:
        return total if self.output is None else self.output.forward(samples, total)


class Linear(_Product):
    """q W^T + b.

    Args:
        weight: W, int8 (O, K).
        bias: b, int32 (O), or None.
    """

    kind = "linear"
    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: np.ndarray, bias: np.ndarray | None) -> None:
        self._hold(weight=weight, bias=bias)

    def forward(self, samples: int, q: Tensor) -> Tensor:
        weight = movement.permute(self.weight.to(int32), axes=(1, 0))
        total = contraction.matmul(q.to(int32), weight)
        return self._finished(samples, total if self.bias is None else total + self.bias)


class Convolution(_Product):
    """The convolution of q with W, plus b.

    Args:
        weight: W, int8 (O, C / groups, *K).
        bias: b, int32 (O), or None.
        settings: stride, dilation and groups, as of the operation.
    """

    kind = "convolution"
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, weight: np.ndarray, bias: np.ndarray | None, settings: Mapping[str, Any]
    ) -> None:
        self.settings: dict[str, Any] = dict(settings)
        self._hold(weight=weight, bias=bias)

    def forward(self, samples: int, q: Tensor) -> Tensor:
        total = convolution(q.to(int32), self.weight.to(int32), **self.settings)
        if self.bias is not None:
            total = total + self.bias.reshape((-1,) + (1,) * (total.ndim - 2))
        return self._finished(samples, total)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.settings.items())


class MatrixProduct(_Product):
    """The product of two int8 matrices, or of one and a constant on one side.

    Args:
        constant: int8, or None where both matrices are given.
        is_left: whether the constant stands on the left.
        bias: int32 of shape (), or None.
    """

    kind = "matmul"
    constant: Tensor | None
    bias: Tensor | None

    def __init__(self, constant: np.ndarray | None, is_left: bool, bias: np.ndarray | None) -> None:
        self.is_left: bool = is_left
        self._hold(constant=constant, bias=bias)

    def forward(self, samples: int, *given: Tensor) -> Tensor:
        operands = list(given)
        if self.constant is not None:
            operands.insert(0 if self.is_left else 1, self.constant)
        total = contraction.matmul(operands[0].to(int32), operands[1].to(int32))
        return self._finished(samples, total if self.bias is None else total + self.bias)


class Sum(_Product):
    """The sum over some axes, plus a bias; of an average, with the division in `output`."""

    kind = "sum"
    bias: Tensor | None

    def __init__(self, axes: tuple[int, ...], bias: np.ndarray | None) -> None:
        self.axes: tuple[int, ...] = axes
        self._hold(bias=bias)

    def forward(self, samples: int, q: Tensor) -> Tensor:
        total = reduction.sum(q.to(int32), axes=self.axes)
        return self._finished(samples, total if self.bias is None else total + self.bias)


class Multiplication(_Product):
    """The product of two tensors, element by element, plus a bias."""

    kind = "multiply"
    bias: Tensor | None

    def __init__(self, bias: np.ndarray | None) -> None:
        self._hold(bias=bias)

    def forward(self, samples: int, a: Tensor, b: Tensor) -> Tensor:
        total = elementwise.mul(a.to(int32), b.to(int32))
        return self._finished(samples, total if self.bias is None else total + self.bias)


class Combination(Layer):
    """clip(round((the sum of M_i * q_i + C) / 2^shift), low, high): sums of tensors of different
    scales, and what a constant for each channel adds to or multiplies one with.

    Args:
        multipliers: M_i, int32, which broadcast.
        offset: C, int32.
        shift, low, high: see `Requantize`.
    """

    kind = "add"
    offset: Tensor

    def __init__(
        self, multipliers: Sequence[np.ndarray], offset: np.ndarray, shift: int, low: int, high: int
    ) -> None:
        self.shift: int = shift
        self.low: int = low
        self.high: int = high
        self.count: int = len(multipliers)
        self._hold(**{f"multiplier{number}": m for number, m in enumerate(multipliers)})
        self._hold(offset=offset)

    def forward(self, samples: int, *given: Tensor) -> Tensor:
        total = self.offset
        for number, q in enumerate(given):
            total = total + q.to(int32) * getattr(self, f"multiplier{number}")
        return combined(total, self.shift, self.low, self.high)

    def extra_repr(self) -> str:
        return f"shift={self.shift}, low={self.low}, high={self.high}"


class Table(Layer):
    """A function of one number: int8 -> int8, of the same or of another scale.

    Args:
        table: int8 (256), the results for -128 to 127.
    """

    kind = "table"
    table: Tensor

    def __init__(self, table: np.ndarray) -> None:
        self._hold(table=table)

    def forward(self, samples: int, q: Tensor) -> Tensor:
        return indexing.take(self.table, q.to(int32) + 128, axis=0)


class Clip(Layer):
    """clip(q, low, high): the ReLU family where several read what comes before it."""

    kind = "clip"

    def __init__(self, low: int, high: int) -> None:
        self.low: int = low
        self.high: int = high

    def forward(self, samples: int, q: Tensor) -> Tensor:
        return clipped(q.to(int32), self.low, self.high).to(int8)

    def extra_repr(self) -> str:
        return f"low={self.low}, high={self.high}"


class Movement(Layer):
    """Elements as they are, in other places: reshape, permute, slice, pad, take and the like.

    Args:
        op: the operation.
        attributes: its attributes.
        index: int32, where it reads, or None.
    """

    kind = "movement"
    index: Tensor | None

    def __init__(self, op: Op, attributes: Attributes, index: np.ndarray | None = None) -> None:
        self.op: Op = op
        self.attributes: Attributes = attributes
        self._hold(index=index)

    def forward(self, samples: int, q: Tensor) -> Tensor:
        operands = (q,) if self.index is None else (q, self.index)
        return self.op(*operands, **self.attributes.at(samples))

    def extra_repr(self) -> str:
        return self.op.name


class MaxPool(Layer):
    """The largest element of each window.

    Args:
        windows: window, stride, dilation, low and counts, as of the operation.
    """

    kind = "maximum"

    def __init__(self, windows: Mapping[str, Any]) -> None:
        self.windows: dict[str, Any] = dict(windows)

    def forward(self, samples: int, q: Tensor) -> Tensor:
        wide = q.to(int32)
        places = pooling.window_argmax(wide, **self.windows)
        return pooling.window_take(wide, places, **self.windows).to(int8)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.windows.items())


class Extreme(Layer):
    """The largest or the smallest element along some axes.

    Args:
        op: `reduction.max` or `reduction.min`.
        axes: the axes.
    """

    kind = "maximum"

    def __init__(self, op: Op, axes: tuple[int, ...]) -> None:
        self.op: Op = op
        self.axes: tuple[int, ...] = axes

    def forward(self, samples: int, q: Tensor) -> Tensor:
        return self.op(q.to(int32), axes=self.axes).to(int8)

    def extra_repr(self) -> str:
        return f"{self.op.name}, axes={self.axes}"


class Concatenation(Layer):
    """Tensors of one scale, one behind the other."""

    kind = "concatenate"

    def __init__(self, axis: int) -> None:
        self.axis: int = axis

    def forward(self, samples: int, *given: Tensor) -> Tensor:
        return movement.concatenate(*given, axis=self.axis)


class FloatOperation(Layer):
    """An operation in float32, on dequantized numbers.

    Args:
        op: the operation.
        attributes: its attributes.
        constants: what stands in the places of operands that are constant; None for the others.
    """

    kind = "float32"

    def __init__(
        self, op: Op, attributes: Attributes, constants: Sequence[np.ndarray | None]
    ) -> None:
        self.op: Op = op
        self.attributes: Attributes = attributes
        self.count: int = len(constants)
        self._hold(**{f"operand{number}": array for number, array in enumerate(constants)})

    def forward(self, samples: int, *given: Tensor) -> Tensor:
        values = iter(given)
        kept = [getattr(self, f"operand{number}") for number in range(self.count)]
        operands = [next(values) if one is None else one for one in kept]
        return self.op(*operands, **self.attributes.at(samples))

    def extra_repr(self) -> str:
        return self.op.name
