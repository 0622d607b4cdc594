"""Functions that state their derivative, in place of what follows from the operations they consist
of: a gradient then reads few arrays of the forward pass.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np

from smelt.ir.loops import Expression
from smelt.ir.operation import Pattern
from smelt.ops.movement import Index, all_batched
from smelt.ops.op import Gradients, Mask, Needs, Op, Readers


class Identity(Op):
    """Its first operand, with a meaning for derivatives or for memory."""

    pattern = Pattern.POINTWISE
    is_movement = True
    cost = 0
    views = True

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return arrays[0].view()

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(*all_batched(inputs, batched), **attributes)

    def lower(self, readers: Readers, index: Index, node: Any, mask: Mask = None) -> Expression:
        return readers[0](index, mask)


class SymmetricJacobian(Identity):
    """`y`, a function of `x` whose Jacobian equals its transpose: one product serves both modes.

    A derivative flows to `x` alone. `simplify` removes the operation.
    """

    def product(self, direction: Any, y: Any, *kept: Any, **attributes: Any) -> Any:
        """Returns the Jacobian times a direction of `x`, or of `y`."""
        raise NotImplementedError(f"{self.name}: product")

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        y, _, *kept = inputs
        return None if tangents[1] is None else self.product(tangents[1], y, *kept, **attributes)

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        y, _, *kept = inputs
        by_x = self.product(g, y, *kept, **attributes) if needs[1] else None
        return (None, by_x, *[None for _ in kept])


class KnownDerivative(SymmetricJacobian):
    """`y`, an elementwise function of `x`, with its `derivative`: three tensors of one shape.

    The forward pass computes the derivative, where its parts are at hand, and keeps it.
    """

    def product(self, direction: Any, y: Any, *kept: Any, **attributes: Any) -> Any:
        return direction * keep(kept[0])


class KnownSoftmax(SymmetricJacobian):
    """`y`, the softmax of `x` along `axis`, a negative number.

    J v = y * (v - sum(v * y))
    """

    def product(self, direction: Any, y: Any, *kept: Any, **attributes: Any) -> Any:
        return y * (direction - (direction * y).sum(attributes["axis"], keepdim=True))


class Keep(Identity):
    """`x`, which is stored where it is computed, and not computed again by whoever reads it.

    One factor of a derivative takes less memory than the several values that it is made of.
    """

    is_worth_saving = True
    linear_operands: ClassVar[int] = 1

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return (g,)


known_derivative: Final = KnownDerivative("known_derivative")
known_softmax: Final = KnownSoftmax("known_softmax")
keep: Final = Keep("keep")
