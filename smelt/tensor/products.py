"""Sums of products: matrix products of every kind, all based on the primitive `matmul`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError
from smelt.ops import contraction, movement
from smelt.ops.iota import iota
from smelt.ops.movement import broadcast_shapes
from smelt.ops.op import Shape, is_whole_number
from smelt.tensor.apply import matched, places_of
from smelt.tensor.elementary import where

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = [
    "addmm", "bmm", "diag", "diagonal", "dot", "inner", "kron", "matmul", "mm", "mv", "outer",
    "tensordot", "trace", "tril", "triu",
]  # fmt: skip


def matmul(a: Tensor, other: Any) -> Tensor:
    """Returns the matrix product; vectors and batches as in PyTorch.

    `(..., M, K) @ (..., K, N) -> (..., M, N)`; the leading axes broadcast; a vector is a row on
    the left and a column on the right.
    """
    a, b = matched(a, other)
    if not a.ndim or not b.ndim:
        raise ShapeError(
            f"matmul: shapes {a.shape} and {b.shape}: an operand is a single number; use *"
        )
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
        return "; transpose the right one: x @ y.mT"
    if len(left) > 1 and left[-2] == right[-min(2, len(right))]:
        return "; transpose the left one: x.mT @ y"
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
        raise ShapeError(f"mv: needs a matrix and a vector, got shapes {a.shape} and {vec.shape}")
    return matmul(a, vec)


def dot(a: Tensor, other: Tensor) -> Tensor:
    """Returns the inner product of two vectors of equal length."""
    if a.ndim != 1 or other.ndim != 1:
        raise ShapeError(f"dot: needs two vectors, got shapes {a.shape} and {other.shape}")
    return matmul(a, other)


def outer(a: Tensor, other: Tensor) -> Tensor:
    """Returns `y[i, j] = a[i] * other[j]` for two vectors."""
    if a.ndim != 1 or other.ndim != 1:
        raise ShapeError(f"outer: needs two vectors, got shapes {a.shape} and {other.shape}")
    return a.unsqueeze(1) * other.unsqueeze(0)


def inner(a: Tensor, other: Tensor) -> Tensor:
    """Returns the sums of products along the last axes: `(..., K)` and `(*, K)` -> `(..., *)`.

    If one has shape (), the product with it.
    """
    if not a.ndim or not other.ndim:
        return a * other
    if a.shape[-1] != other.shape[-1]:
        raise ShapeError(f"inner: the last extents of shapes {a.shape} and {other.shape} differ")
    return tensordot(a, other, ([-1], [-1]))


def tensordot(a: Tensor, other: Tensor, dims: int | Sequence[Any] = 2) -> Tensor:
    """Returns the sums of products along several axes at once; the remaining axes of both follow in
    order.

    Args:
        a: any shape.
        other: any shape.
        dims: how many of the last axes of `a` are paired with the first of `other`, in order; or
            two lists of axes (or two axes) to pair.

    Raises:
        ArgumentError: an axis does not exist or is named twice, or the lists differ in length.
        ShapeError: paired axes differ in size, and neither is 1.
    """
    left, right = _meeting(a, other, dims)
    for place, axis in zip(left, right, strict=True):  # an extent of 1 meets any
        if a.shape[place] == 1 != other.shape[axis]:
            other = other.sum(axis, True, dtype=other.dtype)
        elif other.shape[axis] == 1 != a.shape[place]:
            a = a.sum(place, True, dtype=a.dtype)
    if [a.shape[axis] for axis in left] != [other.shape[axis] for axis in right]:
        raise ShapeError(
            f"tensordot: the axes {left} of {a.shape} and {right} of {other.shape} differ in extent"
        )
    rows = [axis for axis in range(a.ndim) if axis not in left]
    columns = [axis for axis in range(other.ndim) if axis not in right]
    common = math.prod(a.shape[axis] for axis in left)
    shape = [*[a.shape[axis] for axis in rows], *[other.shape[axis] for axis in columns]]
    height = math.prod(a.shape[axis] for axis in rows)
    width = math.prod(other.shape[axis] for axis in columns)
    product = matmul(
        a.permute(*rows, *left).reshape(height, common),
        other.permute(*right, *columns).reshape(common, width),
    )
    return product.reshape(shape)


def _meeting(a: Tensor, other: Tensor, dims: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the axes of both along which `tensordot` sums."""
    if is_whole_number(dims):
        if not 0 <= dims <= min(a.ndim, other.ndim):
            raise ArgumentError(
                f"tensordot: cannot sum over {dims} axes of shapes {a.shape} and {other.shape}"
            )
        return tuple(range(a.ndim - dims, a.ndim)), tuple(range(dims))
    if not isinstance(dims, (list, tuple)) or len(dims) != 2:
        raise ArgumentTypeError(
            f"tensordot: dims must be a number or two lists of axes, got {dims!r}"
        )
    left, right = (
        places_of(x, axes, "tensordot") for x, axes in zip((a, other), dims, strict=True)
    )
    if len(left) != len(right):
        raise ArgumentError(
            "tensordot: dims must name the same number of axes of both operands, got "
            f"{len(left)} and {len(right)}"
        )
    return left, right


