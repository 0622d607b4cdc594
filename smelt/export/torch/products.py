"""Products: of matrices, linear layers, convolutions, attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from smelt.export.torch.program import Rule, unsupported
from smelt.functional.attention import scaled_dot_product_attention
from smelt.functional.convolution import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from smelt.functional.layers import linear
from smelt.tensor import Tensor, products
from smelt.tensor.indexing import repeat_interleave


def _addmm(x: Tensor, a: Tensor, b: Tensor, beta: float = 1, alpha: float = 1) -> Tensor:
    return products.addmm(x, a, b, beta=beta, alpha=alpha)


def _baddbmm(x: Tensor, a: Tensor, b: Tensor, beta: float = 1, alpha: float = 1) -> Tensor:
    product = products.bmm(a, b)
    product = product if alpha == 1 else product * alpha
    return product if beta == 0 else product + (x if beta == 1 else x * beta)


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """A convolution over one axis or two; a number that is given once is for both."""
    ndim = weight.ndim - 2
    if ndim not in (1, 2):
        raise unsupported(f"Smelt has no convolution over {ndim} axes")
    if not transposed:
        forward = conv1d if ndim == 1 else conv2d
        return forward(x, weight, bias, tuple(stride), tuple(padding), tuple(dilation), groups)
    backward = conv_transpose1d if ndim == 1 else conv_transpose2d
    return backward(
        x, weight, bias, tuple(stride), tuple(padding), tuple(output_padding), groups,
        tuple(dilation),
    )  # fmt: skip


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if enable_gqa:  # groups of heads share a key
        key = repeat_interleave(key, query.shape[-3] // key.shape[-3], -3)
        value = repeat_interleave(value, query.shape[-3] // value.shape[-3], -3)
    return scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale)


def _distances(first: Tensor, second: Tensor, p: float, compute_mode: Any = None) -> Tensor:
    """The p-norm of the difference of each row of one and each of the other."""
    difference = first.unsqueeze(-2) - second.unsqueeze(-3)
    return difference.norm(p, -1)


def _outer(x: Tensor, other: Tensor) -> Tensor:
    return products.outer(x, other)


def _trace(x: Tensor) -> Tensor:
    return products.trace(x)


def _matmul(x: Tensor, other: Tensor) -> Tensor:
    return products.matmul(x, other)


RULES: Final[dict[str, Rule]] = {
    "mm": products.mm,
    "bmm": products.bmm,
    "mv": products.mv,
    "dot": products.dot,
    "matmul": _matmul,
    "outer": _outer,
    "addmm": _addmm,
    "baddbmm": _baddbmm,
    "trace": _trace,
    "linear": linear,
    "convolution": _convolution,
    "scaled_dot_product_attention": _attention,
    "_cdist_forward": _distances,
}
