"""Random models: an input and layers that fit, drawn one after the other.

An example goes through, so that each layer knows the shape of its input. Layers that do not fit,
or whose values are too many or too large, are drawn again.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

import smelt
from smelt import nn
from smelt.errors import ArgumentError, DTypeError, ShapeError
from tests.compiler import random_functions, random_layers, random_sequences
from tests.compiler.random_draws import MAKERS, Draws

assert random_functions, random_layers  # the modules of layers fill the table
assert random_sequences

ELEMENTS = 4000  # of a value, at most: eager steps and compilation shall be short
LARGE = 40_000  # the same for a few large programs, whose products and convolutions are split
LARGEST = 30.0  # of the numbers of a value, at most


class RandomModel:
    """A model with an input that it takes.

    Attributes:
        shape: of the input.
        words: how many there are, if the input is their numbers; else 0.
        layers: the model, in float32.
        input: an example.
        output: what the model made of it.
    """

    def __init__(self, draws: Draws) -> None:
        self.draws = draws
        self.limit = LARGE if draws.chance(0.02) else ELEMENTS
        self.shape = an_input(draws, self.limit)
        self.words = draws.width(33) if len(self.shape) == 2 and draws.chance(0.3) else 0
        self.layers, self.output = self._layers()

    def _layers(self) -> tuple[nn.Module, smelt.Tensor]:
        """Draws layers until there are enough; something in them can be learned."""
        draws, layers = self.draws, self._first()
        example = layers[0](self.input) if layers else self.input
        wanted = draws.number(1, 5) + len(layers)
        while len(layers) < wanted:
            layer, example = self._layer(example)
            layers += [] if layer is None else [layer]
        if not example.requires_grad:
            layers.append(nn.Linear(example.shape[-1], draws.width(17)))
            example = layers[-1](example)
        return nn.Sequential(*layers), example.detach()

    def _first(self) -> list[nn.Module]:
        """Draws the example and, for words, their embedding."""
        self.input = smelt.tensor(self.draws.normal(*self.shape))
        if not self.words:
            return []
        padding = self.draws.of(None, None, 0)
        embedding = nn.Embedding(self.words, self.draws.width(18), padding)
        self.input = smelt.tensor(self.draws.random.integers(0, self.words, self.shape))
        return [embedding]

    def _layer(self, example: smelt.Tensor) -> tuple[nn.Module | None, smelt.Tensor]:
        """Draws one layer and its output; None and its input if it does not fit."""
        try:
            layer = self.draws.of(*MAKERS[example.ndim])(self.draws, example)
            output = layer(example)
        except (ArgumentError, DTypeError, ShapeError):
            return None, example
        return (layer, output) if self._is_fine(output) else (None, example)

    def _is_fine(self, output: smelt.Tensor) -> bool:
        """Whether a layer's output is neither empty nor large, in number and in size."""
        if output.ndim not in MAKERS or not 0 < output.size <= self.limit:
            return False
        array = output.numpy()
        return bool(np.isfinite(array).all() and np.abs(array).max() < LARGEST)

    def freeze_some(self) -> None:
        """Now and then keeps a parameter or two of the first layers from learning."""
        parameters = list(self.layers.parameters())
        if len(parameters) <= 2 or not self.draws.chance(0.2):
            return
        frozen = parameters[: self.draws.number(1, 2)]
        for parameter in frozen:
            parameter.requires_grad_(False)
        if not self.layers(self.input).requires_grad:
            for parameter in frozen:
                parameter.requires_grad_(True)


def an_input(draws: Draws, limit: int) -> tuple[int, ...]:
    """Returns the shape of a model's input; its extents lie at and beside the edges of vectors."""
    ranks: dict[int, Callable[[], tuple[int, ...]]] = {
        2: lambda: (draws.width(65 if draws.chance(0.7) else 9),),
        3: lambda: (draws.number(1, 9), draws.width()),
        4: lambda: (draws.number(1, 4), draws.number(1, 9), draws.width()),
    }
    extents = ranks[draws.of(2, 3, 3, 4, 4)]
    while True:
        shape = draws.batch(), *extents()
        if math.prod(shape) <= limit:
            return shape
