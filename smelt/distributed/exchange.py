"""The exchange of gradients: buckets of one flat buffer, summed up while the rest is computed.

    gradients of a bucket, times this rank's samples, and their number
        -> one flat buffer -> a sum over all ranks, begun -> ... -> sums / all samples -> gradients

The mean over all samples is the mean of the ranks' means, weighted by how many samples each had; so
shards may be uneven. A step of a compiled function begins each sum when its bucket is complete, and
waits for it when nothing else is left to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from smelt.errors import ArgumentError
from smelt.ops.op import Shape
from smelt.tensor import Tensor
from smelt.tensor.collectives import all_gather, all_to_all, begin_all_reduce, get_world_size
from smelt.tensor.shaping import cat
from smelt.tracing.engine import context

__all__ = ["Exchange", "buckets", "flat", "sum_by_tree", "sum_of_pairs", "unflat"]

MEBIBYTE = 1 << 20
FIRST_BYTES = MEBIBYTE  # of the first bucket, which shall begin early
Pairs = Sequence[tuple[Tensor, Tensor]]


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """Returns the elements of tensors of one dtype in one row, (n,)."""
    return cat([x.reshape(-1) for x in tensors])


def unflat(row: Tensor, shapes: Iterable[Shape]) -> list[Tensor]:
    """Returns a row (n,) as tensors of these shapes."""
    result, start = [], 0
    for shape in shapes:
        stop = start + _size(shape)
        result.append(row[start:stop].reshape(shape))
        start = stop
    return result


def _size(shape: Shape) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size


def buckets(tensors: Sequence[Tensor], limit: float) -> Iterator[list[int]]:
    """Yields the places of tensors that are sent together: of one dtype, up to so many bytes."""
    bucket: list[int] = []
    nbytes, most = 0, min(limit, FIRST_BYTES)
    for place, x in enumerate(tensors):
        size = x.size * x.dtype.itemsize
        other = bucket and tensors[bucket[0]].dtype is not x.dtype
        if bucket and (other or nbytes + size > most):
            yield bucket
            bucket, nbytes, most = [], 0, limit
        bucket.append(place)
        nbytes += size
    if bucket:
        yield bucket


def sum_by_tree(row: Tensor) -> Tensor:
    """Returns the sum of rows (n,) over all ranks, added up as a tree of pairs whose shape depends
    on the number of ranks only: ((0 + 1) + (2 + 3)) + ...

    Each rank adds up one part of the row: a transpose, the tree, and what came of it to all. That
    sends as many bytes as the usual sum does, and adds up as much.
    """
    size = get_world_size()
    if size == 1:
        return row
    count = row.shape[0]
    width = -(-count // size)
    missing = width * size - count
    padded = cat([row, row.new_zeros((missing,))]) if missing else row
    parts: list[Tensor] = [*all_to_all(padded.reshape(size, width)).unbind()]
    return all_gather(sum_of_pairs(parts)).reshape(-1)[:count]


def sum_of_pairs(parts: Sequence[Tensor]) -> Tensor:
    """Returns the sum of tensors by a tree of pairs."""
    while len(parts) > 1:
        even = len(parts) // 2 * 2
        sums = [parts[n] + parts[n + 1] for n in range(0, even, 2)]
        parts = [*sums, *parts[even:]]
    return parts[0]


class Exchange:
    """What `backward` gives the gradients of a model's parameters to.

    Args:
        parameters: in the model's order; gradients are complete in about the reverse.
        bucket_bytes: how much is sent at once, at most, where it is more than one tensor.
        by_tree: whether gradients come shard by shard, and not through here.

    Attributes:
        samples: of the batch of this rank; gradients are weighted by it. None: by 1.
        is_on: whether gradients are exchanged at all.
        is_deferred: whether an optimizer does that which holds a part of the moments.
        is_by_shards: whether a shard is computed just now.
        is_of_one_batch: whether ranks have parts of one batch, whose place the context's `rows` is,
            as in `fit`. Then what is deferred is weighted as soon as it is there, so that the
            gradients of several batches can be added up.
    """

    def __init__(self, parameters: Iterable[Tensor], bucket_bytes: float, by_tree: bool) -> None:
        self.places: dict[int, int] = {id(x): place for place, x in enumerate(parameters)}
        self.bucket_bytes = bucket_bytes
        self.by_tree = by_tree
        self.samples: Any = None
        self.is_on: bool = True
        self.is_deferred: bool = False
        self.is_by_shards = False
        self.is_of_one_batch: bool = False

    def __call__(self, pairs: Pairs) -> list[Tensor]:
        """Returns the means over all ranks of some gradients."""
        if self.by_tree:
            raise ArgumentError(
                "DistributedDataParallel: with deterministic=True, write "
                "model.backward(function, *batch) instead of loss.backward(): the batch is "
                "computed shard by shard"
            )
        given = [gradient for _, gradient in pairs]
        if not self.is_on or get_world_size() == 1:
            return given
        if self.is_deferred:
            return [self._share(x) for x in given]
        order = sorted(range(len(pairs)), key=lambda k: -self.places[id(pairs[k][0])])
        ordered = [given[k] for k in order]
        for x in ordered:
            if not x.dtype.is_float or x.dtype.compute is not x.dtype:
                raise ArgumentError(
                    f"DistributedDataParallel: a gradient is {x.dtype.name}; parameters must be "
                    "float32 or float64 (for 16-bit storage use train.fit(precision=...))"
                )
        result: list[Tensor] = list(given)
        for places, means in self._means(ordered):
            for place, mean in zip(places, means, strict=True):
                result[order[place]] = mean
        return result

    def _means(self, ordered: list[Tensor]) -> Iterator[tuple[list[int], list[Tensor]]]:
        under_way = []
        for places in buckets(ordered, self.bucket_bytes):
            tensors = [ordered[place] for place in places]
            under_way.append((places, [x.shape for x in tensors], self._begun(tensors)))
        for places, shapes, finished in under_way:
            yield places, unflat(finished(), shapes)

    def _begun(self, tensors: list[Tensor]) -> Any:
        finished = begin_all_reduce(self.weighted(tensors))
        return lambda: _mean(finished())

    def _share(self, gradient: Tensor) -> Tensor:
        """Returns a gradient so that the mean over all ranks is that over all samples, where it is
        known how many there are.
        """
        rows = context.rows
        if not self.is_of_one_batch or rows is None:
            return gradient
        if rows.is_empty:
            return gradient.new_zeros(gradient.shape)
        return gradient * (rows.count * get_world_size() / rows.total)

    def weighted(self, tensors: list[Tensor]) -> Tensor:
        """Returns gradients times this rank's number of samples, in a row with that behind."""
        is_weighted = self.is_deferred and self.is_of_one_batch
        samples = 1 if self.samples is None or is_weighted else self.samples
        one = tensors[0].new_full((1,), 1) * samples
        if isinstance(samples, int) and samples == 0:  # a mean over nothing is nan
            return cat([flat(tensors).new_zeros((sum(x.size for x in tensors),)), one])
        return cat([flat(tensors) * samples, one])


def _mean(sums: Tensor) -> Tensor:
    return sums[:-1] / sums[-1:]
