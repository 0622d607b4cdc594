"""What is differentiated where a result is not one number: weighted sums. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import smelt
from smelt.tensor import Tensor

Call = Callable[..., Any]


def leaves(result: Any) -> list[Any]:
    """Returns the tensors and numbers of a result, in order."""
    if isinstance(result, dict):
        return [leaf for one in result.values() for leaf in leaves(one)]
    if isinstance(result, (list, tuple)):
        return [leaf for one in result for leaf in leaves(one)]
    return [] if result is None else [result]


def weights(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Returns the weights with which the elements of a result are summed: none equal, none 0."""
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape)


def weighted_sum_by_smelt(results: Any, seed: int) -> Any:
    terms = [
        (leaf * smelt.tensor(weights(leaf.shape, seed + place))).sum()
        for place, leaf in enumerate(leaves(results))
        if isinstance(leaf, Tensor) and leaf.dtype.is_float
    ]
    return sum(terms[1:], terms[0]) if terms else smelt.tensor(np.zeros(()))


def gradient_function(call: Call, count: int, order: int) -> Call:
    """Returns the function of `count` tensors that gives Smelt's gradients of that order."""
    places = tuple(range(count))
    first = smelt.grad(lambda *given: weighted_sum_by_smelt(call(*given), 0), places)
    if order == 0:
        return first
    return smelt.grad(lambda *given: weighted_sum_by_smelt(list(first(*given)), 10), places)
