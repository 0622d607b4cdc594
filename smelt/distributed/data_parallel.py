"""Data parallel training: each rank computes gradients on its samples, and all use the mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from smelt import guards, tree
from smelt.distributed.exchange import MEBIBYTE, Exchange, flat, unflat
from smelt.distributed.shards import Shards, samples_of
from smelt.dtypes import bool_, int32
from smelt.errors import ArgumentError
from smelt.mpi.agreement import agree
from smelt.nn.module import Module
from smelt.nn.sync_batch_norm import SyncBatchNorm
from smelt.random import Rows, drawing_rows
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.checked import described
from smelt.tensor.collectives import all_reduce, broadcast, get_rank, get_world_size
from smelt.tensor.shaping import stack
from smelt.tracing.engine import context, no_grad
from smelt.tracing.hooks import exchange_of, set_exchange

__all__ = ["DistributedDataParallel", "broadcast_state", "check_same_model"]


class DistributedDataParallel(Module):
    """A module whose gradients are the mean over the samples of all ranks.

    `backward()` leaves that mean in `.grad`, so an optimizer changes the parameters identically on
    all ranks, to the bit; initially all have those of rank 0. Within a compiled step gradients are
    sent in buckets, each as soon as it is complete, while the rest of the backward pass continues.
    The loss must be a mean over the samples of the batch; ranks may have different numbers of
    samples, also none. A mean with weights (of classes, of samples, of labels that are not ignored)
    is one over all ranks in the function given to `backward` of this object, and in `train.fit`;
    `loss.backward()` takes the mean of the ranks' means. `autograd.grad` returns this rank's
    gradients.

    Random numbers whose first axis is the sample, such as those of dropout, are drawn for the batch
    of all ranks, and rank r takes the r-th part: dropout drops the same elements of a sample on any
    number of ranks. Floats in buffers that the module changes, such as the running statistics of
    BatchNorm, become their mean over all ranks; for statistics of the batch of all ranks first
    convert the module with `nn.SyncBatchNorm.convert_sync_batchnorm`.

    Args:
        module: the model; all ranks create the same one.
        bucket_cap_mb: mebibytes of gradients that are sent at once; the first bucket has one
            mebibyte.
        deterministic: whether results must not depend on the number of ranks, to the bit: the batch
            of all ranks is computed in `shards` pieces, and all sums form one tree. BatchNorm
            normalizes each shard separately. Gradients then come from `backward` of this object,
            not from that of a loss. The price: kernels for smaller batches, memory for one gradient
            per shard, and no overlap of communication.
        shards: number of pieces of the batch of all ranks, a power of two. The number of ranks must
            be a power of two, and not larger.

    Raises:
        ArgumentError: not a module, no parameter that requires a gradient, or a setting out of
            range.
        StateError: on all ranks, if their models differ.

    Example:
        >>> import smelt
        >>> from smelt import distributed, nn
        >>> distributed.init_process_group()
        >>> model = distributed.DistributedDataParallel(nn.Linear(3, 2))
        >>> model(smelt.ones(5, 3)).shape
        (5, 2)
        >>> distributed.destroy_process_group()
    """

    def __init__(
        self,
        module: Module,
        *,
        bucket_cap_mb: float = 25,
        deterministic: bool = False,
        shards: int = 4,
    ) -> None:
        if not isinstance(module, Module):
            raise ArgumentError(
                f"DistributedDataParallel: module must be a module, got {described(module)}"
            )
        if not bucket_cap_mb > 0:
            raise ArgumentError(
                f"DistributedDataParallel: bucket_cap_mb must be positive, got {bucket_cap_mb}"
            )
        learned = [x for x in module.parameters() if x.requires_grad]
        if not learned:
            raise ArgumentError(
                "DistributedDataParallel: no parameter requires a gradient, so there is nothing to "
                "average"
            )
        self.module = module
        check_same_model(module)
        if deterministic and any(isinstance(part, SyncBatchNorm) for part in module.modules()):
            raise ArgumentError(
                "DistributedDataParallel: deterministic=True computes shard by shard, but "
                "SyncBatchNorm needs the whole batch; use BatchNorm, which normalizes each shard"
            )
        vars(self)["_shards"] = Shards(shards) if deterministic else None
        broadcast_state(module)
        exchange = Exchange(learned, bucket_cap_mb * MEBIBYTE, deterministic)
        vars(self)["_exchange"] = exchange
        set_exchange(learned, exchange)
        guards.changed()

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Returns the module's output for this rank's part of a batch."""
        samples = _counted((inputs, options))
        exchange: Exchange = vars(self)["_exchange"]
        exchange.samples = samples
        if exchange.is_by_shards:  # `backward` has seen to it
            return self.module(*inputs, **options)
        with _averaged_buffers(self.module), drawing_rows(_rows(samples)):
            return self.module(*inputs, **options)

    def backward(self, function: Callable[..., Tensor], *batch: Any) -> Tensor:
        """Adds the gradient of a loss, as a mean over the samples of all ranks, to `.grad` of the
        module's parameters.

        It is `function(*batch).backward()`, and the only way to do that with `deterministic=True`,
        since it calls the function once for each shard.

        Args:
            function: takes a batch, or a part of it, calls this module, and returns the loss: a
                mean over the samples.
            batch: this rank's samples: trees of tensors; the first axis is the sample if it is as
                long as that of the first tensor.

        Returns:
            The loss, the mean over the samples of all ranks: the same on all ranks.

        Raises:
            ShapeError: the samples cannot be divided into equal shards.
        """
        exchange, shards = vars(self)["_exchange"], vars(self)["_shards"]
        given = tree.map(lambda x: as_tensor(x) if hasattr(x, "__array__") else x, batch)
        if shards is None:
            samples = _counted(given)
            with drawing_rows(_rows(samples)):
                value = function(*given)
            value.backward()
            return mean_over_samples(value.detach(), 1 if samples is None else samples)
        parameters = [x for x in self.module.parameters() if x.requires_grad]
        exchange.is_by_shards = True
        try:
            value, gradients = shards.gradients(
                function, given, parameters, [*self.module.buffers()]
            )
        finally:
            exchange.is_by_shards = False
        for x, gradient in zip(parameters, gradients, strict=True):
            x.grad = gradient if x.grad is None else x.grad + gradient
        return value

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within the block `backward()` leaves this rank's own gradients; after the block it adds
        the mean over ranks of what it computes then.
        """
        exchange: Exchange = vars(self)["_exchange"]
        before, exchange.is_on = exchange.is_on, False
        guards.changed()
        try:
            yield
        finally:
            exchange.is_on = before
            guards.changed()

    def fingerprint(self) -> Any:
        """Returns what a compiled step takes as constant."""
        exchange: Exchange = vars(self)["_exchange"]
        settings = exchange.is_on, exchange.is_deferred, exchange.is_of_one_batch
        return super().fingerprint(), settings


def _counted(inputs: Any) -> Any:
    """Returns how many samples of a batch count: none where this rank has a copy of another's."""
    return 0 if context.rows is not None and context.rows.is_empty else samples_of(inputs)


