"""The criterion of an estimator: a loss of weighted samples, and what outputs mean."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

import smelt.nn.functional as F
from smelt import nn
from smelt.errors import ArgumentError
from smelt.functional.weighted_mean import over_weight
from smelt.nn.module import Module
from smelt.tensor import Tensor
from smelt.tensor.elementary import exp

__all__ = ["Loss", "first_output", "is_binary", "nonlinearity_of"]


class Loss:
    """A criterion, as a training step calls it.

        sum_i w_i criterion(output_i, target_i) / sum_i w_i    where samples have weights

    Args:
        criterion: (output, target) -> a number.
    """

    def __init__(self, criterion: Callable[..., Tensor]) -> None:
        self.criterion = criterion
        self.each: Any = _unreduced(criterion)

    def __call__(self, output: Any, target: Any) -> Tensor:
        """Returns the loss.

        Args:
            output: (B, ...), or a tuple with that first.
            target: (B, ...), or a tuple of that and weights, (B,).
        """
        output = first_output(output)
        if not isinstance(target, tuple):
            return self.criterion(_fitted(output, target), target)
        target, weight = target
        losses = self._each(_fitted(output, target), target)
        losses = losses.reshape(len(losses), -1).mean(1)
        # samples that all count nothing change nothing
        return over_weight((losses * weight).sum(), weight.sum(), zero_if_none=True)

    def _each(self, output: Tensor, target: Tensor) -> Tensor:
        if self.each is None:
            raise ArgumentError(
                f"sample_weight needs a criterion with reduction='none', as {self.criterion!r} has "
                "not; give a loss of smelt.nn, or a function with the argument `reduction`"
            )
        return self.each(output, target)


def _unreduced(criterion: Any) -> Any:
    """Returns the criterion that gives the loss of each sample; None where it cannot be had."""
    if isinstance(criterion, Module):
        if not hasattr(criterion, "reduction"):
            return None
        each = copy.copy(criterion)
        each.reduction = "none"
        return each
    if "reduction" not in inspect.signature(criterion).parameters:
        return None
    return functools.partial(criterion, reduction="none")


def first_output(output: Any) -> Tensor:
    """Returns the output of a module, or the first of several."""
    return output[0] if isinstance(output, (tuple, list)) else output


def _fitted(output: Tensor, target: Tensor) -> Tensor:
    """Returns an output (B, 1) as (B,), where the target is."""
    is_column = output.ndim == target.ndim + 1 and output.shape[-1] == 1
    return output.squeeze(-1) if is_column and target.dtype.is_float else output


def _softmax(output: Tensor) -> Tensor:
    return F.softmax(output, dim=1)


def _unchanged(output: Tensor) -> Tensor:
    return output


_NONLINEARITIES: dict[Any, Callable[[Tensor], Tensor]] = {
    nn.CrossEntropyLoss: _softmax,
    F.cross_entropy: _softmax,
    nn.BCEWithLogitsLoss: F.sigmoid,
    F.binary_cross_entropy_with_logits: F.sigmoid,
    nn.NLLLoss: exp,
    F.nll_loss: exp,
}
_BINARY = (
    nn.BCELoss,
    nn.BCEWithLogitsLoss,
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
)


def _kind(criterion: Any) -> Any:
    """Returns what a criterion is looked up by: the function, or the class of a module."""
    if isinstance(criterion, functools.partial):
        return _kind(criterion.func)
    return type(criterion) if isinstance(criterion, Module) else criterion


def nonlinearity_of(criterion: Any) -> Callable[[Tensor], Tensor]:
    """Returns what makes predictions of outputs that a criterion is for: probabilities of logits
    or of their logarithms; of all others the outputs themselves.
    """
    return _NONLINEARITIES.get(_kind(criterion), _unchanged)


def is_binary(criterion: Any) -> bool:
    """Returns whether a criterion is for one output, the probability of the second class."""
    return _kind(criterion) in _BINARY
