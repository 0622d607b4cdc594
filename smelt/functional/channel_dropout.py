"""Dropout of whole channels, for images, whose neighboring elements are similar."""

from __future__ import annotations

from smelt.errors import ShapeError
from smelt.functional.layers import dropout
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor, full

__all__ = ["dropout1d", "dropout2d", "dropout3d"]


def dropout1d(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Returns x (N, C, L) or (C, L) with whole channels 0, each with probability p; see `dropout`.

    Raises:
        ArgumentError: p is not a probability.
        ShapeError: a wrong number of axes.
    """
    return _dropped("dropout1d", x, p, training, {2: 1, 3: 2})


def dropout2d(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Returns x (N, C, H, W) or (N, C, L) with whole channels 0, each with probability p.

    Three axes are a batch of series, as in PyTorch, not an image; see `dropout`.

    Raises:
        ArgumentError: p is not a probability.
        ShapeError: a wrong number of axes.
    """
    return _dropped("dropout2d", x, p, training, {3: 2, 4: 2})


def dropout3d(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Returns x (N, C, D, H, W) or (C, D, H, W) with whole channels 0, each with probability p.

    Raises:
        ArgumentError: p is not a probability.
        ShapeError: a wrong number of axes.
    """
    return _dropped("dropout3d", x, p, training, {4: 1, 5: 2})


def _dropped(what: str, x: Tensor, p: float, training: bool, leading: dict[int, int]) -> Tensor:
    """Returns x times one factor a channel; how many axes lead depends on how many there are."""
    x = as_tensor(x)
    if x.ndim not in leading:
        counts = " or ".join(map(str, leading))
        raise ShapeError(f"{what}: needs {counts} axes, got shape {x.shape}")
    if not training:
        return dropout(x, p, training)
    channels = x.shape[: leading[x.ndim]] + (1,) * (x.ndim - leading[x.ndim])
    return x * dropout(full(channels, 1, x.dtype), p, training)
