"""Values: what a node of the float32 graph is while it is rewritten with integers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from smelt.ir.graph import Node

if TYPE_CHECKING:
    from smelt.export.quantization.sources import Source

__all__ = ["Float", "Function", "Pending", "Quantized", "Value"]


@dataclass(frozen=True, slots=True)
class Quantized:
    """An int8 in a register: q stands for scale * q."""

    register: int
    scale: float


@dataclass(frozen=True, slots=True)
class Float:
    """A float32 in a register."""

    register: int


@dataclass(frozen=True, slots=True)
class Function:
    """A function of one number, of its root; it is not computed before somebody reads it."""

    root: Node


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """clip(extra * (gain * sum + offset), low, high), of a sum that is not computed yet.

    Attributes:
        source: what the sum is of.
        gain, offset: numbers, or one for each channel: of a shape that broadcasts to the source's.
        extra: one for each element, where `gain` has no place for it; None for 1.
        low, high: numbers.
        moves: nodes that bring the elements to other places, between `gain` and `extra`.
    """

    source: Source
    gain: np.ndarray
    offset: np.ndarray
    extra: np.ndarray | None = None
    low: float = -math.inf
    high: float = math.inf
    moves: tuple[Node, ...] = ()

    @property
    def is_clipped(self) -> bool:
        """Whether there is a bound."""
        return self.low > -math.inf or self.high < math.inf

    def times(self, factor: np.ndarray) -> Pending | None:
        """Returns the value times a constant; None where that must wait for integers."""
        if factor.size == 1:
            number = float(factor.reshape(()))
            if number == 0 and not self.source.is_combination:
                return None
            if number == 0:
                nothing = np.zeros(())
                return Pending(self.source, nothing, nothing)
            ends = sorted((self.low * number, self.high * number))
            scaled = replace(self, low=ends[0], high=ends[1])
            if self.extra is not None:
                return replace(scaled, extra=self.extra * number)
            return replace(scaled, gain=self.gain * number, offset=self.offset * number)
        if self.is_clipped:
            return None
        if self.extra is None and not self.moves and self.source.takes(factor):
            return replace(self, gain=self.gain * factor, offset=self.offset * factor)
        if self.source.is_combination:
            return None
        extra = factor if self.extra is None else self.extra * factor
        return replace(self, extra=extra)

    def plus(self, term: np.ndarray) -> Pending | None:
        """Returns the value plus a constant; None where that must wait for integers."""
        if self.extra is not None:
            return None
        if term.size == 1:
            number = float(term.reshape(()))
            moved = replace(self, low=self.low + number, high=self.high + number)
            return replace(moved, offset=self.offset + number)
        if self.is_clipped or self.moves or not self.source.takes(term):
            return None
        return replace(self, offset=self.offset + term)

    def clipped(self, low: float, high: float) -> Pending:
        """Returns the value with bounds besides its own."""
        first, last = (min(max(one, low), high) for one in (self.low, self.high))
        return replace(self, low=first, high=last)

    def moved(self, node: Node) -> Pending | None:
        """Returns the value with its elements in other places; None where they must be int8."""
        if self.extra is not None or self.gain.size > 1 or self.offset.size > 1:
            return None
        return None if self.source.is_combination else replace(self, moves=(*self.moves, node))


Value = Quantized | Float | Function | Pending
