"""Normalization: of batches, layers, groups of channels, single channels; by the mean square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import smelt.functional as F
from smelt.dtypes import DType, as_dtype, float32, int64
from smelt.errors import ArgumentError, ShapeError
from smelt.nn import init
from smelt.nn.checks import sizes
from smelt.nn.linear import empty_parameter
from smelt.nn.module import Module
from smelt.tensor import Tensor
from smelt.tensor.apply import full
from smelt.tracing.engine import no_grad

if TYPE_CHECKING:
    from smelt.nn.parameter import Parameter

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d",
    "InstanceNorm3d", "LayerNorm", "RMSNorm",
]  # fmt: skip


class LayerNorm(Module):
    """`y = (x - mean) / sqrt(variance + eps) * weight + bias`, over the last axes of each sample.

    Args:
        normalized_shape: the sizes of those axes; an int for the last axis only.
        eps: added so that the division stays finite.
        elementwise_affine: whether weight and bias are learned.
        bias: whether there is a bias.
        dtype: of the parameters; float32 when None.

    Parameters: weight (normalized_shape) of ones, bias of zeros.
    Shapes: (..., normalized_shape), kept.
    """

    normalized_shape: tuple[int, ...]

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        if not isinstance(normalized_shape, Sequence):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = shape = tuple(normalized_shape)
        for extent in shape:
            sizes(self, normalized_shape=extent)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight: Parameter | None = (
            empty_parameter(*shape, dtype=dtype) if elementwise_affine else None
        )
        self.bias: Parameter | None = (
            empty_parameter(*shape, dtype=dtype) if elementwise_affine and bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Makes the weight 1 and the bias 0."""
        _fill(self.weight, 1)
        _fill(self.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


class RMSNorm(Module):
    """`y = x / sqrt(mean of x^2 + eps) * weight`, over the last axes of each sample.

    Args:
        normalized_shape: the sizes of those axes; an int for the last axis only.
        eps: keeps the division finite; None for the machine epsilon of the dtype.
        elementwise_affine: whether the weight is learned.
        dtype: of the weight; float32 when None.

    Parameters: weight (normalized_shape) of ones. Shapes: (..., normalized_shape), kept.
    """

    normalized_shape: tuple[int, ...]

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: Any = None,
    ) -> None:
        if not isinstance(normalized_shape, Sequence):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = shape = tuple(normalized_shape)
        for extent in shape:
            sizes(self, normalized_shape=extent)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight: Parameter | None = (
            empty_parameter(*shape, dtype=dtype) if elementwise_affine else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Makes the weight 1."""
        _fill(self.weight, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


class GroupNorm(Module):
    """LayerNorm over each of `num_groups` groups of channels (Wu and He, 2018).

    `y = (x - mean) / sqrt(variance + eps) * weight + bias`, mean and variance over the channels of
    a group and all following axes.

    Args:
        num_groups: number of groups of channels.
        num_channels: number of channels C.
        eps: added so that the division stays finite.
        affine: whether weight and bias, one number per channel, are learned.
        dtype: of the parameters; float32 when None.
        bias: whether there is a bias, if weight and bias are learned.

    Parameters: weight (C,) of ones, bias (C,) of zeros. Shapes: (B, C, ...), kept.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        sizes(self, num_groups=num_groups, num_channels=num_channels)
        if not num_groups or num_channels % num_groups:
            raise ArgumentError(
                f"GroupNorm: {num_channels} channels are not divisible by {num_groups} groups"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self.weight: Parameter | None = (
            empty_parameter(num_channels, dtype=dtype) if affine else None
        )
        self.bias: Parameter | None = (
            empty_parameter(num_channels, dtype=dtype) if affine and bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Makes the weight 1 and the bias 0."""
        _fill(self.weight, 1)
        _fill(self.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(
                f"GroupNorm needs an input (B, {self.num_channels}, ...), got shape {x.shape}"
            )
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class _BatchNorm(Module):
    """Normalizes each channel (axis 1) over the batch and the axes behind."""

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
        *,
        bias: bool = True,
    ) -> None:
        sizes(self, num_features=num_features)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight: Parameter | None = (
            empty_parameter(num_features, dtype=dtype) if affine else None
        )
        self.bias: Parameter | None = (
            empty_parameter(num_features, dtype=dtype) if affine and bias else None
        )
        kind = float32 if dtype is None else as_dtype(dtype)
        tracked = track_running_stats
        self.register_buffer("running_mean", full((num_features,), 0, kind) if tracked else None)
        self.register_buffer("running_var", full((num_features,), 1, kind) if tracked else None)
        self.register_buffer("num_batches_tracked", full((), 0, int64) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forgets what was gathered: mean 0, variance 1."""
        _fill(self.running_mean, 0)
        _fill(self.running_var, 1)
        _fill(self.num_batches_tracked, 0)

    def reset_parameters(self) -> None:
        """Makes the weight 1 and the bias 0, and forgets the statistics."""
        self.reset_running_stats()
        _fill(self.weight, 1)
        _fill(self.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        self._check_input(x)
        if self.training and self.num_batches_tracked is not None:
            with no_grad():
                self.num_batches_tracked.copy_(self.num_batches_tracked + 1)
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training or self.running_mean is None,
            momentum=self._share_of_batch(x.dtype),
            eps=self.eps,
        )

    def _share_of_batch(self, dtype: DType) -> float | Tensor:
        """How far the running statistics move toward those of the present batch."""
        if self.momentum is not None:
            return self.momentum
        if not self.training or self.num_batches_tracked is None:  # then they stay as they are
            return 0.0
        return 1.0 / self.num_batches_tracked.to(dtype)  # the plain average of all batches

    def _check_input(self, x: Tensor) -> None:
        if x.ndim not in self.ndims or x.shape[1] != self.num_features:
            counts = " or ".join(map(str, self.ndims))
            raise ShapeError(
                f"{type(self).__name__} needs an input with {counts} axes and {self.num_features} "
                f"channels at axis 1, got shape {x.shape}"
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """`y = (x - mean) / sqrt(variance + eps) * weight + bias`, per channel over batch and length.

    In training the statistics of the batch are used, and the running statistics are updated:
    `running <- (1 - momentum) * running + momentum * batch` (with the unbiased variance). In
    evaluation mode the running statistics are used.

    Args:
        num_features: number of channels C.
        eps: added so that the division stays finite.
        momentum: weight of the new batch in the running statistics; None for the average of all
            batches.
        affine: whether weight and bias are learned.
        track_running_stats: whether there are running statistics; else those of the batch are
            always used.
        dtype: of parameters and buffers; float32 when None.
        bias: whether there is a bias, if weight and bias are learned.

    Parameters: weight (C,) of ones, bias (C,) of zeros. Buffers: running_mean, running_var (C,),
    num_batches_tracked (). Shapes: (B, C) or (B, C, L), kept.
    """

    ndims: ClassVar[tuple[int, ...]] = (2, 3)


class BatchNorm2d(_BatchNorm):
    """BatchNorm1d for images: (B, C, H, W), statistics over B, H and W."""

    ndims: ClassVar[tuple[int, ...]] = (4,)


class _InstanceNorm(_BatchNorm):
    """Normalizes each channel of each sample over the axes behind; without a batch, (C, ...)."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype)

    def forward(self, x: Tensor) -> Tensor:
        is_one = x.ndim == self.ndims[0] - 1
        batch = x.unsqueeze(0) if is_one else x
        self._check_input(batch)
        result = F.instance_norm(
            batch,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            use_input_stats=self.training or self.running_mean is None,
            momentum=self.momentum or 0.0,
            eps=self.eps,
        )
        return result.squeeze(0) if is_one else result


class InstanceNorm1d(_InstanceNorm):
    """`y = (x - mean) / sqrt(variance + eps) * weight + bias`, per channel of each sample.

    In evaluation mode the running statistics are used, if there are any; in training they are
    updated with the mean over the samples, weighted by `momentum`.

    Args:
        num_features: number of channels C.
        eps: added so that the division stays finite.
        momentum: weight of the new batch in the running statistics.
        affine: whether weight and bias are learned.
        track_running_stats: whether there are running statistics.
        dtype: of parameters and buffers; float32 when None.

    Parameters: weight (C,) of ones, bias (C,) of zeros. Buffers: running_mean, running_var (C,),
    num_batches_tracked (). Shapes: (B, C, L) or (C, L), kept.
    """

    ndims: ClassVar[tuple[int, ...]] = (3,)


class InstanceNorm2d(_InstanceNorm):
    """InstanceNorm1d for images: (B, C, H, W) or (C, H, W)."""

    ndims: ClassVar[tuple[int, ...]] = (4,)


class InstanceNorm3d(_InstanceNorm):
    """InstanceNorm1d for volumes: (B, C, D, H, W) or (C, D, H, W)."""

    ndims: ClassVar[tuple[int, ...]] = (5,)


def _fill(state: Tensor | None, value: float) -> None:
    if state is not None:
        init.constant_(state, value)
