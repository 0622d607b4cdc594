"""Reductions: the elements along some axes combined into one; and running sums along an axis.

A card gives the NumPy value, the name of the combining operation in the loop IR, its neutral
element, and the adjoint. The reduced axes disappear from the shape; for `keepdim` the caller
reshapes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

import numpy as np

from smelt.dtypes import DType, float32, float64
from smelt.errors import ArgumentError
from smelt.ir.operation import Axes, Pattern
from smelt.ops.elementwise import add, as_float, cast, div, eq, mul
from smelt.ops.movement import broadcast_to, concatenate, cropped, flip, reshape
from smelt.ops.op import Gradients, Needs, Op, Shape, Type, Typed, check_number
from smelt.tracing.engine import EAGER, context

Adjoint = Callable[..., Any]


def kept_shape(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """Returns `shape` with an extent of 1 in place of each reduced axis."""
    return tuple(1 if axis in axes else extent for axis, extent in enumerate(shape))


def spread(y: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Returns a reduced Tensor broadcast over the reduced axes."""
    return broadcast_to(reshape(y, shape=kept_shape(x.shape, axes)), shape=x.shape)


class Reduction(Op):
    """The family: `axes` are dropped; `combine` is associative and starts at `start`."""

    pattern = Pattern.REDUCTION
    is_worth_saving = True

    def __init__(
        self, name: str, value: Callable[..., Any], combine: str, start: float, adjoint: Adjoint
    ) -> None:
        """`adjoint(g, output, x, axes)` is the gradient; its transpose gives the tangent."""
        super().__init__(name)
        self.numpy = value
        self.combine = combine
        self.start = start
        self.adjoint = adjoint

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        (x,), axes = types, attributes["axes"]
        check_number(self.name, x.dtype)
        if self.start in (math.inf, -math.inf) and 0 in (x.shape[axis] for axis in axes):
            raise ArgumentError(
                f"{self.name}: shape {x.shape} has an axis of extent 0, along which there is no "
                f"{self.name}"
            )
        kept = tuple(extent for axis, extent in enumerate(x.shape) if axis not in axes)
        return Type(kept, x.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        (x,) = arrays
        return np.asarray(self.numpy(x, axis=attributes["axes"], dtype=x.dtype))

    def operand_loops(self, node: Any) -> list[Axes]:
        kept, reduced = itertools.count(), itertools.count(node.ndim)
        axes, ndim = node.attributes["axes"], node.inputs[0].ndim
        return [tuple([next(reduced if axis in axes else kept) for axis in range(ndim)])]

    def start_value(self, dtype: DType) -> int | float:
        """Returns the neutral element in `dtype`."""
        if dtype.is_float or math.isfinite(self.start):
            return self.start if dtype.is_float else int(self.start)
        limits = np.iinfo(dtype.storage)
        return int(limits.min if self.start < 0 else limits.max)

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        (x,), axes = inputs, attributes["axes"]
        if self is sum:
            return sum(tangents[0], axes=axes)
        # the adjoint of ones holds the partial derivatives: one per element of x
        ones = broadcast_to(output.literal(1, output.dtype), shape=output.shape)
        return sum(mul(self.adjoint(ones, output, x, axes), tangents[0]), axes=axes)

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return (self.adjoint(g, output, inputs[0], attributes["axes"]),)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(inputs[0], axes=tuple(axis + 1 for axis in attributes["axes"]))


_BLOCK = 256  # so many elements are added one by one


def _sum_value(x: np.ndarray, axis: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """NumPy's sum; where NumPy would add many floats one by one, a blocked sum instead."""
    few = x.dtype.kind != "f" or x.size <= 4 * _BLOCK
    if few or _added_one_by_one(x, axis) <= 4 * _BLOCK:
        return np.asarray(np.add.reduce(x, axis=axis, dtype=dtype))
    for place in sorted(axis, reverse=True):
        while x.shape[place] > _BLOCK and _added_one_by_one(x, (place,)) > _BLOCK:
            x = np.add.reduceat(x, range(0, x.shape[place], _BLOCK), axis=place)
        x = np.asarray(np.sum(x, axis=place, dtype=dtype))
    return x


def _added_one_by_one(x: np.ndarray, axes: tuple[int, ...]) -> int:
    """Returns how many elements NumPy adds one by one; it sums contiguous axes pairwise."""
    inner_first = sorted(range(x.ndim), key=lambda axis: np.abs(x.strides[axis]))
    outer = itertools.dropwhile(lambda axis: axis in axes, inner_first)
    return math.prod(x.shape[axis] for axis in outer if axis in axes)


def _extreme_adjoint(g: Any, y: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Ties share the gradient evenly, as for maximum and minimum."""
    winners = as_float(eq(x, spread(y, x, axes)), x)
    share = div(g, sum(winners, axes=axes))
    return mul(winners, spread(share, x, axes))


def _product_adjoint(g: Any, y: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Returns g times the product of the other elements, also where some are zero."""
    result = spread(g, x, axes)
    for axis in axes:
        result = mul(result, _product_of_others(x, axis))
        x = spread(prod(x, axes=(axis,)), x, (axis,))
    return result


def _product_of_others(x: Any, axis: int) -> Any:
    before = _before(x, axis)
    behind = flip(_before(flip(x, axes=(axis,)), axis), axes=(axis,))
    return mul(before, behind)


sum: Final = Reduction("sum", _sum_value, "add", 0.0, lambda g, y, x, axes: spread(g, x, axes))
prod: Final = Reduction("prod", np.prod, "mul", 1.0, _product_adjoint)
max: Final = Reduction("max", np.maximum.reduce, "maximum", -math.inf, _extreme_adjoint)
min: Final = Reduction("min", np.minimum.reduce, "minimum", math.inf, _extreme_adjoint)


LINES = 64  # with so many lines or more, one element of each is combined at a time


class Cumulative(Op):
    """The family: element i of the result combines the elements up to i along `axis`.

    float32 is combined in float64 and each element is rounded, so that long lines stay accurate.
    """

    pattern = Pattern.STANDALONE
    is_worth_saving = True

    def __init__(
        self,
        name: str,
        value: np.ufunc,
        combine: str,
        start: float,
        adjoint: Adjoint,
        tangent: Adjoint,
    ) -> None:
        super().__init__(name)
        self.numpy = value
        self.combine = combine
        self.start = start
        self.adjoint = adjoint
        self.tangent = tangent

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        check_number(self.name, types[0].dtype)
        return super().infer(*types)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        (x,), axis = arrays, attributes["axis"]
        wide = np.float64 if x.dtype == np.float32 else x.dtype
        if x.size < LINES * x.shape[axis]:
            return self.numpy.accumulate(x, axis, wide).astype(x.dtype, copy=False)
        steps = np.array(np.moveaxis(x, axis, 0), wide)  # accumulate would go line by line
        for before, here in pairwise(steps):
            self.numpy(before, here, out=here)
        return np.moveaxis(steps, 0, axis).astype(x.dtype, "C", copy=False)

    def accumulator_dtype(self, dtype: DType) -> DType:
        """Returns the dtype in which elements of `dtype` are combined."""
        return float64 if dtype is float32 else dtype

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        return self.tangent(tangents[0], output, inputs[0], attributes["axis"])

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return (self.adjoint(g, output, inputs[0], attributes["axis"]),)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(inputs[0], axis=attributes["axis"] + 1)

    def operand_loops(self, node: Any) -> list[Axes]:
        return [tuple(range(node.ndim))]


def _cumsum_adjoint(g: Any, y: Any, x: Any, axis: int) -> Any:
    return flip(cumsum(flip(g, axes=(axis,)), axis=axis), axes=(axis,))


def _cumprod_tangent(t: Any, y: Any, x: Any, axis: int) -> Any:
    """Returns T[k] = x[k] T[k - 1] + t[k] (the product before k)."""
    tangent = _recurrence(_wide(x), mul(_wide(t), _before(_wide(x), axis)), axis)
    return cast(tangent, dtype=x.dtype)


def _cumprod_adjoint(g: Any, y: Any, x: Any, axis: int) -> Any:
    """Returns the product before i times R[i] = g[i] + x[i + 1] R[i + 1], also with zeros in x.

    Where dividing is safe, this is the sum of g[k] y[k] over all k >= i, divided by x[i].
    """
    if _may_divide(y):
        return div(_cumsum_adjoint(mul(g, y), y, x, axis), x)
    wide, axes = _wide(x), (axis,)
    factors = _moved_on(flip(wide, axes=axes), 1, axis, 1.0)
    backward = _recurrence(factors, flip(_wide(g), axes=axes), axis)
    return cast(mul(_before(wide, axis), flip(backward, axes=axes)), dtype=x.dtype)


def _wide(x: Any) -> Any:
    """Returns float32 as float64, whose range holds products of many factors."""
    return cast(x, dtype=cumprod.accumulator_dtype(x.dtype))


def _may_divide(y: Any) -> bool:
    """Returns whether products are known to be neither 0, subnormal nor infinite, and their
    gradient is not differentiated again.
    """
    if context.engine is not EAGER or context.grad_enabled or y.dtype.kind != "float":
        return False
    size, limits = np.abs(y.stored), np.finfo(y.stored.dtype)
    return bool(not y.size or (size.min() >= limits.tiny and size.max() <= limits.max))


def _before(x: Any, axis: int) -> Any:
    """Returns the product of all elements before each position."""
    return _moved_on(cumprod(x, axis=axis), 1, axis, 1.0)


def _recurrence(a: Any, b: Any, axis: int) -> Any:
    """Returns h[k] = a[k] h[k - 1] + b[k] along an axis, from 0, after log2(length) doublings.

    Position k combines the last `reach` positions: h[k] = b + a h[k - reach] (Hillis and Steele,
    "Data parallel algorithms", 1986). There is no division, so zeros do no harm.
    """
    reach = 1
    while reach < a.shape[axis]:
        b = add(b, mul(a, _moved_on(b, reach, axis, 0.0)))
        a = mul(a, _moved_on(a, reach, axis, 1.0))
        reach *= 2
    return b


def _moved_on(x: Any, count: int, axis: int, first: float) -> Any:
    """Returns x shifted by `count` positions along an axis; the front is filled with `first`."""
    length = x.shape[axis]
    if not length:
        return x
    extents = [extent - count * (place == axis) for place, extent in enumerate(x.shape)]
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    front = broadcast_to(x.literal(first, x.dtype), shape=shape)
    return concatenate(front, cropped(x, extents), axis=axis)


cumsum: Cumulative = Cumulative(
    "cumsum",
    np.add,
    "add",
    0.0,
    _cumsum_adjoint,
    lambda t, y, x, axis: cumsum(t, axis=axis),
)
cumprod: Final = Cumulative("cumprod", np.multiply, "mul", 1.0, _cumprod_adjoint, _cumprod_tangent)
