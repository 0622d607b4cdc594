"""Errors of a model or a loss that does not take a batch, in terms of the data that the user gave.

An operation knows the operands that it gets; which of them are the user's inputs or target, and
what to write so that they fit, is known where the batch is taken apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from smelt import tree
from smelt.dtypes import float64
from smelt.errors import DTypeError, ShapeError, SmeltError
from smelt.nn.module import Module
from smelt.tensor import Tensor

__all__ = ["of_inputs", "of_target"]


@contextmanager
def of_inputs(what: str, model: Any, inputs: Any) -> Iterator[None]:
    """Within the block an error about dtypes says that the inputs are float64, where they are and
    the model is not.

    Args:
        what: begins the message.
        model: takes the inputs in the block.
        inputs: a tree.
    """
    try:
        yield
    except DTypeError as error:
        own = _dtype(model)
        leaves = [leaf for leaf in tree.flatten(inputs)[0] if isinstance(leaf, Tensor)]
        if own is not None and own is not float64 and any(x.dtype is float64 for x in leaves):
            _reword(
                error,
                f"{what}: the inputs are float64, which is NumPy's default, and the model's "
                f"parameters {own.name}; give x.astype({own.name!r}) of an array, or "
                f"x.to(smelt.{own.name}) of a tensor, in the data",
            )
        raise


@contextmanager
def of_target(what: str, output: Any, target: Any) -> Iterator[None]:
    """Within the block an error about shapes says what shapes the model's output and the target
    have, and how to reshape the target; one about labels that are floats how to convert them.

    Args:
        what: begins the sentence.
        output: of the model.
        target: of the batch.
    """
    try:
        yield
    except ShapeError as error:
        if isinstance(output, Tensor) and isinstance(target, Tensor):
            _reword(
                error,
                f"{error.message}. In {what} the model's output has the shape {output.shape} and "
                f"the target y of a batch {target.shape}{_reshaped(output.shape, target.shape)}",
            )
        raise
    except DTypeError as error:
        if "labels must be" in error.message and isinstance(target, Tensor):
            kind = target.dtype.name
            _reword(
                error,
                f"{error.message}. In {what} the target y is {kind}: give y.astype('int64') of an "
                "array, or y.long() of a tensor, as the target in the data",
            )
        raise


def _reshaped(output: tuple[int, ...], target: tuple[int, ...]) -> str:
    """Returns what to write for the target, where an axis of extent 1 makes the difference."""
    if output == (*target, 1):
        new = "y[:, None]" if len(target) == 1 else "y[..., None]"
    elif target == (*output, 1) or (target[-1:] == (1,) and len(target) == len(output)):
        new = "y[:, 0]" if len(target) == 2 else "y[..., 0]"
    else:
        return ""
    return f": give {new} as the target in the data"


def _dtype(model: Any) -> Any:
    """Returns the dtype of a model's parameters; None if it has none, or several."""
    kinds = {x.dtype for x in model.parameters()} if isinstance(model, Module) else set()
    return kinds.pop() if len(kinds) == 1 else None


def _reword(error: SmeltError, message: str) -> None:
    """Gives an error another message; it keeps the module and the line where it was raised."""
    error.args = (message, *error.args[1:])
