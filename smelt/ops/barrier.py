"""The optimization barrier: an operation that computes nothing, but fixes an order."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from smelt.ir.loops import Expression, constant
from smelt.ir.operation import Pattern
from smelt.ops.movement import Index, broadcast_to
from smelt.ops.op import Gradients, Mask, Needs, Op, Readers


class OptimizationBarrier(Op):
    """`x`, but only after `event` has been computed, and never merged with `x` by a pass.

    So whatever is computed from it is computed again, later: `checkpoint` relies on this.
    """

    pattern = Pattern.POINTWISE
    is_movement = True
    cost = 0
    views = True

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return arrays[0].view()

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        return tangents[0]

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return g, None

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        x, event = inputs
        if not batched[0]:
            x = broadcast_to(x, shape=(event.shape[0], *x.shape))
        return self(x, event)

    def lower(self, readers: Readers, index: Index, node: Any, mask: Mask = None) -> Expression:
        """Returns the element of `x`; reading `event` as well makes the kernel wait for it."""
        read, wait = readers
        wait(tuple(constant(0) for _ in node.inputs[1].shape), mask)
        return read(index, mask)


optimization_barrier: Final = OptimizationBarrier("optimization_barrier")
