"""Gradients: what a step finds in the `.grad` of tensors, and what it leaves there.

Within a step `.grad` is a value like any other and costs no memory. What matters is what crosses
the boundary of a call: a gradient that the step reads before it sets one. Such a gradient is a
state. Its memory is the step's own; each call first copies what is in `.grad` to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smelt.tensor import Tensor


@dataclass(frozen=True, slots=True)
class GradBinding:
    """One tensor's `.grad` at the boundary of a call.

    `looks` says that the step reads it before it sets it; `entry` is the state that holds what it
    found, None if it found None or did not look. `sums` says that the step adds to it, so that None
    means zeros; `sets`, that it leaves `exit` behind.
    """

    tensor: Tensor
    looks: bool
    entry: Tensor | None
    sums: bool
    sets: bool
    exit: Tensor | None

    @property
    def is_steady(self) -> bool:
        """Whether a second step would find what the first one found."""
        return self.entry is None or not self.sets or self.exit is self.entry

    @property
    def is_guarded(self) -> bool:
        """Whether the trace holds only if a `.grad` is present, or absent, as it was."""
        return self.looks and not self.sums

    def check(self) -> bool:
        """Returns whether a `.grad` is present now if and only if it was."""
        return (self.tensor._grad is None) == (self.entry is None)

    def enter(self) -> None:
        """Copies what is in `.grad` to the state that the step reads."""
        found, entry = self.tensor._grad, self.entry
        if entry is None or found is entry:
            return
        entry.stored[...] = np.zeros((), entry.dtype.storage) if found is None else found.stored
        self.tensor._grad = entry

    def leave(self) -> None:
        """Sets `.grad` to what the function leaves there."""
        self.tensor._grad = self.exit
