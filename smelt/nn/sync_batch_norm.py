"""Batch normalization with the statistics of all ranks."""

from __future__ import annotations

from typing import Any, ClassVar

from smelt.errors import ArgumentError
from smelt.nn.module import Module
from smelt.nn.normalization import BatchNorm1d, BatchNorm2d, _BatchNorm
from smelt.tensor import Tensor
from smelt.tensor.collectives import all_reduce, get_world_size
from smelt.tensor.elementary import rsqrt
from smelt.tensor.reductions import wide
from smelt.tensor.shaping import cat
from smelt.tracing.engine import context, no_grad

__all__ = ["SyncBatchNorm"]


class SyncBatchNorm(_BatchNorm):
    """BatchNorm1d or BatchNorm2d whose mean and variance, in training, are those of all ranks.

    On one rank it is BatchNorm. Each layer costs two short exchanges in the forward pass, and two
    in the backward pass: the mean is computed before the squared deviations from it are summed, so
    nothing cancels. Ranks may have different numbers of samples.

    Args:
        num_features: number of channels C.
        eps: added so that the division stays finite.
        momentum: weight of the new batch in the running statistics; None for the average of all
            batches.
        affine: whether weight and bias are learned.
        track_running_stats: whether there are running statistics; else those of the batch are
            always used.
        dtype: of parameters and buffers; float32 when None.

    Shapes: (B, C), (B, C, L) or (B, C, H, W), kept.
    """

    ndims: ClassVar[tuple[int, ...]] = (2, 3, 4)

    def forward(self, x: Tensor) -> Tensor:
        statistics_are_given = not self.training and self.running_mean is not None
        if statistics_are_given or get_world_size() == 1:
            return super().forward(x)
        self._check_input(x)
        values = wide(x)
        axes = (0, *range(2, x.ndim))
        own = x.size // self.num_features
        counts = context.rows is None or not context.rows.is_empty
        one = values.new_full((1,), own)
        sums = all_reduce(cat([values.sum(axes), one]) * counts)
        count, mean = sums[-1:], sums[:-1] / sums[-1:]
        centered = values - self._by_channel(mean, x)
        variance = all_reduce((centered * centered).sum(axes) * counts) / count
        if self.training and self.running_mean is not None:
            self._move(x, mean, variance, count)
        scale = rsqrt(variance + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        result = centered * self._by_channel(scale, x)
        if self.bias is not None:
            result = result + self._by_channel(self.bias, x)
        return result.to(x.dtype)

    def _move(self, x: Tensor, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Moves the running statistics toward those of the batch of all ranks."""
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        with no_grad():
            self.num_batches_tracked.copy_(self.num_batches_tracked + 1)
            share = self._share_of_batch(x.dtype)
            unbiased = variance * (count / (count - 1))
            for running, batch in ((self.running_mean, mean), (self.running_var, unbiased)):
                running.copy_(running + (batch.to(running.dtype) - running) * share)

    def _by_channel(self, values: Tensor, x: Tensor) -> Tensor:
        return values.reshape(-1, *[1] * (x.ndim - 2))

    @classmethod
    def convert_sync_batchnorm(cls, module: Module) -> Module:
        """Replaces every BatchNorm1d and BatchNorm2d within a module by a SyncBatchNorm with the
        same parameters and buffers; returns the module, or its replacement.

        Raises:
            ArgumentError: `module` is not a module.
        """
        if not isinstance(module, Module):
            raise ArgumentError(
                f"convert_sync_batchnorm: needs a module, got a {type(module).__name__}"
            )
        if isinstance(module, (BatchNorm1d, BatchNorm2d)):
            return cls._of(module)
        for name, child in list(module.named_children()):
            replaced: Any = cls.convert_sync_batchnorm(child)
            if replaced is not child:
                setattr(module, name, replaced)
        return module

    @classmethod
    def _of(cls, given: _BatchNorm) -> SyncBatchNorm:
        made = cls(
            given.num_features,
            given.eps,
            given.momentum,
            given.affine,
            given.track_running_stats,
        )
        for name in ("weight", "bias", *(name for name, _ in given.named_buffers())):
            if getattr(given, name) is not None:
                setattr(made, name, getattr(given, name))
        made.training = given.training
        return made
