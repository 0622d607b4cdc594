"""Means with weights, over the samples of all ranks where each rank has a part of a batch.

A rank's loss counts as much as it has samples (`distributed/exchange.py`). So of a mean with
weights over all ranks, S / W with S = S_1 + S_2 + ... and W likewise, rank r computes

    S_r / W * (n / n_r)        n: the samples of all ranks, n_r: its own

whose mean over the samples of all ranks is S / W, and so are the gradients.
"""

from __future__ import annotations

from typing import Any

from smelt.errors import GradientError, ShapeError
from smelt.ops.movement import broadcast_shapes
from smelt.tensor import Tensor
from smelt.tensor.apply import floats
from smelt.tensor.collectives import begin_all_reduce, get_world_size
from smelt.tensor.elementary import where
from smelt.tensor.shaping import stack
from smelt.tracing.engine import context, no_grad

__all__ = ["over_weight", "weighted_mean"]


def weighted_mean(values: Any, weights: Any) -> Tensor:
    """Returns the mean of values, each with its weight: a loss of samples with weights.

        sum_i w_i v_i / sum_i w_i

    Where each rank has a part of a batch, as in `train.fit` and in the function that is given to
    `DistributedDataParallel.backward`, i runs over the samples of all ranks: what the ranks get is
    such that its mean, each rank counting as much as it has samples, is the mean with weights.

    Args:
        values: such as the loss of each sample, float (n, ...).
        weights: broadcast to the shape of the values; without a gradient where there are several
            ranks.

    Returns:
        One number; nan where no weight is above 0.

    Raises:
        ShapeError: the weights have a shape that does not fit.
        GradientError: the weights require a gradient, and several ranks share the batch.

    Example:
        >>> weighted_mean([1.0, 2.0, 6.0], [1.0, 1.0, 2.0]).item()
        3.75
    """
    values, weights = floats(values, weights)
    if broadcast_shapes("weighted_mean", values.shape, weights.shape) != values.shape:
        raise ShapeError(f"weighted_mean: weights {weights.shape} for values {values.shape}")
    return over_weight((values * weights).sum(), weights.expand(values.shape).sum())


def over_weight(total: Tensor, weight: Tensor, zero_if_none: bool = False) -> Tensor:
    """Returns a weighted sum, shape (), divided by the sum of the weights; of those of all ranks
    where each has a part of a batch.

    Args:
        total: of this rank's samples.
        weight: likewise.
        zero_if_none: whether the result is 0, and not nan, where nothing has a weight.

    Raises:
        GradientError: the weights require a gradient, and several ranks share the batch.
    """
    rows = context.rows
    is_shared = rows is not None and rows.of_ranks and get_world_size() > 1
    if not is_shared:
        return total / (where(weight > 0, weight, 1.0) if zero_if_none else weight)
    if weight.requires_grad:
        raise GradientError(
            "a mean with weights that require a gradient: several ranks share the batch, and a "
            "weight would change the loss of all of them; detach() the weights"
        )
    with no_grad():
        own = weight.to(weight.dtype.compute)
        counts = own.new_full((), rows.count)
        # begun at once and needed last, since it takes the labels alone
        sums = begin_all_reduce(stack([own * int(not rows.is_empty), counts]))()
        whole = where(sums[0] > 0, sums[0], 1.0) if zero_if_none else sums[0]
        # a rank that has a copy of another's sample counts nothing, and waits for the sums as well
        share = sums[1] * 0 if rows.is_empty else sums[1] / rows.count
    return total / whole.to(total.dtype) * share.to(total.dtype)
