"""Signature: what two calls of a step must share to run the same executable.

Shapes, dtypes and `requires_grad` of the tensors, the values of settings, and how all of them are
nested in tuples, lists and dicts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from smelt import tree
from smelt.tensor import Tensor, as_tensor

Signature = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of a call, flattened.

    `leaves` are all of them in order, `tensors` those that are data. If `named`, the tree holds
    positional and keyword arguments.
    """

    leaves: list[Any]
    tensors: list[Tensor]
    structure: tree.Structure
    named: bool
    signature: Signature

    def rebuilt(
        self, stand_in: Callable[[Tensor], Tensor] = lambda x: x
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns positional and keyword arguments again, with `stand_in(x)` for each tensor."""
        pending = iter(self.tensors)
        given = [leaf if is_static(leaf) else stand_in(next(pending)) for leaf in self.leaves]
        arguments = tree.unflatten(self.structure, given)
        return arguments if self.named else (arguments, {})


def flatten_call(arguments: tuple[Any, ...], options: dict[str, Any]) -> Call:
    """Returns the arguments of a call, with arrays and numbers as tensors."""
    leaves, structure = tree.flatten((arguments, options) if options else arguments)
    tensors: list[Tensor] = []
    signature: list[Any] = [structure]
    for leaf in leaves:
        if is_static(leaf):
            signature.append(leaf)
            continue
        x = as_tensor(leaf)
        tensors.append(x)
        signature.append((x.shape, x.dtype, x.requires_grad))
    return Call(leaves, tensors, structure, bool(options), tuple(signature))


def without_data(call: Call) -> Call:
    """Returns a call that can be rebuilt with other tensors, and holds none of its own."""
    leaves = [leaf if is_static(leaf) else None for leaf in call.leaves]
    return replace(call, leaves=leaves, tensors=[])


def is_static(leaf: Any) -> bool:
    """Whether an argument is a setting: another value needs another executable."""
    return isinstance(leaf, (str, bool, bytes)) or callable(leaf)
