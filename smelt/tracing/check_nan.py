"""Checked eager execution: what `smelt.settings(check_nan=True)` makes of eager code.

`CheckedEager` stands in the place of the eager engine while the switch is on, so that nothing is
asked anywhere while it is off. It computes as that one does and shows each result to `Births`. It
raises where a number that should not be there reaches somebody: a state, a `.grad`, the loss of a
backward pass, Python. Until then it may still disappear, as on the side that `where` does not
choose.
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
        """Returns the NumPy value, and remembers where it is not finite."""
        result = super().evaluate(op, operands, attributes, kind)
        if not is_finite(result, kind.dtype):
            given = [(operand.stored, operand.dtype) for operand in operands]
            self.births.examine(op, given, attributes, (result, kind.dtype), current_origin())
        return result

    def assign(self, target: Tensor, value: Tensor) -> None:
        """Overwrites the array with what is not known to be wrong."""
        self.check(value, f"the new contents of a state of shape {target.shape}")
        super().assign(target, value)
        self.births.keep(target.stored, None)

    def note_value(self, tensor: Tensor, what: str) -> None:
        """Raises where Python would see a number that should not be there."""
        self.check(tensor, what)

    def note_gradient(self, tensor: Tensor, value: Tensor | None) -> None:
        """Raises where a gradient is left that should not be there."""
        if value is not None:
            self.check(value, f"the gradient of a tensor of shape {tensor.shape}")

    def note_delivered(self, tensors: Sequence[Tensor], what: str) -> None:
        """Raises for a result, or the loss of a backward pass, that should not be there."""
        for tensor in tensors:
            self.check(tensor, what)

    def check(self, tensor: Tensor, reached: str) -> None:
        """Raises NumericsError if numbers of a tensor were made that should not be there."""
        birth = self.births.of(tensor._data)
        if birth is not None:
            raise birth.error(reached)
