"""Fixed shards: a batch is computed in pieces that do not depend on how many ranks there are.

With S shards each of P ranks computes S / P of them, one after the other, with kernels of one
shape. A parameter that shards share is split like a tree, each node of which is read by two:

    w -> a -> a0, a1        so its gradient is added up in pairs, g = (g0 + g1) + (g2 + g3),
      -> b -> b0, b1        and what a rank adds up is a subtree of the whole

The rest of the tree is added up between the ranks (`sum_by_tree`). So the bits are the same for
every number of ranks that is a power of two and divides S.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from smelt import tree
from smelt.distributed.exchange import sum_of_pairs
from smelt.errors import ArgumentError, ShapeError
from smelt.nn.module import Module
from smelt.nn.parameter import Parameter
from smelt.nn.substitute import substituted_parameters
from smelt.ops.barrier import optimization_barrier
from smelt.random import Rows, default_generator, drawing_rows
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.collectives import get_rank, get_world_size
from smelt.tensor.shaping import cat
from smelt.tracing.engine import no_grad

__all__ = ["Shards", "samples_of"]


def samples_of(inputs: Any) -> Any:
    """Returns how many samples a batch has: the first extent of its first tensor; None without."""
    for leaf in tree.flatten(inputs)[0]:
        if isinstance(leaf, Tensor) and leaf.ndim:
            return leaf.shape[0]
    return None


class Shards:
    """The shards of a module's batches.

    Args:
        module: computes one shard at a time.
        count: of all ranks together.

    Raises:
        ArgumentError: `count` or the number of ranks is no power of two, or there are more ranks.
    """

    def __init__(self, module: Module, count: int) -> None:
        size = get_world_size()
        if count < 1 or count & (count - 1) or size & (size - 1) or size > count:
            raise ArgumentError(
                f"DistributedDataParallel: deterministic=True computes shards={count} by {size} "
                "ranks; both are powers of two, and no more ranks than shards"
            )
        self.module, self.own = module, count // size
        self.count, self.first = count, get_rank() * (count // size)

    def __call__(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Returns what the module makes of a batch, shard by shard."""
        samples = samples_of((inputs, options))
        if samples is None or samples % self.own:
            raise ShapeError(
                f"DistributedDataParallel: a batch of {samples} samples cannot be cut into "
                f"{self.own} equal shards, which deterministic=True asks for"
            )
        width = samples // self.own
        copies = _Copies(self.own)
        buffers = _Buffers([*self.module.buffers(), default_generator().state])
        outputs = []
        for number in range(self.own):
            part = tree.map(_slicer(samples, number * width, width), (inputs, options))
            rows = Rows(width, (self.first + number) * width, self.count * width)
            chosen = _taker(copies, number)
            with substituted_parameters(self.module, chosen), drawing_rows(rows):
                outputs.append(self.module(*part[0], **part[1]))
            buffers.note()
        buffers.settle()
        return tree.map(lambda *parts: cat([as_tensor(part) for part in parts]), *outputs)


def _taker(copies: _Copies, number: int) -> Callable[[Parameter], Tensor]:
    return lambda parameter: copies.of(parameter, number)


def _slicer(samples: Any, start: Any, width: Any) -> Callable[[Any], Any]:
    def sliced(leaf: Any) -> Any:
        is_batch = isinstance(leaf, Tensor) and leaf.ndim and leaf.shape[0] == samples
        return leaf[start : start + width] if is_batch else leaf

    return sliced


class _Copies:
    """What each shard reads in the place of a parameter: the leaves of a tree of its copies."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.leaves: dict[int, list[Tensor]] = {}

    def of(self, parameter: Parameter, number: int) -> Tensor:
        """Returns the copy that shard `number` reads."""
        if id(parameter) not in self.leaves:
            level: list[Tensor] = [parameter]
            while len(level) < self.count:
                level = [_alias(x) for x in level for _ in range(2)]
            self.leaves[id(parameter)] = level
        return self.leaves[id(parameter)][number]


def _alias(x: Tensor) -> Tensor:
    """Returns x as a tensor of its own, with a gradient of its own."""
    return optimization_barrier(x, as_tensor(0))


class _Buffers:
    """The buffers of a module: each shard finds them as they were, and leaves its own.

    Afterwards those of floats are the mean of what the shards left, of integers what one left, and
    the generator has gone on as far as for one shard, whose draws are for the whole batch.
    """

    def __init__(self, buffers: Sequence[Tensor]) -> None:
        self.buffers = buffers
        with no_grad():
            self.before = [x.clone() for x in buffers]
        self.versions = [x.version for x in buffers]
        self.left: list[list[Tensor]] = [[] for _ in buffers]

    def note(self) -> None:
        """Notes what a shard left, and goes back."""
        with no_grad():
            for place, x in enumerate(self.buffers):
                if x.version != self.versions[place]:
                    self.left[place].append(x.clone())
                    x.copy_(self.before[place])
                    self.versions[place] = x.version

    def settle(self) -> None:
        """Gives each buffer what it holds after all shards of this rank."""
        with no_grad():
            for x, left in zip(self.buffers, self.left, strict=True):
                if left:
                    mean = x.dtype.is_float
                    x.copy_(sum_of_pairs(left) / len(left) if mean else left[0])
