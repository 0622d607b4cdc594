"""Contractions: sums of products. One primitive, the matrix product; einsum builds on it."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Final

import numpy as np

from smelt.errors import ShapeError
from smelt.ir.operation import Axes, Pattern
from smelt.ops.movement import broadcast_batched, broadcast_shapes, permute, reshape
from smelt.ops.op import Gradients, Needs, Op, Type, Typed, check_factors


def swap_last(x: Any) -> Any:
    """Returns a Tensor of matrices with each matrix transposed."""
    return permute(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def flattened_rows(x: Any) -> Any:
    """Returns a Tensor of matrices as one matrix with the rows of all of them."""
    if x.ndim == 2:
        return x
    return reshape(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


class Matmul(Op):
    """`(..., M, K) @ (..., K, N) -> (..., M, N)`; the leading axes broadcast.

    y[m, n] = sum over k of a[m, k] * b[k, n]
    """

    pattern = Pattern.CONTRACTION
    rereads_operands = True
    is_worth_saving = True
    linear_operands: ClassVar[int] = 2

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        a, b = types
        if len(a.shape) < 2 or len(b.shape) < 2:
            raise ShapeError(
                f"matmul: operands must be matrices or stacks of matrices, got shapes {a.shape} "
                f"and {b.shape}"
            )
        if a.shape[-1] != b.shape[-2]:
            raise ShapeError(
                f"matmul: shapes {a.shape} and {b.shape} do not fit: the inner extents "
                f"{a.shape[-1]} and {b.shape[-2]} differ"
            )
        check_factors("matmul", a.dtype, b.dtype)
        batch = broadcast_shapes("matmul", a.shape[:-2], b.shape[:-2])
        return Type((*batch, a.shape[-2], b.shape[-1]), a.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        a, b = arrays
        if a.ndim == 2 or b.ndim > 2 or not a.size:
            return np.matmul(a, b)
        return (a.reshape(-1, a.shape[-1]) @ b).reshape(*a.shape[:-1], b.shape[-1])  # faster

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        a, b = inputs
        da = matmul(g, swap_last(b)) if needs[0] else None
        if b.ndim == 2:  # all of a's matrices share b: one product with all rows gives its gradient
            a, g = flattened_rows(a), flattened_rows(g)
        return da, matmul(swap_last(a), g) if needs[1] else None

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(*broadcast_batched(inputs, batched))

    def operand_loops(self, node: Any) -> list[Axes]:
        row, column, inner = node.ndim - 2, node.ndim - 1, node.ndim
        result = []
        for operand, last in zip(node.inputs, ((row, inner), (inner, column)), strict=True):
            offset, extents = node.ndim - operand.ndim, enumerate(operand.shape[:-2])
            batch = [None if extent == 1 else offset + axis for axis, extent in extents]
            result.append((*batch, *last))
        return result


matmul: Final = Matmul("matmul")
