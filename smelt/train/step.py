"""One update of a model by a batch, compiled: forward, gradient, clipping, optimizer, schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from smelt import tree
from smelt.compiler import compile
from smelt.deprecated import renamed_argument
from smelt.dtypes import DType
from smelt.errors import ArgumentError, ShapeError
from smelt.nn.module import Module
from smelt.nn.rounding import rounded_parameters
from smelt.optim.clip import clip_grad_norm_
from smelt.optim.lr_scheduler import ReduceLROnPlateau
from smelt.optim.swa_utils import AveragedModel
from smelt.tensor import Tensor
from smelt.train.batch import call, parts, split
from smelt.train.misfit import of_inputs, of_target
from smelt.train.precision import precision_of, rounded, widened
from smelt.train.ranks import Ranks

__all__ = ["Optimizer", "Scheduler", "Update", "goes_by_step", "training_step"]

Loss = Callable[..., Tensor]  # (the model's output, the target) -> a number to make small


class Scheduler(Protocol):
    """A learning rate schedule: any of `smelt.optim.lr_scheduler`."""

    @property
    def step(self) -> Callable[..., Any]:
        """Advances by one step; some look at a metric."""


def goes_by_step(scheduler: Scheduler | None, interval: str) -> bool:
    """Returns whether a scheduler is stepped within the training step, not after each epoch.

    Args:
        scheduler: None for none; a ReduceLROnPlateau is always stepped after the epoch.
        interval: "step" or "epoch".
    """
    is_one = scheduler is not None and not isinstance(scheduler, ReduceLROnPlateau)
    return is_one and interval == "step"


class Optimizer(Protocol):
    """An optimizer: any of `smelt.optim`."""

    def step(self) -> Any:
        """Makes one update."""

    def zero_grad(self) -> None:
        """Clears the gradients."""


@renamed_argument("optimiser", "optimizer")
@renamed_argument("schedule", "scheduler")
def training_step(
    model: Module,
    optimizer: Optimizer,
    loss: Loss | None,
    scheduler: Scheduler | None = None,
    *,
    max_grad_norm: float | None = None,
    averaged: AveragedModel | None = None,
    precision: Any = None,
) -> Any:
    """Returns the compiled step `(*batch) -> loss`: forward, gradient, optimizer and schedule.

    Args:
        model: any module. The last part of a batch is the target, the parts before it are the
            model's inputs; a part that is a tuple or dict is unpacked into its arguments.
        optimizer: holds the model's parameters.
        loss: (the model's output, the target) -> a number to minimize. None: the model gets the
            whole batch, and returns the loss.
        scheduler: stepped after each step of the optimizer.
        max_grad_norm: the norm to which the gradient of all parameters together is clipped.
        averaged: an average of the weights, updated after each step.
        precision: "bfloat16" stores what the model computes in 16 bits, as in `fit`.

    Raises:
        ArgumentError: another `precision`, or one without a loss.
    """
    update = Update(
        model,
        loss,
        optimizer,
        scheduler,
        max_grad_norm,
        averaged,
        precision=precision_of(precision),
    )

    @compile
    def step(*batch: Any) -> Tensor:
        return update.by(batch)

    return step


@dataclass(frozen=True)
class Update:
    """How batches change a model; the arguments are those of `training_step`.

    Attributes:
        accumulate: number of batches over which the gradients of one step are averaged.
        precision: the dtype in which the model stores what it computes; None: unchanged.
        ranks: the ranks that share each batch; None: this process computes all of it.

    Raises:
        ArgumentError: `precision` without a loss.
    """

    model: Module
    loss: Loss | None
    optimizer: Optimizer
    scheduler: Scheduler | None = None
    max_grad_norm: float | None = None
    averaged: AveragedModel | None = None
    accumulate: int = 1
    precision: DType | None = None
    ranks: Ranks | None = None
    _compiled: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.precision is not None and self.loss is None:
            raise ArgumentError(
                f"fit: precision={self.precision.name!r} needs loss=, a function of (output, "
                "target), since a loss that the model computes would be rounded to three digits"
            )

    def by(self, batch: Any) -> Tensor:
        """Runs one step on one batch; returns its loss."""
        if self.ranks is not None:
            self.optimizer.zero_grad()
            value = self.ranks.backward(self._value, parts(batch))
        else:
            value = self._value(batch)
            self.optimizer.zero_grad()
            value.backward()
        self._step()
        return value

    def compiled(self, structure: tree.Structure) -> Any:
        """Returns the compiled step of batches of one structure; it takes the leaves."""
        return self._kept(structure, self.by)

    def by_several(self, batches: Iterable[Any]) -> float:
        """Runs one step with the mean gradient of several batches; returns the mean loss."""
        self.optimizer.zero_grad()
        losses = []
        for batch in batches:
            leaves, structure = tree.flatten(batch)
            losses.append(float(self._kept(structure, self._gather)(*leaves)))
        if "mean" not in self._compiled:
            self._compiled["mean"] = compile(self._step_by_mean)
        self._compiled["mean"](np.float32(len(losses)))
        return float(np.mean(losses))

    @property
    def steps(self) -> list[Any]:
        """The compiled steps so far."""
        return list(self._compiled.values())

    @property
    def versions(self) -> int:
        """How often a step was compiled so far."""
        return sum(step.traces for step in self.steps)

    def _kept(self, structure: tree.Structure, function: Callable[[Any], Tensor]) -> Any:
        if structure not in self._compiled:

            @compile
            def step(*leaves: Tensor) -> Tensor:
                return function(tree.unflatten(structure, list(leaves)))

            self._compiled[structure] = step
        return self._compiled[structure]

    @property
    def _called(self) -> Module:
        """What computes the model's output: itself, or by way of the ranks."""
        return self.model if self.ranks is None else self.ranks.parallel

    def _value(self, batch: Any) -> Tensor:
        if self.loss is None:
            with of_inputs("fit", self.model, batch):
                value = call(self._called, *parts(batch))
        else:
            inputs, target = split(batch)
            with of_inputs("fit", self.model, inputs):
                output = self._output(inputs)
            with of_target("fit", output, target):
                value = self.loss(output, target)
        if not isinstance(value, Tensor):
            who = "the model, as loss is None," if self.loss is None else "the loss"
            raise ArgumentError(f"fit: {who} must return a Tensor, got {type(value).__name__}")
        if value.shape:
            raise ShapeError(
                f"fit: the loss must be one number, got shape {value.shape}; end it with .mean()"
            )
        return value

    def _output(self, inputs: tuple[Any, ...]) -> Any:
        """Returns what the model makes of inputs; by way of `precision` it is float32 again."""
        if self.precision is None:
            return call(self._called, *inputs)
        with rounded_parameters(self.model, self.precision):
            output = call(self._called, *rounded(inputs, self.precision))
        return widened(output, self.precision)

    def _gather(self, batch: Any) -> Tensor:
        """Adds the gradients of a batch to those that are there; returns its loss."""
        if self.ranks is not None:
            return self.ranks.backward(self._value, parts(batch))
        value = self._value(batch)
        value.backward()
        return value

    def _step_by_mean(self, count: Tensor) -> None:
        """Makes a step by gradients that are a sum over so many batches."""
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad = parameter.grad / count.to(parameter.dtype)
        self._step()
        self.optimizer.zero_grad()

    def _step(self) -> None:
        if self.max_grad_norm is not None:
            clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)
