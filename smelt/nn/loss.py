"""Losses as modules; the formulas are in `smelt.functional`.

`reduction` is "mean", "sum" or "none" (one loss per sample or element).
"""

from __future__ import annotations

from typing import Any, Self

import smelt.functional as F
from smelt.errors import ArgumentError, ArgumentTypeError, ShapeError
from smelt.nn.module import Module
from smelt.tensor import Tensor, as_tensor
from smelt.tracing.apply import is_tensor

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "NLLLoss",
    "PairwiseDistance",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
]


class _Loss(Module):
    def __new__(cls, *settings: Any, **options: Any) -> Self:
        if len(settings) > 1 and all(is_tensor(one) for one in settings[:2]):
            raise ArgumentTypeError(
                f"{cls.__name__}: the constructor takes settings, not tensors; write "
                f"{cls.__name__}()(input, target), or first loss = {cls.__name__}(), then "
                "loss(input, target)"
            )
        return super().__new__(cls)

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("none", "mean", "sum"):
            raise ArgumentError(f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
        self.reduction = reduction


class _WeightedLoss(_Loss):
    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._check_weight(weight)
        self.register_buffer("weight", weight)

    def _check_weight(self, weight: Tensor | None) -> None:
        """Raises ShapeError for what is no weight."""


class MSELoss(_Loss):
    """`(x - target)^2`."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(x, target, reduction=self.reduction)


class L1Loss(_Loss):
    """`|x - target|`."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(x, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """`d^2 / (2 beta)` where `d = |x - target|` is below beta, else `d - beta / 2`."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(x, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """`d^2 / 2` where `d = |x - target|` is below delta, else `delta * (d - delta / 2)`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(x, target, reduction=self.reduction, delta=self.delta)


class _ClassLoss(_WeightedLoss):
    def _check_weight(self, weight: Tensor | None) -> None:
        if weight is not None and as_tensor(weight).ndim != 1:
            raise ShapeError(
                f"{type(self).__name__}: weight must be (C,), one number per class, got shape "
                f"{as_tensor(weight).shape}; pass the input in the call: "
                f"{type(self).__name__}()(input, target)"
            )


class CrossEntropyLoss(_ClassLoss):
    """`-log softmax(x)[target]`.

    Args:
        weight: (C,), a weight per class.
        ignore_index: targets with this number are ignored.
        reduction: "mean" divides by the sum of the weights that count.
        label_smoothing: the share of the target's probability that is spread over all classes.

    Shapes: x (B, C, ...) or (C,); target int (B, ...) or (), or probabilities of x's shape.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            x,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_ClassLoss):
    """`-x[target]`, x being log-probabilities (B, C, ...); arguments as in CrossEntropyLoss."""

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(
            x,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class BCELoss(_WeightedLoss):
    """`-w * (target * log(x) + (1 - target) * log(1 - x))`, x being probabilities."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(x, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """BCELoss of sigmoid(x), without overflow.

    Args:
        weight: a weight per element, broadcast.
        reduction: see the module.
        pos_weight: (C,), a weight of the positive targets.
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            x,
            target,
            weight=self.weight,
            reduction=self.reduction,
            pos_weight=self.pos_weight,
        )


class KLDivLoss(_Loss):
    """`target * (log(target) - x)`, x being log-probabilities.

    Args:
        reduction: also "batchmean", the sum divided by the size of the first axis.
        log_target: whether the target holds logarithms too.
    """

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__("mean" if reduction == "batchmean" else reduction)
        self.reduction = reduction
        self.log_target = log_target

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(x, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(_Loss):
    """`exp(x) - target * x`: the target's count is Poisson with mean exp(x).

    With `log_input=False` x is the mean itself: `x - target * log(x + eps)`. `full` adds Stirling's
    approximation of the logarithm of target!, where the target is above 1.
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        *,
        eps: float = 1e-8,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(
            x, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(_Loss):
    """`(log(v) + (x - target)^2 / v) / 2`, `v = max(var, eps)`; `full` adds log(2 pi) / 2."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full = full
        self.eps = eps

    def forward(self, x: Tensor, target: Tensor, var: Tensor) -> Tensor:
        return F.gaussian_nll_loss(x, target, var, self.full, self.eps, self.reduction)


class SoftMarginLoss(_Loss):
    """`log(1 + exp(-target * x))`, targets 1 and -1."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(x, target, self.reduction)


class _MarginLoss(_Loss):
    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin


class HingeEmbeddingLoss(_MarginLoss):
    """`x` where the target is 1, `max(0, margin - x)` where it is -1."""

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(margin, reduction)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.hinge_embedding_loss(x, target, self.margin, self.reduction)


class CosineEmbeddingLoss(_MarginLoss):
    """`1 - cos(x1, x2)` where the target is 1, `max(0, cos(x1, x2) - margin)` where it is -1."""

    def forward(self, x1: Tensor, x2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(x1, x2, target, self.margin, self.reduction)


class MarginRankingLoss(_MarginLoss):
    """`max(0, -target * (x1 - x2) + margin)`: x1 should be larger where the target is 1."""

    def forward(self, x1: Tensor, x2: Tensor, target: Tensor) -> Tensor:
        return F.margin_ranking_loss(x1, x2, target, self.margin, self.reduction)


class TripletMarginLoss(_MarginLoss):
    """`max(0, d(anchor, positive) - d(anchor, negative) + margin)`, d the p-norm distance; with
    `swap` d(positive, negative) where that is smaller than d(anchor, negative).
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, reduction)
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )


class PairwiseDistance(Module):
    """`|x1 - x2 + eps|_p` along the last axis."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """`(x1 . x2) / (max(|x1|, eps) * max(|x2|, eps))` along axis `dim`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
