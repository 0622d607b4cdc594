"""The meaning of a batch: its last part is the target, the parts before it are the inputs.

A batch is a tuple (or list) of parts. A part that is a tuple, a list or a dict is unpacked into the
arguments of the model, one level deep:

    (x, y)                       model(x), y
    (x, mask, y)                 model(x, mask), y
    ((x, mask), y)               model(x, mask), y
    ({"x": x, "mask": mask}, y)  model(x=x, mask=mask), y
    (x, {"mask": mask}, y)       model(x, mask=mask), y
    ((x, (h, c)), y)             model(x, (h, c)), y

A target is passed unchanged: a tuple of targets is one tuple. If the model itself returns the loss,
the whole batch is its input: `call(model, *parts(batch))`.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

from smelt.errors import ArgumentError
from smelt.tensor import as_tensor

__all__ = ["call", "listed", "parts", "split"]

FORMS = "give batches of (inputs, target), such as (x, y), (x, mask, y) or ({'x': x}, y)"


def parts(batch: Any) -> tuple[Any, ...]:
    """Returns the parts of a batch: those of a tuple or list; anything else is the only part.

    Args:
        batch: a tree of Tensors or arrays.
    """
    return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)


def split(batch: Any) -> tuple[tuple[Any, ...], Any]:
    """Returns the inputs and the target of a batch: the parts before the last one, and the last
    one.

    Args:
        batch: a tuple or list of at least two parts, each a tree of Tensors or arrays.

    Returns:
        The parts that are inputs, for `call(model, *inputs)`; the target.

    Raises:
        ArgumentError: the batch is not a tuple or list, or has fewer than two parts.

    Example:
        >>> split(("x", "mask", "y"))
        (('x', 'mask'), 'y')
    """
    if isinstance(batch, dict):
        names = ", ".join(map(repr, batch)) or "none"
        raise ArgumentError(f"a batch that is a dict (keys: {names}) has no last part; {FORMS}")
    if not isinstance(batch, (tuple, list)):
        raise ArgumentError(f"a batch that is a {type(batch).__name__} has no target; {FORMS}")
    if len(batch) < 2:
        raise ArgumentError(
            f"a batch needs an input and a target, and this has {len(batch)} part"
            f"{'s' * (len(batch) != 1)}; {FORMS}"
        )
    return tuple(batch[:-1]), batch[-1]


def call(function: Callable[..., Any], *inputs: Any) -> Any:
    """Calls a function with parts of a batch as its arguments, and returns its result.

    Args:
        function: such as a module.
        inputs: the parts. A tuple or list becomes positional arguments, a dict keyword arguments,
            anything else one positional argument.

    Raises:
        ArgumentError: a key of a dict is not a str, or occurs in two of them.

    Example:
        >>> call(lambda x, h, mask: (x, h, mask), ("x", "h"), {"mask": "m"})
        ('x', 'h', 'm')
    """
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for part in inputs:
        if isinstance(part, dict):
            _check_names(part, named)
            named |= part
        elif isinstance(part, (tuple, list)):
            positional.extend(part)
        else:
            positional.append(part)
    return function(*positional, **named)


def listed(batch: Any) -> Any:
    """Returns a batch in which a list of numbers is a Tensor, such as labels that a `collate_fn`
    has collected; everything else is unchanged.

    Args:
        batch: a tree.

    Example:
        >>> listed(({"x": "a"}, [0, 1]))
        ({'x': 'a'}, tensor([0, 1]))
    """
    if isinstance(batch, dict):
        return {name: listed(part) for name, part in batch.items()}
    if isinstance(batch, list) and batch and all(isinstance(part, Real) for part in batch):
        return as_tensor(batch)
    if type(batch) in (tuple, list):
        return type(batch)(map(listed, batch))
    return batch


def _check_names(part: dict[Any, Any], named: dict[str, Any]) -> None:
    for name in part:
        if not isinstance(name, str):
            raise ArgumentError(
                f"a batch has a dict with the key {name!r}; its keys are names of the model's "
                "arguments, so they must be str"
            )
        if name in named:
            raise ArgumentError(f"a batch has two dicts with the key {name!r}; give it once")
