"""The network for a table: several members, each with a linear part and hidden layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import smelt.nn.functional as F
from smelt import nn
from smelt.random import rand
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.products import matmul
from smelt.tensor.shaping import cat
from smelt.tracing.engine import no_grad

__all__ = ["Design", "TabularNetwork", "embedding_width"]

FARTHEST = 5.0  # deviations from the mean beyond which a number says no more to the hidden layers
WIDEST = 32


@dataclass(frozen=True)
class Design:
    """The sizes and settings of a network.

    Attributes:
        members: number of networks.
        numbers: columns of numbers, those that say what was missing among them.
        cardinalities: number of indices of each column of categories.
        text: columns of hashed text.
        outputs: logits, or 1 predicted number.
        width: units of a hidden layer.
        blocks: hidden layers after the first, each added to what came before.
        dropout: the share of units that is left out.
        bins: number of intervals into which the range of a number is divided.
    """

    members: int
    numbers: int
    cardinalities: tuple[int, ...]
    text: int
    outputs: int
    width: int
    blocks: int
    dropout: float
    bins: int


def embedding_width(cardinality: int) -> int:
    """Returns the width of the embedding of a category: min(32, round(1.6 * places ** 0.56))."""
    return min(WIDEST, max(1, round(1.6 * cardinality**0.56)))


class MemberLinear(nn.Module):
    """A linear layer of each member: (members or 1, n, inputs) -> (members, n, outputs).

    Parameters: weight (members, inputs, outputs), first drawn as in `nn.Linear`, or 0; bias
    (members, 1, outputs).
    """

    def __init__(self, members: int, inputs: int, outputs: int, zero: bool = False) -> None:
        bound = 0.0 if zero else 1 / np.sqrt(max(inputs, 1))
        self.weight: nn.Parameter = nn.Parameter((2 * rand(members, inputs, outputs) - 1) * bound)
        self.bias: nn.Parameter = nn.Parameter((2 * rand(members, 1, outputs) - 1) * bound)

    def forward(self, x: Tensor) -> Tensor:
        return matmul(x, self.weight) + self.bias


class MemberEmbedding(nn.Module):
    """Vectors of the places of a column of categories, each member's own.

    The vectors of place 0, of what is unknown, begin as 0.

    Shapes: int (members or 1, n) -> (members, n, width).
    """

    def __init__(self, members: int, cardinality: int, width: int) -> None:
        self.table: nn.Embedding = nn.Embedding(members * cardinality, width)
        first = np.arange(members) * cardinality
        self.first: nn.Buffer = nn.Buffer(as_tensor(first.reshape(-1, 1)))
        with no_grad():
            vectors = self.table.weight.numpy().copy() / np.sqrt(width)
            vectors[first] = 0
            self.table.weight.copy_(as_tensor(vectors))

    def forward(self, places: Tensor) -> Tensor:
        return self.table(places + self.first)


class LinearPart(nn.Module):
    """The linear or logistic regression that each member starts from; training does not change it.

    Buffers: slope (members, numbers + text, outputs) of the dense columns, levels (members *
    places, outputs) of the categories of all columns, bias (members, 1, outputs).
    """

    def __init__(self, design: Design) -> None:
        members, outputs, places = design.members, design.outputs, sum(design.cardinalities)
        self.slope: nn.Buffer = nn.Buffer(zeros(members, design.numbers + design.text, outputs))
        self.levels: nn.Buffer = nn.Buffer(zeros(members * places, outputs))
        self.bias: nn.Buffer = nn.Buffer(zeros(members, 1, outputs))
        columns = np.cumsum([0, *design.cardinalities])[:-1]
        first = np.arange(members).reshape(-1, 1, 1) * places + columns
        self.first: nn.Buffer = nn.Buffer(as_tensor(first))

    def forward(self, dense: Tensor | None, categories: Tensor | None) -> Tensor:
        """Returns (members, n, outputs)."""
        total: Tensor = self.bias
        if dense is not None:
            total = total + matmul(dense, self.slope)
        if categories is not None:
            total = total + F.embedding(categories + self.first, self.levels).sum(2)
        return total

    def set_weights(self, weights: np.ndarray, bias: np.ndarray) -> None:
        """Takes weights (members, numbers + text + places, outputs) and bias (members, outputs)."""
        dense, outputs = self.slope.shape[1], weights.shape[2]
        with no_grad():
            self.slope.copy_(as_tensor(weights[:, :dense].astype(np.float32)))
            self.levels.copy_(as_tensor(weights[:, dense:].reshape(-1, outputs).astype(np.float32)))
            self.bias.copy_(as_tensor(bias[:, None].astype(np.float32)))


class PiecewiseLinearEncoding(nn.Module):
    """Each number as how far it has come through each piece of its range, 0 to 1 (Gorishniy,
    Rubachev and Babenko 2022): (..., numbers) -> (..., numbers * bins).

    Buffers: start and slope (numbers, bins): the piece from a to b gives clip((x - a) / (b - a)).
    """

    def __init__(self, numbers: int, bins: int) -> None:
        self.start: nn.Buffer = nn.Buffer(zeros(numbers, bins))
        self.slope: nn.Buffer = nn.Buffer(zeros(numbers, bins))

    def fit(self, numbers: np.ndarray) -> None:
        """Takes the ends of the pieces from quantiles of training rows (n, numbers)."""
        columns, bins = self.start.shape
        start, slope = (np.zeros((columns, bins), np.float32) for _ in range(2))
        for column in range(columns):
            ends = np.unique(np.quantile(numbers[:, column], np.linspace(0, 1, bins + 1)))
            pieces = len(ends) - 1
            start[column, :pieces], slope[column, :pieces] = ends[:-1], 1 / np.diff(ends)
        with no_grad():
            self.start.copy_(as_tensor(start))
            self.slope.copy_(as_tensor(slope))

    def forward(self, x: Tensor) -> Tensor:
        pieces = ((x.unsqueeze(-1) - self.start) * self.slope).clamp(0, 1)
        return pieces.reshape(*x.shape[:-1], -1)


class TabularNetwork(nn.Module):
    """Several members: each is a linear part, and hidden layers that learn what it misses.

    output = linear(x) + W (h_0 + ... + h_blocks), W first 0, so that a member begins as its linear
    part. Members share no parameter: what one learns from a row does not affect another.

    Shapes: numbers (members or 1, n, numbers), categories int (members or 1, n, columns), text
    (members or 1, n, text), each where there are such columns -> (members, n, outputs).
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        members, width = design.members, design.width
        self.linear: LinearPart = LinearPart(design)
        self.pieces: PiecewiseLinearEncoding = PiecewiseLinearEncoding(design.numbers, design.bins)
        self.embeddings: nn.ModuleList = nn.ModuleList(
            [MemberEmbedding(members, n, embedding_width(n)) for n in design.cardinalities]
        )
        dense = design.numbers * (1 + design.bins) + design.text
        embedded = sum(map(embedding_width, design.cardinalities))
        self.dense: MemberLinear | None = MemberLinear(members, dense, width) if dense else None
        self.embedded: MemberLinear | None = (
            MemberLinear(members, embedded, width) if embedded else None
        )
        self.blocks: nn.ModuleList = nn.ModuleList(
            [MemberLinear(members, width, width) for _ in range(design.blocks)]
        )
        self.dropout: nn.Dropout = nn.Dropout(design.dropout)
        self.output: MemberLinear = MemberLinear(members, width, design.outputs, zero=True)

    def forward(
        self,
        numbers: Tensor | None = None,
        categories: Tensor | None = None,
        text: Tensor | None = None,
    ) -> Tensor:
        raw = [part for part in (numbers, text) if part is not None]
        linear = self.linear(cat(raw, dim=-1) if raw else None, categories)
        hidden = self.dropout(F.relu(self._first(numbers, categories, text)))
        for block in self.blocks:
            hidden = hidden + self.dropout(F.relu(block(hidden)))
        return linear + self.output(hidden)

    def _first(
        self, numbers: Tensor | None, categories: Tensor | None, text: Tensor | None
    ) -> Tensor:
        """Returns the first hidden layer before its activation."""
        dense = [] if text is None else [text]
        if numbers is not None:
            dense += [numbers.clamp(-FARTHEST, FARTHEST), self.pieces(numbers)]
        sums = [self.dense(cat(dense, dim=-1))] if self.dense is not None else []
        if categories is not None and self.embedded is not None:
            columns = [part(categories[..., n]) for n, part in enumerate(self.embeddings)]
            sums.append(self.embedded(cat(columns, dim=-1)))
        return sum(sums[1:], sums[0])


def zeros(*shape: int) -> Tensor:
    """Returns new float32 zeros."""
    return as_tensor(np.zeros(shape, np.float32))