def _rows(samples: Any) -> Rows | None:
    """Returns the place of this rank's samples in the batch of all ranks, if all have as many."""
    if context.rows is not None:  # whoever made the batch has said where they are
        return context.rows
    if samples is None or get_world_size() == 1:
        return None
    return Rows(samples, get_rank() * samples, get_world_size() * samples, of_ranks=True)


def mean_over_samples(value: Tensor, samples: Any) -> Tensor:
    """Returns the mean over the samples of all ranks of a mean over those of each."""
    if get_world_size() == 1:
        return value
    pair = stack([value * samples, value.new_full((), 1) * samples])
    sums = all_reduce(pair)
    return sums[0] / sums[1]


@contextmanager
def _averaged_buffers(module: Module) -> Iterator[None]:
    """Lets what the block leaves in buffers of floats be the mean of what it leaves on all ranks,
    where that is not the same anyway.
    """
    alike = {
        id(x)
        for part in module.modules()
        if isinstance(part, SyncBatchNorm)
        for x in part.buffers()
    }
    floats = [x for x in module.buffers() if x.dtype.is_float and id(x) not in alike]
    versions = [x.version for x in floats]
    yield
    changed = [x for x, before in zip(floats, versions, strict=True) if x.version != before]
    if not changed or get_world_size() == 1:
        return
    with no_grad():
        row = flat([x.clone() for x in changed])
        for x, value in zip(
            changed, unflat(all_reduce(row, "mean"), [x.shape for x in changed]), strict=True
        ):
            x.copy_(value)


def check_same_model(module: Module) -> None:
    """Raises on all ranks if their models differ in names, shapes, dtypes or settings.

    Raises:
        StateError: with the first names in which they differ.
    """
    kinds = {
        name: f"{x.dtype.name}{list(x.shape)}{' learned' if x.requires_grad else ''}"
        for name, x in (*module.named_parameters(), *module.named_buffers())
    }
    agree(f"a model of the class {type(module).__name__}", kinds)
    layers = {f"line {n} of its layers": line for n, line in enumerate(repr(module).splitlines())}
    agree(f"a model of the class {type(module).__name__}", layers)


def broadcast_state(module: Module) -> None:
    """Copies the parameters and buffers of rank 0 to all ranks."""
    if get_world_size() == 1:
        return
    every = dict.fromkeys((*module.parameters(), *module.buffers()))
    kinds: dict[Any, list[Tensor]] = {}
    for x in every:
        kinds.setdefault(x.dtype, []).append(x)
    with no_grad():
        for tensors in kinds.values():
            _broadcast(tensors)


def _broadcast(tensors: Sequence[Tensor]) -> None:
    own = [x.detach().to(int32) if x.dtype is bool_ else x.detach() for x in tensors]
    own = [x.to(x.dtype.compute) for x in own]
    row = broadcast(flat(own), 0)
    for x, value in zip(tensors, unflat(row, [x.shape for x in tensors]), strict=True):
        x.copy_(value.to(x.dtype))


def exchange_of_all(parameters: Sequence[Tensor], what: str) -> Exchange:
    """Returns the exchange of parameters that belong to one DistributedDataParallel.

    Raises:
        ArgumentError: they belong to none, or to several.
    """
    found = {id(exchange_of(x)): exchange_of(x) for x in parameters if x.requires_grad}
    (exchange, *others) = found.values() or (None,)
    if not isinstance(exchange, Exchange) or others:
        raise ArgumentError(
            f"{what}: the parameters must be those of one DistributedDataParallel; wrap the model "
            "before you make the optimizer"
        )
    return exchange