def kron(a: Tensor, other: Tensor) -> Tensor:
    """Returns the Kronecker product: each element of `a` becomes a block, `other` times that
    element.

    The shape with fewer axes gets axes of size 1 in front; sizes multiply.
    """
    count = max(a.ndim, other.ndim)
    outer_shape, inner_shape = ((1,) * (count - x.ndim) + x.shape for x in (a, other))
    pairs = list(zip(outer_shape, inner_shape, strict=True))
    blocks = a.reshape([n for extent in outer_shape for n in (extent, 1)])
    product = blocks * other.reshape([n for extent in inner_shape for n in (1, extent)])
    return product.reshape([outer * inner for outer, inner in pairs])


def addmm(x: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """Returns `beta * x + alpha * (a @ b)` for two matrices.

    Raises:
        ShapeError: `a` or `b` is not a matrix, or x does not broadcast to the shape of the product.
    """
    if a.ndim != 2 or b.ndim != 2:
        raise ShapeError(f"addmm: needs two matrices, got shapes {a.shape} and {b.shape}")
    if broadcast_shapes("addmm", x.shape, (a.shape[0], b.shape[1])) != (a.shape[0], b.shape[1]):
        raise ShapeError(
            f"addmm: shape {x.shape} does not broadcast to the product {a.shape} @ {b.shape}"
        )
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
        offset: how far the diagonal is above the main one; below it when negative.
        dim1: the axis of rows.
        dim2: the axis of columns.

    Raises:
        ArgumentError: an axis does not exist, or both are the same.
        ShapeError: x has fewer than two axes.
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


_diagonal = diagonal  # `diag` has an argument of that name


def trace(x: Tensor) -> Tensor:
    """Returns the sum of the main diagonal of a matrix."""
    if x.ndim != 2:
        raise ShapeError(f"trace: needs a matrix, got shape {x.shape}")
    return diagonal(x).sum()


def diag(x: Tensor, diagonal: int = 0) -> Tensor:
    """Returns a square matrix with a vector on a diagonal; for a matrix, that diagonal.

    Args:
        x: (N,) or (M, N).
        diagonal: how far it is above the main one; below it when negative.

    Raises:
        ShapeError: x is neither a vector nor a matrix.
    """
    if x.ndim == 2:
        return _diagonal(x, diagonal)
    if x.ndim != 1:
        raise ShapeError(f"diag: needs a vector or a matrix, got shape {x.shape}")
    above, below = max(0, diagonal), max(0, -diagonal)
    size = x.shape[0] + above + below
    longer = movement.pad(x, low=(below,), high=(above,), step=(1,))
    rows = longer.unsqueeze(1).expand(size, size)
    return where(_offset(rows, "diag") == diagonal, rows, False)


def _offset(x: Tensor, what: str) -> Tensor:
    """How far each element of a matrix lies above the main diagonal."""
    if x.ndim < 2:
        raise ShapeError(f"{what}: needs a matrix, got shape {x.shape}")
    shape = x.shape[-2:]
    return iota(shape=shape, axis=1) - iota(shape=shape, axis=0)
