"""Contractions: sums of products. One primitive, the matrix product; einsum builds on it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from smelt.errors import DTypeError, ShapeError
from smelt.ir.operation import Axes, Pattern
from smelt.ops.elementwise import add
from smelt.ops.movement import broadcast_shapes, permute, prefix_axes, reshape
from smelt.ops.op import Op, Type, Typed, check_not_half


def swap_last(x: Any) -> Any:
    """Returns a Tensor of matrices, each transposed."""
    return permute(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def flattened_rows(x: Any) -> Any:
    """Returns a Tensor of matrices as one matrix of all their rows."""
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

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        a, b = types
        if len(a.shape) < 2 or len(b.shape) < 2:
            raise ShapeError(f"matmul: needs matrices, got shapes {a.shape} and {b.shape}")
        if a.shape[-1] != b.shape[-2]:
            raise ShapeError(
                f"matmul: shapes {a.shape} and {b.shape} do not fit: the inner extents "
                f"{a.shape[-1]} and {b.shape[-2]} differ"
            )
        if a.dtype is not b.dtype or a.dtype.kind == "bool":
            raise DTypeError(
                f"matmul: needs two of one number dtype, got {a.dtype.name} and {b.dtype.name}"
            )
        check_not_half("matmul", a.dtype)
        batch = broadcast_shapes("matmul", a.shape[:-2], b.shape[:-2])
        return Type((*batch, a.shape[-2], b.shape[-1]), a.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        a, b = arrays
        if a.ndim == 2 or b.ndim > 2 or not a.size:
            return np.matmul(a, b)
        return (a.reshape(-1, a.shape[-1]) @ b).reshape(*a.shape[:-1], b.shape[-1])  # faster

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        (da, db), (a, b) = tangents, inputs
        if da is None or db is None:
            return matmul(a, db) if da is None else matmul(da, b)
        return add(matmul(da, b), matmul(a, db))

    def vjp(
        self, g: Any, needs: tuple[bool, ...], output: Any, *inputs: Any, **attributes: Any
    ) -> tuple[Any, ...]:
        a, b = inputs
        da = matmul(g, swap_last(b)) if needs[0] else None
        if b.ndim == 2:  # its rows are all alike: one sum over all of them
            a, g = flattened_rows(a), flattened_rows(g)
        return da, matmul(swap_last(a), g) if needs[1] else None

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        ndim = max(x.ndim - has for x, has in zip(inputs, batched, strict=True))
        aligned = (
            prefix_axes(x, ndim - (x.ndim - 1)) if has else x
            for x, has in zip(inputs, batched, strict=True)
        )
        return self(*aligned)

    def operand_loops(self, node: Any) -> list[Axes]:
        row, column, inner = node.ndim - 2, node.ndim - 1, node.ndim
        result = []
        for operand, last in zip(node.inputs, ((row, inner), (inner, column)), strict=True):
            offset, extents = node.ndim - operand.ndim, enumerate(operand.shape[:-2])
            batch = [None if extent == 1 else offset + axis for axis, extent in extents]
            result.append((*batch, *last))
        return result


matmul = Matmul("matmul")
