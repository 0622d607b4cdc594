"""Products of matrices, and what is made of them."""

from __future__ import annotations

from typing import Final

from smelt import dtypes
from smelt.export.onnx.load.card import TEXT, Call, Card, Cards, required
from smelt.tensor import Tensor, as_tensor, products
from smelt.tensor.einsum import einsum


def _matmul(call: Call, a: Tensor, b: Tensor) -> Tensor:
    return products.matmul(a, b)


def _gemm(call: Call, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """Returns alpha A B + beta C."""
    a, b = (a.T if call["transA"] else a), (b.T if call["transB"] else b)
    y = products.matmul(a, b)
    y = y if call["alpha"] == 1.0 else (y * call["alpha"]).to(a.dtype)
    if c is None or not call["beta"]:
        return y
    return y + (c if call["beta"] == 1.0 else (c * call["beta"]).to(a.dtype))


def _einsum(call: Call, x: Tensor, *others: Tensor) -> Tensor:
    return einsum(call["equation"], x, *others)


def centered(x: Tensor, zero: Tensor | None, along: int | None = None) -> Tensor:
    """Returns quantized integers as int32, less their zero point, which may differ along an
    axis.
    """
    x = x.to(dtypes.int32)
    if zero is None:
        return x
    zero = zero.to(dtypes.int32)
    if along is not None and zero.ndim == 1 and zero.shape[0] > 1:
        zero = zero.reshape([-1 if axis == along % x.ndim else 1 for axis in range(x.ndim)])
    elif zero.ndim == 1:
        zero = zero.reshape(())
    return x - zero


def _matmul_integer(
    call: Call, a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None
) -> Tensor:
    return products.matmul(centered(a, a_zero, -2), centered(b, b_zero, -1)).to(dtypes.int32)


def _determinant(call: Call, x: Tensor) -> Tensor:
    """Of small matrices, by the minors of the first row (Laplace)."""
    count = x.shape[-1]
    if count == 0:
        return as_tensor(1.0, x.dtype).expand(x.shape[:-2])
    if count == 1:
        return x[..., 0, 0]
    if count > 5:
        raise call.refuse(f"of {count} x {count} matrices; Smelt computes it of 5 x 5 at most")
    total = None
    for column in range(count):
        others = [other for other in range(count) if other != column]
        minor = _determinant(call, x[..., 1:, :][..., others])
        term = x[..., 0, column] * minor * (-1.0) ** column
        total = term if total is None else total + term
    assert total is not None
    return total


CARDS: Final[Cards] = {
    "MatMul": Card(_matmul, first=1),
    "Gemm": Card(
        _gemm, {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0, "broadcast": 0}, first=6
    ),
    "Einsum": Card(_einsum, {"equation": required(TEXT)}, first=12),
    "MatMulInteger": Card(_matmul_integer, first=10),
    "Det": Card(_determinant, first=11),
}
