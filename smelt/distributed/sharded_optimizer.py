"""Sharded optimizer state: each rank holds the moments of a part of the parameters, and updates it.

    gradients -> one row -> reduce-scatter -> this rank's part, its moments -> update -> all-gather

(Rajbhandari, Rasley, Ruwase, He: "ZeRO: memory optimizations toward training trillion parameter
models", SC 2020, stage 1.) A step sends as much as without sharding: the two halves of an
all-reduce.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from smelt import guards
from smelt.distributed.data_parallel import exchange_of_all
from smelt.distributed.exchange import flat, unflat
from smelt.errors import ArgumentError, StateError
from smelt.nn.parameter import Parameter
from smelt.optim.clip import get_total_norm
from smelt.optim.group import Group
from smelt.optim.optimizer import Optimizer
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.collectives import (
    all_gather,
    all_reduce,
    get_rank,
    get_world_size,
    reduce_scatter,
)
from smelt.tensor.elementary import minimum
from smelt.tensor.shaping import cat
from smelt.tracing.engine import current_engine, no_grad

if TYPE_CHECKING:
    from smelt.distributed.exchange import Exchange

__all__ = ["ZeroRedundancyOptimizer"]


class ZeroRedundancyOptimizer(Optimizer):
    """An optimizer of which each rank holds a part of the moments; the name is PyTorch's.

    The parameters are those of one DistributedDataParallel; from now on its `backward` leaves each
    rank's own gradients, and `step` uses their mean. So code between the two that looks at all
    gradients gets those of one rank; to clip them by their norm call `clip_grad_norm_` of this
    object. Learning-rate schedules take it as any optimizer.

    `state_dict` has the names and shapes of the optimizer itself for any number of ranks, so a
    training can be resumed with another number, or without ranks. All ranks must call it, since
    each has a part.

    Args:
        params: all parameters that require a gradient, of one dtype.
        optimizer_class: an optimizer that treats each element independently, such as `optim.Adam`.
        defaults: its settings.

    Attributes:
        optimizer: holds this rank's part.
        param_groups: its settings; "params" is this rank's part of all parameters.

    Raises:
        ArgumentError: an optimizer that is not elementwise, parameters of several dtypes, or
            parameters that are not all of one DistributedDataParallel, or belong to a deterministic
            one.
    """

    def __init__(
        self, params: Iterable[Tensor], optimizer_class: type[Optimizer], **defaults: Any
    ) -> None:
        self.parameters: list[Tensor] = [x for x in params if x.requires_grad]
        name = getattr(optimizer_class, "__name__", repr(optimizer_class))
        if not (isinstance(optimizer_class, type) and issubclass(optimizer_class, Optimizer)):
            raise ArgumentError(
                f"ZeroRedundancyOptimizer: {name} is not an optimizer of smelt.optim"
            )
        if not optimizer_class.is_elementwise:
            raise ArgumentError(
                f"ZeroRedundancyOptimizer: {name} needs whole parameters, but each rank updates "
                "only parts of them; use an elementwise optimizer, such as optim.Adam"
            )
        if len({x.dtype for x in self.parameters}) > 1:
            raise ArgumentError("ZeroRedundancyOptimizer: all parameters must have the same dtype")
        self.exchange: Exchange = exchange_of_all(self.parameters, "ZeroRedundancyOptimizer")
        if self.exchange.by_tree:
            raise ArgumentError(
                "ZeroRedundancyOptimizer: not supported with deterministic=True, which sums "
                "gradients in its own way; use the optimizer itself"
            )
        if len({id(x) for x in self.parameters}) != len(self.exchange.places):
            raise ArgumentError(
                f"ZeroRedundancyOptimizer: {len(self.parameters)} of the "
                f"{len(self.exchange.places)} parameters of the DistributedDataParallel that "
                "require a gradient; give all, since no others would have the mean of theirs"
            )
        self.size: int = get_world_size()
        self.rank: int = get_rank()
        self.count = sum(x.size for x in self.parameters)
        self.width: int = -(-self.count // self.size)
        with no_grad():
            self.part: Parameter = Parameter(
                self._own(flat([x.detach() for x in self.parameters])).clone()
            )
        self.optimizer: Optimizer = optimizer_class([self.part], **defaults)
        self.defaults: dict[str, Any] = self.optimizer.defaults
        self.param_groups: list[Group] = self.optimizer.param_groups
        self.state: dict[Tensor, dict[str, Tensor]] = self.optimizer.state
        self.exchange.is_deferred = self.size > 1
        guards.changed()

    def add_param_group(self, given: Mapping[str, Any]) -> None:
        """Raises ArgumentError: parts of all parameters lie on all ranks."""
        raise ArgumentError(
            "ZeroRedundancyOptimizer: it has one group of parameters; give all when it is made"
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of all parameters, or sets them to zeros."""
        current_engine().note_module(self)
        self.part.grad = None
        for x in self.parameters:
            x.grad = None if set_to_none or x.grad is None else x.grad * 0

    def clip_grad_norm_(self, max_norm: float, norm_type: float = 2.0) -> Tensor:
        """Takes the mean of the gradients of all ranks, which the next `step` uses, and scales it
        so that its norm is at most `max_norm`; `.grad` of the parameters is not changed.

        Args:
            max_norm: the largest norm of the gradient of all parameters together.
            norm_type: p of the p-norm; may be inf.

        Returns:
            The norm before, shape (), the same on all ranks.

        Raises:
            ArgumentError: `max_norm` is negative, `norm_type` is not positive, or a parameter has
                no gradient.
        """
        if not max_norm >= 0:
            raise ArgumentError(f"clip_grad_norm_: max_norm must not be negative, got {max_norm}")
        current_engine().note_module(self)
        with no_grad():
            mean = self._mean()
            own = get_total_norm([mean], norm_type)
            if norm_type == math.inf:
                total = all_reduce(own, "max")
            else:
                total = all_reduce(own**norm_type) ** (1.0 / norm_type)
            self.part.grad = mean * minimum(max_norm / (total + 1e-6), 1.0).to(mean.dtype)
        return total

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates all parameters with the mean of the gradients of all ranks.

        Args:
            closure: computes the loss and its gradients, before the update; its result is returned.

        Raises:
            ArgumentError: a parameter has no gradient.
        """
        current_engine().note_module(self)
        result = None if closure is None else closure()
        with no_grad():
            if self.part.grad is None:
                self.part.grad = self._mean()
            self.optimizer.step()
            self.part.grad = None
            row = all_gather(self.part.detach()).reshape(-1)[: self.count]
            shapes = [x.shape for x in self.parameters]
            for x, value in zip(self.parameters, unflat(row, shapes), strict=True):
                x.copy_(value)
        return result

    def _mean(self) -> Tensor:
        """Returns this rank's part of the mean gradient; behind each part stands the number of
        samples, so that each rank gets that of all.
        """
        gradients = [x.grad for x in self.parameters]
        if any(gradient is None for gradient in gradients):
            raise ArgumentError(
                "ZeroRedundancyOptimizer.step: a parameter has no gradient; all parameters need "
                "one, since their updates are divided among all ranks"
            )
        row = self.exchange.weighted([g for g in gradients if g is not None])
        rows = self._padded(row[:-1]).reshape(self.size, self.width)
        samples = row[-1:].reshape(1, 1).expand(self.size, 1)
        sums = reduce_scatter(cat([rows, samples], 1))
        return sums[:-1] / sums[-1:]

    def _padded(self, row: Tensor) -> Tensor:
        missing = self.width * self.size - self.count
        return cat([row, row.new_zeros((missing,))]) if missing else row

    def _own(self, row: Tensor) -> Tensor:
        start = self.rank * self.width
        return self._padded(row)[start : start + self.width]

    def fingerprint(self) -> Hashable:
        """Returns what a compiled step takes as constant."""
        exchange = self.exchange
        return self.optimizer.fingerprint(), exchange.is_deferred, exchange.is_of_one_batch

    # --- saving and resuming ----------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """Returns all state, like that of the optimizer itself; all ranks must call it.

        Raises:
            StateError: on all ranks, if some are about to do something else.
        """
        own = self.optimizer.state_dict()
        whole: dict[str, Tensor] = {}
        shapes = [x.shape for x in self.parameters]
        for name in self.optimizer.state[self.part]:
            moment = own.pop(f"state.0.{name}")
            if moment.shape != (self.width,):  # one number for all
                whole |= {f"state.{n}.{name}": moment for n in range(len(shapes))}
                continue
            row = all_gather(moment).reshape(-1)[: self.count]
            parts = unflat(row, shapes)
            whole |= {f"state.{n}.{name}": part.clone() for n, part in enumerate(parts)}
        steps = own["param_groups.0.step"]
        own["param_groups.0.step"] = steps.expand(len(shapes)).clone()
        return {**whole, **own}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Loads this rank's part of what `state_dict`, or that of the optimizer itself, returned.

        Raises:
            StateError: keys or shapes do not fit; nothing has been changed then.
        """
        given = {key: as_tensor(value) for key, value in state_dict.items()}
        own: dict[str, Any] = {k: x for k, x in given.items() if not k.startswith("state.")}
        for name, moment in self.optimizer.state[self.part].items():
            keys = [f"state.{n}.{name}" for n in range(len(self.parameters))]
            if not given.keys() >= set(keys):
                raise StateError(
                    f"the state_dict does not fit: {name} is missing for some of the parameters"
                )
            if moment.shape != (self.width,):
                own[f"state.0.{name}"] = given[keys[0]]
            elif [given[key].shape for key in keys] != [x.shape for x in self.parameters]:
                raise StateError(
                    f"the state_dict does not fit: shapes of {name} differ from the parameters'"
                )
            else:
                own[f"state.0.{name}"] = self._own(flat([given[key] for key in keys]))
        if "param_groups.0.step" in own:
            own["param_groups.0.step"] = own["param_groups.0.step"][:1]
        with no_grad():
            self.part.copy_(self._own(flat([x.detach() for x in self.parameters])))
        self.optimizer.load_state_dict(own)
