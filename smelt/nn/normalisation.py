"""Normalisation: LayerNorm (Ba et al. 2016), BatchNorm (Ioffe and Szegedy 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

import smelt.functional as F
from smelt.dtypes import int64
from smelt.engine import located, no_grad
from smelt.errors import ShapeError
from smelt.nn import init
from smelt.nn.linear import empty_parameter
from smelt.nn.module import Module
from smelt.tensor import Tensor

__all__ = ["BatchNorm1d", "BatchNorm2d", "LayerNorm"]


class LayerNorm(Module):
    """`y = (x - mean) / sqrt(variance + eps) * weight + bias`, over the last axes of each sample.

    Args:
        normalized_shape: the extents of those axes; an int for the last alone.
        eps: keeps the division finite.
        elementwise_affine: whether weight and bias are learned.
        bias: whether there is a bias.
        dtype: of the parameters; float32 when None.

    Parameters: weight (normalized_shape) of ones, bias of zeros.
    Shapes: (..., normalized_shape), kept.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        if isinstance(normalized_shape, int):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = shape = tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = empty_parameter(*shape, dtype=dtype) if elementwise_affine else None
        self.bias = empty_parameter(*shape, dtype=dtype) if elementwise_affine and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Makes the weight 1 and the bias 0."""
        _reset(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


class _BatchNorm(Module):
    """Normalises each channel (axis 1) over the batch and the axes behind."""

    ndims: ClassVar[tuple[int, ...]]
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: Any = None,
    ) -> None:
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = empty_parameter(num_features, dtype=dtype) if affine else None
        self.bias = empty_parameter(num_features, dtype=dtype) if affine else None
        self.register_buffer("running_mean", self._statistic(dtype))
        self.register_buffer("running_var", self._statistic(dtype))
        count = Tensor(np.zeros((), np.int64), int64) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def _statistic(self, dtype: Any) -> Tensor | None:
        if not self.track_running_stats:
            return None
        filled = empty_parameter(self.num_features, dtype=dtype)
        return Tensor(filled.data, filled.dtype)

    def reset_running_stats(self) -> None:
        """Forgets what was gathered: mean 0, variance 1."""
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.copy_(0)
        _reset(self.running_var, self.running_mean)

    def reset_parameters(self) -> None:
        """Makes the weight 1 and the bias 0, and forgets the statistics."""
        self.reset_running_stats()
        _reset(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        self._refuse_unfit(x)
        momentum: Any = self.momentum or 0.0
        if self.training and self.num_batches_tracked is not None:
            with no_grad():
                self.num_batches_tracked.copy_(self.num_batches_tracked + 1)
            if self.momentum is None:  # the plain average of all batches so far
                momentum = 1.0 / self.num_batches_tracked.to(x.dtype)
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training or self.running_mean is None,
            momentum=momentum,
            eps=self.eps,
        )

    def _refuse_unfit(self, x: Tensor) -> None:
        if x.ndim not in self.ndims or x.shape[1] != self.num_features:
            counts = " or ".join(map(str, self.ndims))
            raise ShapeError(
                located(
                    f"{type(self).__name__} needs {counts} axes, {self.num_features} channels "
                    f"at axis 1; got shape {x.shape}"
                )
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """`y = (x - mean) / sqrt(variance + eps) * weight + bias`, per channel over batch and length.

    In training the statistics of the batch are used, and the running ones move towards them:
    `running <- (1 - momentum) * running + momentum * batch` (with the unbiased variance). In
    evaluation mode the running ones are used.

    Args:
        num_features: number of channels C.
        eps: keeps the division finite.
        momentum: how fast the running statistics move; None for the average of all batches.
        affine: whether weight and bias are learned.
        track_running_stats: whether there are running statistics; else the batch's always serve.
        dtype: of parameters and buffers; float32 when None.

    Parameters: weight (C,) of ones, bias (C,) of zeros. Buffers: running_mean, running_var (C,),
    num_batches_tracked (). Shapes: (B, C) or (B, C, L), kept.
    """

    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """BatchNorm1d for images: (B, C, H, W), statistics over B, H and W."""

    ndims = (4,)


def _reset(weight: Tensor | None, bias: Tensor | None) -> None:
    """Makes what is multiplied with 1, and what is added 0."""
    if weight is not None:
        init.ones_(weight)
    if bias is not None:
        init.zeros_(bias)
