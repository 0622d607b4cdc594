"""Detach: the same values, but no derivative flows through."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np

from smelt.ops.movement import Index, Movement
from smelt.ops.op import Shape


class Detach(Movement):
    """`x` without its history.

    Outside loops a detached tensor simply has no history. The graph of a loop's body records no
    histories; there this operation marks where derivatives stop. `simplify` removes it.
    """

    linear_operands: ClassVar[int] = 0

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return arrays[0].view()

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(inputs[0])

    def source(self, index: Index, shape: Shape, node: Any) -> Index:
        return index


detach: Final = Detach("detach")
