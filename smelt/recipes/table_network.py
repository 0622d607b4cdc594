"""The network of recipes on tables: numbers, and categories by embeddings, through two layers."""

from __future__ import annotations

from collections.abc import Sequence

import smelt
from smelt import nn
from smelt.tensor import Tensor

__all__ = ["TableNetwork", "flat"]

EMBEDDED = 4  # numbers that stand for a category


class TableNetwork(nn.Module):
    """A network for the tensors that `smelt.data.Preprocessing` makes from a table.

    Args:
        numbers: columns of numbers.
        cardinalities: number of categories of each column of categories.
        width: of the two hidden layers.
        outputs: number of outputs; with a single one the shape is (n,).
        dropout: share of the hidden units that a training step drops.
    """

    def __init__(
        self, numbers: int, cardinalities: Sequence[int], width: int, outputs: int, dropout: float
    ) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList([nn.Embedding(n, EMBEDDED) for n in cardinalities])
        self.layers = nn.Sequential(
            nn.Linear(numbers + EMBEDDED * len(cardinalities), width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, outputs),
        )

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        parts = [embed(categories[:, i]) for i, embed in enumerate(self.embeddings)]
        return self.layers(smelt.cat([numbers, *parts], dim=1)).squeeze(-1)


def flat(tensors: dict[str, Tensor], cardinalities: Sequence[int]) -> Tensor:
    """Returns numbers and one-hot encoded categories, concatenated: for models that take one array
    (n, features).
    """
    categories = tensors["categories"]
    parts = [smelt.one_hot(categories[:, i], n) for i, n in enumerate(cardinalities)]
    return smelt.cat([tensors["numbers"], *[part.float() for part in parts]], dim=1)
