"""What random steps are drawn with, and the table of all layers that they may have.

A maker takes the source of draws and an example of the layer's input, and returns the layer. It
may refuse with an error of shapes or settings: then another one is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import smelt
from smelt import nn

WIDTHS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 47, 48, 49, 63, 64, 65)
LARGE_BATCHES = (15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 70)


class Draws:
    """A source of random choices; one seed gives one program."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def number(self, low: int, high: int) -> int:
        """Returns a whole number from low to high, both included."""
        return int(self.random.integers(low, high + 1))

    def size(self, low: float, high: float) -> float:
        """Returns a number between low and high with few digits."""
        return round(float(self.random.uniform(low, high)), 3)

    def of(self, *choices: Any) -> Any:
        """Returns one of the choices."""
        return choices[self.number(0, len(choices) - 1)]

    def chance(self, share: float = 0.5) -> bool:
        """Returns True in that share of the draws."""
        return bool(self.random.random() < share)

    def width(self, most: int = 65) -> int:
        """Returns an extent at or beside the edge of a vector."""
        return self.of(*(width for width in WIDTHS if width <= most))

    def batch(self) -> int:
        """Returns a number of samples: 1 to 9, now and then up to 70."""
        return self.of(*LARGE_BATCHES) if self.chance(0.2) else self.number(1, 9)

    def divisor(self, number: int) -> int:
        """Returns a number that divides another one."""
        return self.of(*(part for part in range(1, number + 1) if number % part == 0))

    def axis(self, x: smelt.Tensor, first: int = 0) -> int:
        """Returns an axis of x, from `first` on."""
        return self.number(first, x.ndim - 1)

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        """Returns normal numbers that float32 holds too."""
        return (self.random.standard_normal(shape) * scale).astype(np.float32)

    def mask(self, *shape: int, share: float = 0.5) -> np.ndarray:
        """Returns bools, True in about that share of the places."""
        return self.random.random(shape) < share


class Apply(nn.Module):
    """A function of one tensor as a layer, described by a text; `own` is a tensor that it learns.

    Args:
        text: what it does, for a reader.
        function: takes the input, and behind it what is learned.
        own: where the learned tensor begins.
    """

    def __init__(
        self, text: str, function: Callable[..., smelt.Tensor], own: np.ndarray | None = None
    ) -> None:
        self.text = text
        self.function = function
        self.own = None if own is None else nn.Parameter(own)

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        return self.function(x) if self.own is None else self.function(x, self.own)

    def extra_repr(self) -> str:
        return self.text if self.own is None else f"{self.text}; w: {self.own.shape}"


class Around(nn.Module):
    """A layer of several inputs or results as a layer of one: `function(layer, x)` calls it."""

    def __init__(
        self, text: str, layer: nn.Module, function: Callable[[nn.Module, smelt.Tensor], Any]
    ) -> None:
        self.text = text
        self.layer = layer
        self.function = function

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        return self.function(self.layer, x)

    def extra_repr(self) -> str:
        return self.text


Maker = Callable[[Draws, smelt.Tensor], nn.Module]
MAKERS: dict[int, list[Maker]] = {2: [], 3: [], 4: []}


def layer(*ranks: int, times: int = 1) -> Callable[[Maker], Maker]:
    """Enters a maker into the table for inputs of these ranks; drawn `times` as often as others."""

    def entered(maker: Maker) -> Maker:
        for rank in ranks or MAKERS:
            MAKERS[rank] += [maker] * times
        return maker

    return entered


def shuffled(draws: Draws, things: Sequence[Any]) -> list[Any]:
    """Returns things in random order."""
    return [things[place] for place in draws.random.permutation(len(things))]
