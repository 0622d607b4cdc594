"""Sums of products: matrix products of every kind, all on the one primitive `matmul`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smelt.errors import ShapeError
from smelt.ops import contraction
from smelt.ops.iota import iota
from smelt.ops.movement import broadcast_shapes
from smelt.ops.op import Shape
from smelt.tensor.apply import matched, places_of
from smelt.tensor.elementary import where

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = [
    "addmm", "bmm", "diagonal", "dot", "matmul", "mm", "mv", "outer", "tril", "triu",
]  # fmt: skip


def matmul(a: Tensor, other: Any) -> Tensor:
    """Returns the matrix product; vectors and batches as in PyTorch.

    `(..., M, K) @ (..., K, N) -> (..., M, N)`; the leading axes broadcast; a vector is a row on
    the left and a column on the right.
    """
    a, b = matched(a, other)
    if not a.ndim or not b.ndim:
        raise ShapeError(f"matmul: shapes {a.shape} and {b.shape}: a number has no rows; use *")
    if a.shape[-1] != b.shape[-min(2, b.ndim)]:
        raise ShapeError(
            f"matmul: shapes {a.shape} and {b.shape} do not fit: the inner extents differ"
            + _turned(a.shape, b.shape)
        )
    dtype = a.dtype
    left = a.to(dtype.compute) if a.ndim > 1 else a.to(dtype.compute).unsqueeze(0)
    right = b.to(dtype.compute) if b.ndim > 1 else b.to(dtype.compute).unsqueeze(1)
    result = contraction.matmul(left, right)
    if a.ndim == 1:
        result = result.squeeze(-2)
    return (result.squeeze(-1) if b.ndim == 1 else result).to(dtype)


def _turned(left: Shape, right: Shape) -> str:
    """Returns a hint at a matrix that stands the wrong way round."""
    if len(right) > 1 and left[-1] == right[-1]:
        return "; turn the right one: x @ y.mT"
    if len(left) > 1 and left[-2] == right[-min(2, len(right))]:
        return "; turn the left one: x.mT @ y"
    return ""


def bmm(a: Tensor, other: Tensor) -> Tensor:
    """Returns the products of two batches of matrices, `(B, M, K)` and `(B, K, N)`."""
    if a.ndim != 3 or other.ndim != 3 or a.shape[0] != other.shape[0]:
        raise ShapeError(
            f"bmm: needs (B, M, K) and (B, K, N), got shapes {a.shape} and {other.shape}"
        )
    return matmul(a, other)


def mm(a: Tensor, mat2: Tensor) -> Tensor:
    """Returns the product of two matrices, `(M, K)` and `(K, N)`."""
    if a.ndim != 2 or mat2.ndim != 2:
        raise ShapeError(f"mm: needs two matrices, got shapes {a.shape} and {mat2.shape}")
    return matmul(a, mat2)


def mv(a: Tensor, vec: Tensor) -> Tensor:
    """Returns the product of a matrix `(M, K)` and a vector `(K,)`."""
    if a.ndim != 2 or vec.ndim != 1:
        raise ShapeError(f"mv: needs a matrix and a vector, got {a.shape} and {vec.shape}")
    return matmul(a, vec)


def dot(a: Tensor, other: Tensor) -> Tensor:
    """Returns the inner product of two vectors of one length."""
    if a.ndim != 1 or other.ndim != 1:
        raise ShapeError(f"dot: needs two vectors, got shapes {a.shape} and {other.shape}")
    return matmul(a, other)


def outer(a: Tensor, other: Tensor) -> Tensor:
    """Returns `y[i, j] = a[i] * other[j]` for two vectors."""
    if a.ndim != 1 or other.ndim != 1:
        raise ShapeError(f"outer: needs two vectors, got shapes {a.shape} and {other.shape}")
    return a.unsqueeze(1) * other.unsqueeze(0)


def addmm(x: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """Returns `beta * x + alpha * (a @ b)` for two matrices.

    Raises:
        ShapeError: `a` or `b` is not a matrix, or x does not broadcast to the shape of the product.
    """
    if a.ndim != 2 or b.ndim != 2:
        raise ShapeError(f"addmm: needs two matrices, got shapes {a.shape} and {b.shape}")
    if broadcast_shapes("addmm", x.shape, (a.shape[0], b.shape[1])) != (a.shape[0], b.shape[1]):
        raise ShapeError(f"addmm: {x.shape} does not fit a product {a.shape} @ {b.shape}")
    product = matmul(a, b)
    return (x if beta == 1 else x * beta) + (product if alpha == 1 else product * alpha)


def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """Returns the matrices x with 0 above a diagonal; `diagonal` counts upward from the main
    one.
    """
    return where(_offset(x, "tril") <= diagonal, x, False)


def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """Returns the matrices x with 0 below a diagonal; `diagonal` counts upward from the main
    one.
    """
    return where(_offset(x, "triu") >= diagonal, x, False)


def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """Returns `y[..., i] = x[..., i, ..., i + offset, ...]`, along a new last axis.

    Args:
        x: of two or more axes.
        offset: how far the diagonal lies above the main one; below it when negative.
        dim1: the axis of rows.
        dim2: the axis of columns.

    Raises:
        ArgumentError: an axis does not exist, or both are the same.
        ShapeError: x has less than two axes.
    """
    _offset(x, "diagonal")
    rows, columns = places_of(x, (dim1, dim2), "diagonal")
    batch = [axis for axis in range(x.ndim) if axis not in (rows, columns)]
    matrices = x.permute(*batch, rows, columns)
    height, width = matrices.shape[-2:]
    top, left = min(height, max(0, -offset)), min(width, max(0, offset))
    length = min(height - top, width - left)
    square = matrices.narrow(-2, top, length).narrow(-1, left, length)
    return where(_offset(square, "diagonal") == 0, square, False).sum(-1).to(x.dtype)


def _offset(x: Tensor, what: str) -> Tensor:
    """How far each element of a matrix lies above the main diagonal."""
    if x.ndim < 2:
        raise ShapeError(f"{what}: needs a matrix, got shape {x.shape}")
    shape = x.shape[-2:]
    return iota(shape=shape, axis=1) - iota(shape=shape, axis=0)
