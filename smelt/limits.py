"""The limits of a number that a user gives, as a part of its type.

`Annotated[int, Within(1)]` says it to the reader, and to the command line, which refuses what lies
outside before anything is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from smelt.errors import ArgumentError

__all__ = ["SEEDS", "Within"]

SEEDS = 1 << 64  # the generator takes the lowest 64 bits: a larger seed would repeat another


@dataclass(frozen=True, slots=True)
class Within:
    """The finite numbers that an argument takes, both ends included."""

    low: float
    high: float = math.inf

    def read(self, kind: Callable[[str], float], text: str) -> float:
        """Returns the number that `text` says.

        Raises:
            ArgumentError: it says none, or one out of range.
        """
        try:
            value = kind(text)
        except ValueError:
            raise ArgumentError(f"{text!r} is not a number; {self}") from None
        if not (self.low <= value <= self.high and value < math.inf):
            raise ArgumentError(f"{text} is out of range; {self}")
        return value

    def __str__(self) -> str:
        end = "" if self.high == math.inf else f" and at most {self.high}"
        return f"it must be at least {self.low}{end}"
