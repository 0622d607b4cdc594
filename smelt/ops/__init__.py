"""The primitives, one card each, by family. Everything else is a composition of them."""

from smelt.ops import (
    barrier,
    contraction,
    convolution,
    detach,
    elementwise,
    entropy,
    indexing,
    iota,
    known_derivative,
    movement,
    pooling,
    random,
    reduction,
    sorting,
)
from smelt.ops.op import REGISTRY, Op

__all__ = [
    "REGISTRY",
    "Op",
    "barrier",
    "contraction",
    "convolution",
    "detach",
    "elementwise",
    "entropy",
    "indexing",
    "iota",
    "known_derivative",
    "movement",
    "pooling",
    "random",
    "reduction",
    "sorting",
]
