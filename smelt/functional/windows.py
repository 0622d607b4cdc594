"""Shared by convolution and pooling: sizes given once or per axis, inputs without a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smelt.errors import ArgumentError, ShapeError
from smelt.tensor import Tensor

Sizes = tuple[int, ...]


def per_axis(what: str, name: str, given: Any, ndim: int, least: int = 0) -> Sizes:
    """Returns a size for each of `ndim` axes; one number serves for all.

    Raises ArgumentError, naming the function and the argument, when there are not as many, or one
    is not an integer of at least `least`.
    """
    sizes = tuple(given) if isinstance(given, Sequence) else (given,)
    if len(sizes) == 1:
        sizes *= ndim
    valid = all(isinstance(size, (int, np.integer)) and size >= least for size in sizes)
    if len(sizes) != ndim or not valid:
        wanted = "a whole number" if ndim == 1 else f"a whole number, or {ndim},"
        raise ArgumentError(f"{what}: {name} must be {wanted} of at least {least}, got {given!r}")
    return tuple(map(int, sizes))


def with_batch(
    what: str, x: Tensor, ndim: int, function: Callable[[Tensor], Tensor | tuple[Tensor, ...]]
) -> Any:
    """Returns function(x) for x (N, C, *S), and for x (C, *S) the same without N."""
    if x.ndim == ndim + 2:
        return function(x)
    if x.ndim != ndim + 1:
        spatial = ("L", "H, W", "D, H, W")[ndim - 1]
        raise ShapeError(
            f"{what}: needs an input (N, C, {spatial}) or (C, {spatial}), got shape {x.shape}"
        )
    results = function(x.unsqueeze(0))
    if isinstance(results, tuple):
        return tuple(result.squeeze(0) for result in results)
    return results.squeeze(0)
