"""Checked eager execution: eager code under `smelt.settings(check_nan=True)`.

`CheckedEager` replaces the eager engine while the switch is on, so that nothing is checked while it
is off. It computes in the same way and passes each result to `Births`. It raises only when a nan or
an unexpected infinity arrives somewhere: in a state, a `.grad`, the loss of a backward pass, or
Python. Until then it may still disappear, as where `where` selects the other side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.tracing.births import Births, is_finite
from smelt.tracing.engine import Eager
from smelt.tracing.origin import current_origin

if TYPE_CHECKING:
    from smelt.ops.op import Op, Type
    from smelt.tensor import Tensor


class CheckedEager(Eager):
    """The eager engine of one thread, while `check_nan` is on."""

    def __init__(self) -> None:
        self.births: Births = Births()

    def evaluate(
        self, op: Op, operands: tuple[Tensor, ...], attributes: dict[str, Any], kind: Type
    ) -> np.ndarray:
        """Returns the NumPy value, and finds its birth if it is not finite."""
        result = super().evaluate(op, operands, attributes, kind)
        if not is_finite(result, kind.dtype):
            given = [(operand.stored, operand.dtype) for operand in operands]
            self.births.examine(op, given, attributes, (result, kind.dtype), current_origin())
        return result

    def assign(self, target: Tensor, value: Tensor) -> None:
        """Overwrites the array, after a check of the new contents."""
        self.check(value, f"the new contents of a state of shape {target.shape}")
        super().assign(target, value)
        self.births.keep(target.stored, None)

    def note_value(self, tensor: Tensor, what: str) -> None:
        """Raises if Python would see a nan or an unexpected infinity."""
        self.check(tensor, what)

    def note_gradient(self, tensor: Tensor, value: Tensor | None) -> None:
        """Raises for a `.grad` with a nan or an unexpected infinity."""
        if value is not None:
            self.check(value, f"the gradient of a tensor of shape {tensor.shape}")

    def note_delivered(self, tensors: Sequence[Tensor], what: str) -> None:
        """Raises for a result, or the loss of a backward pass, that is not finite but should be."""
        for tensor in tensors:
            self.check(tensor, what)

    def check(self, tensor: Tensor, reached: str) -> None:
        """Raises NumericsError if a tensor has a nan or an infinity that an operation made."""
        birth = self.births.of(tensor._data)
        if birth is not None:
            raise birth.error(reached)
