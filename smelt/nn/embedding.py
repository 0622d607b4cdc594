"""Embedding: a table of learned vectors, looked up by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import smelt.functional as F
from smelt.errors import ArgumentError
from smelt.nn import init
from smelt.nn.checks import sizes
from smelt.nn.linear import empty_parameter
from smelt.nn.module import Module
from smelt.tensor import Tensor, as_tensor
from smelt.tracing.engine import no_grad

if TYPE_CHECKING:
    from smelt.nn.parameter import Parameter

__all__ = ["Embedding"]


class Embedding(Module):
    """`y[..., :] = weight[index[...], :]`.

    Args:
        num_embeddings: number of vectors.
        embedding_dim: size of each vector.
        padding_idx: the index whose vector starts as 0 and gets no gradient; may be negative.
        max_norm: the largest norm of a vector: a looked-up vector with a larger norm is rescaled.
        norm_type: the p of that norm.
        dtype: of the table; float32 when None.

    Parameters: weight (num_embeddings, embedding_dim), initially drawn from N(0, 1). Shapes: int
    (...) -> (..., embedding_dim).

    Raises:
        ArgumentError: `padding_idx` is outside the table.
        BoundsError: when called, an index is outside the table.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        dtype: Any = None,
    ) -> None:
        sizes(self, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ArgumentError(
                    f"Embedding: padding_idx {padding_idx} is out of range for num_embeddings "
                    f"{num_embeddings}"
                )
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.weight: Parameter = empty_parameter(num_embeddings, embedding_dim, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new initial values."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            rows = as_tensor(range(self.num_embeddings)).unsqueeze(-1)
            with no_grad():
                self.weight.copy_(self.weight * (rows != self.padding_idx).to(self.weight.dtype))

    def forward(self, index: Tensor) -> Tensor:
        return F.embedding(index, self.weight, self.padding_idx, self.max_norm, self.norm_type)

    def extra_repr(self) -> str:
        shown = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            shown += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            shown += f", norm_type={self.norm_type}"
        return f"{self.num_embeddings}, {self.embedding_dim}{shown}"
