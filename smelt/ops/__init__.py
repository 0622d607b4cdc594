"""The primitive operations, one card each, by family; everything else is composed of them."""

from smelt.ops import (
    barrier,
    composite,
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
    "composite",
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
