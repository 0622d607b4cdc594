"""Fixed shards: a batch is computed in pieces that do not depend on how many ranks there are.

With S shards each of P ranks computes S / P of them in a loop, whose body is one shard's forward
and backward pass. So kernels, and the order of every sum in them, are those of a shard. The
gradients of the shards are added up in pairs, (g0 + g1) + (g2 + g3), those of a rank first, since
they are a subtree of the whole; then those of the ranks (`sum_by_tree`). So the bits are the same
for every number of ranks that is a power of two and divides S.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from smelt import autograd, tree
from smelt.control import scan
from smelt.creation import arange
from smelt.distributed.exchange import flat, sum_by_tree, sum_of_pairs, unflat
from smelt.dtypes import int64
from smelt.errors import ArgumentError, ShapeError
from smelt.ops.op import is_whole_number
from smelt.random import Rows, default_generator, drawing_rows
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.collectives import get_rank, get_world_size
from smelt.tracing.engine import no_grad

__all__ = ["Shards", "samples_of"]


def samples_of(inputs: Any) -> Any:
    """Returns how many samples a batch has: the size of the first axis of its first tensor; None
    without tensors.
    """
    for leaf in tree.flatten(inputs)[0]:
        if isinstance(leaf, Tensor) and leaf.ndim:
            return leaf.shape[0]
    return None


class Shards:
    """How batches are divided into shards.

    Args:
        count: the shards of all ranks together.

    Raises:
        ArgumentError: `count` or the number of ranks is not a power of two, or there are more
            ranks.
    """

    def __init__(self, count: Any) -> None:
        size = get_world_size()
        is_number = is_whole_number(count) and count >= 1
        if not is_number or count & (count - 1) or size & (size - 1) or size > count:
            raise ArgumentError(
                "DistributedDataParallel: with deterministic=True, the numbers of shards and of "
                "ranks must be powers of two, with no more ranks than shards; got "
                f"shards={count!r} and {size} ranks"
            )
        self.count: int = int(count)
        self.own: int = int(count) // size
        self.first: int = get_rank() * self.own

    def gradients(
        self,
        function: Callable[..., Tensor],
        batch: Sequence[Any],
        parameters: Sequence[Tensor],
        buffers: Sequence[Tensor],
    ) -> tuple[Tensor, list[Tensor]]:
        """Returns the mean of a function over all shards of all ranks, and its gradients.

        Buffers of floats hold the mean of what the shards have left there, then; others, what one
        has left.

        Args:
            function: of a batch, a number that is a mean over its samples.
            batch: this rank's samples.
            parameters: by which it is differentiated.
            buffers: what else it may change.

        Raises:
            ShapeError: the samples cannot be divided into equal shards.
        """
        leaves, structure = tree.flatten(tuple(batch))
        samples = samples_of(leaves)
        if samples is None or samples % self.own:
            raise ShapeError(
                f"DistributedDataParallel: {samples} samples on a rank cannot be split into "
                f"{self.own} equal shards, as deterministic=True requires; the batch of all ranks "
                f"together must be a multiple of {self.count} samples"
            )
        width = samples // self.own
        cut = [isinstance(x, Tensor) and bool(x.ndim) and x.shape[0] == samples for x in leaves]
        inputs = [
            x.reshape(self.own, width, *x.shape[1:])
            for x, is_cut in zip(leaves, cut, strict=True)
            if is_cut
        ]
        states = [*buffers, default_generator().state]
        with no_grad():
            before = [x.clone() for x in states]

        def shard(carry: None, given: Any) -> tuple[None, list[Tensor]]:
            number, *parts = given
            rest = iter(parts)
            own = [next(rest) if is_cut else x for x, is_cut in zip(leaves, cut, strict=True)]
            rows = Rows(width, (number + self.first) * width, self.count * width)
            with drawing_rows(rows):
                value = function(*tree.unflatten(structure, own))
            found = autograd.grad(value, parameters, materialize_grads=True)
            with no_grad():
                left = [x.clone() for x in states]
                for x, value_before in zip(states, before, strict=True):
                    x.copy_(value_before)
            return None, [value.detach(), *map(as_tensor, found), *left]

        numbers = arange(self.own, dtype=int64)
        _, stacked = scan(shard, None, [numbers, *inputs])
        value, *found = stacked[: 1 + len(parameters)]
        with no_grad():
            self._settle(states, stacked[1 + len(parameters) :])
            means = self._means([value, *found])
        return means[0], means[1:]

    def _means(self, stacked: Sequence[Tensor]) -> list[Tensor]:
        """Returns the means over all shards of all ranks of tensors (own shards, ...)."""
        kinds: dict[Any, list[int]] = {}
        for place, x in enumerate(stacked):
            kinds.setdefault(x.dtype, []).append(place)
        result: list[Tensor] = list(stacked)
        for places in kinds.values():
            sums = [sum_of_pairs([*stacked[place].unbind()]) for place in places]
            row = sum_by_tree(flat(sums)) / self.count
            for place, mean in zip(places, unflat(row, [x.shape for x in sums]), strict=True):
                result[place] = mean
        return result

    def _settle(self, states: Sequence[Tensor], left: Sequence[Tensor]) -> None:
        """Gives buffers what they hold after all shards; the generator has gone on as far as for
        the whole batch, whose draws each shard has a part of.
        """
        floats = [place for place, x in enumerate(states) if x.dtype.is_float]
        means = self._means([left[place] for place in floats])
        for place, x in enumerate(states):
            x.copy_(means[floats.index(place)] if place in floats else left[place][0])
