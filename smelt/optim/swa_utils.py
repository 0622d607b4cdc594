"""Averages of a model's weights over its training: stochastic weight averaging, and exponential."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smelt.errors import ArgumentError, StateError
from smelt.nn.module import Module
from smelt.nn.parameter import Buffer
from smelt.tensor import Tensor
from smelt.tensor.checked import checked_room as _checked_room
from smelt.tensor.elementary import where
from smelt.tracing.engine import no_grad

__all__ = ["AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn"]

Average = Callable[[Tensor, Tensor, Tensor], Tensor]
AverageOfMany = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor], Sequence[Tensor]]


class AveragedModel(Module):
    """A copy of a model whose weights are an average of those that the model has had.

    `update_parameters(model)` adds the model's current weights to the average, eagerly or within a
    compiled step; the first ones are copied. The mean of all is stochastic weight averaging
    (Izmailov et al. 2018); `avg_fn=get_ema_avg_fn(decay)` is an exponential moving average.

    Args:
        model: the model; it is copied.
        avg_fn: (average, weights, int64 number of weights averaged before) -> the new average; the
            mean of all when None.
        multi_avg_fn: the same for lists of tensors, instead of `avg_fn`; it returns a list.
        use_buffers: whether float buffers (running statistics) are averaged as well; else they are
            copied from the model.

    Attributes:
        module: the copy.
        n_averaged: int64 of shape (), the number of weights in the average.

    Raises:
        ArgumentError: both functions are given, or `model` is not a module.

    Example:
        >>> import smelt
        >>> from smelt import nn
        >>> model = nn.Linear(1, 1, bias=False)
        >>> average = AveragedModel(model)
        >>> for value in (1.0, 2.0):
        ...     _ = nn.init.constant_(model.weight, value)
        ...     average.update_parameters(model)
        >>> average.module.weight.tolist()
        [[1.5]]
    """

    def __init__(
        self,
        model: Module,
        *,
        avg_fn: Average | None = None,
        multi_avg_fn: AverageOfMany | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(model, Module):
            raise ArgumentError(f"AveragedModel needs a module, got a {type(model).__name__}")
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError("AveragedModel: give avg_fn or multi_avg_fn, not both")
        self.module: Module = copy.deepcopy(model)
        self.n_averaged: Buffer = Buffer(np.zeros((), np.int64))
        self.multi_avg_fn: Callable[
            [Sequence[Tensor], Sequence[Tensor], Tensor], Sequence[Tensor]
        ] = multi_avg_fn or _of_many(avg_fn or get_swa_avg_fn())
        self.use_buffers = use_buffers

    def forward(self, *arguments: Any, **options: Any) -> Any:
        """Returns the averaged model's output."""
        return self.module(*arguments, **options)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Adds the current weights of `model` to the average.

        Raises:
            StateError: the model's parameters or buffers are not those of the copy.
        """
        averaged, copied = self._pairs(model)
        for own, given in copied:
            own.copy_(given.detach())
        is_first = self.n_averaged == 0
        owns, givens = [own.detach() for own, _ in averaged], [x.detach() for _, x in averaged]
        means = self.multi_avg_fn(owns, givens, self.n_averaged)
        for (own, _), given, mean in zip(averaged, givens, means, strict=True):
            own.copy_(where(is_first, given, mean))
        self.n_averaged.copy_(self.n_averaged + 1)

    def _pairs(self, model: Module) -> tuple[list[tuple[Tensor, Tensor]], ...]:
        """Returns (own, the model's) of what is averaged, and of what is copied."""
        pairs: tuple[list[tuple[Tensor, Tensor]], ...] = ([], [])
        kinds = (
            (self.module.named_parameters, model.named_parameters),
            (
                self.module.named_buffers,
                model.named_buffers,
            ),
        )
        for is_buffer, (own_names, given_names) in enumerate(kinds):
            own, given = dict(own_names()), dict(given_names())
            if {n: x.shape for n, x in own.items()} != {n: x.shape for n, x in given.items()}:
                different = sorted(own.keys() ^ given.keys()) or ["shapes differ"]
                raise StateError(
                    "AveragedModel.update_parameters: this is not the model that was copied "
                    f"({', '.join(different)})"
                )
            for name, tensor in own.items():
                is_averaged = not is_buffer or (self.use_buffers and tensor.dtype.kind == "float")
                pairs[not is_averaged].append((tensor, given[name]))
        return pairs


def get_swa_avg_fn() -> Average:
    """Returns the function for the mean of all weights: m + (w - m) / (n + 1)."""

    def mean(average: Tensor, weights: Tensor, count: Tensor) -> Tensor:
        return average + (weights - average) / (count + 1).to(average.dtype)

    return mean


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Returns the function for the exponential average: decay m + (1 - decay) w.

    Raises:
        ArgumentError: `decay` is not between 0 and 1.
    """
    if not isinstance(decay, (int, float)) or not 0.0 <= decay <= 1.0:
        raise ArgumentError(f"get_ema_avg_fn: decay must lie between 0 and 1, got {decay!r}")

    def moving(average: Tensor, weights: Tensor, count: Tensor) -> Tensor:
        return average * decay + weights * (1 - decay)

    return moving


def get_ema_multi_avg_fn(decay: float = 0.999) -> AverageOfMany:
    """Returns `get_ema_avg_fn(decay)` for lists of tensors.

    Raises:
        ArgumentError: `decay` is not between 0 and 1.
    """
    return _of_many(get_ema_avg_fn(decay))


def _of_many(function: Average) -> AverageOfMany:
    def of_many(
        averages: Sequence[Tensor], weights: Sequence[Tensor], count: Tensor
    ) -> list[Tensor]:
        pairs = zip(averages, weights, strict=True)
        return [function(average, given, count) for average, given in pairs]

    return of_many


_checked_room(__name__)
