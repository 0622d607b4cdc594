"""A mark in the graph: which function of which tensors several operations compute together."""

from __future__ import annotations

from typing import Any, Final

from smelt.ops.known_derivative import Identity
from smelt.ops.movement import broadcast_to
from smelt.ops.op import Gradients, Needs


class Composite(Identity):
    """`y`, which is `function` of the other operands, with the attributes as its settings.

    For readers of the graph that have the function as an operation of their own, as StableHLO's
    composite is. Derivatives and batches are those of the operations that y consists of.
    """

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        return tangents[0]

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return (g, *[None for _ in inputs[1:]])

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        y = inputs[0]
        if batched[0]:
            return y
        size = inputs[batched.index(True)].shape[0]
        return broadcast_to(y, shape=(size, *y.shape))


composite: Final = Composite("composite")
