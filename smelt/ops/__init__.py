"""The primitives, one card each, by family. Everything else is a composition of them."""

from smelt.ops import (
    contraction,
    convolution,
    detach,
    elementwise,
    indexing,
    movement,
    ordering,
    pooling,
    random,
    reduction,
)
from smelt.ops.op import REGISTRY, Op

__all__ = [
    "REGISTRY",
    "Op",
    "contraction",
    "convolution",
    "detach",
    "elementwise",
    "indexing",
    "movement",
    "ordering",
    "pooling",
    "random",
    "reduction",
]
