"""Layer normalization by NumPy, forward and backward in one operation each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from smelt.autodiff.composition import Composition
from smelt.ops.op import Needs
from smelt.tensor import Tensor


class LayerNorm(Composition):
    """(x - mean) / sqrt(var + eps) * w + b over the last `ndim` axes.

    Inputs are x, w if `has_weight`, and b if `has_bias`.
    """

    def __init__(
        self,
        definition: Callable[..., Tensor],
        ndim: int,
        eps: float,
        has_weight: bool,
        has_bias: bool,
    ) -> None:
        super().__init__("layer_norm", definition)
        self._ndim, self._eps = ndim, eps
        self._has_weight, self._has_bias = has_weight, has_bias

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        x, kind = arrays[0], arrays[0].dtype.type
        rows = self._rows(x)
        centered = rows - _mean(rows)
        root = np.sqrt(_mean(centered * centered) + kind(self._eps))
        self._factor = np.reciprocal(root, out=root)
        self._normal = result = np.multiply(centered, self._factor, out=centered)
        if self._has_weight:
            result = result * arrays[1].reshape(-1)
        if self._has_bias:
            result = result + arrays[-1].reshape(-1)
        return result.reshape(x.shape)

    def gradients(
        self, g: np.ndarray, needs: Needs, arrays: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray | None, ...]:
        g = self._rows(g)
        by_normal = g * arrays[1].reshape(-1) if self._has_weight else g
        by_x = by_normal - _mean(by_normal)
        by_x -= self._normal * _mean(by_normal * self._normal)
        by_x *= self._factor
        found = [by_x.reshape(arrays[0].shape)]
        if self._has_weight:
            found.append((g * self._normal).sum(0).reshape(arrays[1].shape))
        if self._has_bias:
            found.append(g.sum(0).reshape(arrays[-1].shape))
        return tuple(found)

    def _rows(self, x: np.ndarray) -> np.ndarray:
        split = x.ndim - self._ndim
        return x.reshape(math.prod(x.shape[:split]), math.prod(x.shape[split:]))


def _mean(rows: np.ndarray) -> np.ndarray:
    return np.add.reduce(rows, 1, keepdims=True) / rows.dtype.type(rows.shape[1])
