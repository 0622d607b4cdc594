"""Losses; PyTorch's operators have numbers for what is done with the loss of each element."""

from __future__ import annotations

from typing import Any, Final

from smelt.export.torch.program import Rule
from smelt.functional import losses
from smelt.tensor import Tensor

REDUCTIONS = ("none", "mean", "sum")


def _of_pair(function: Any, *names: str) -> Rule:
    """Returns the rule of a loss with `reduction` as third argument, and further settings."""

    def rule(x: Tensor, target: Tensor, reduction: int = 1, *given: Any, **options: Any) -> Tensor:
        settings = dict(zip(names, given, strict=False)) | options
        return function(x, target, reduction=REDUCTIONS[reduction], **settings)

    return rule


def _cross_entropy(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: int = 1,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    return losses.cross_entropy(
        x, target, weight, ignore_index, REDUCTIONS[reduction], label_smoothing
    )


def _nll(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: int = 1,
    ignore_index: int = -100,
) -> Tensor:
    return losses.nll_loss(x, target, weight, ignore_index, REDUCTIONS[reduction])


def _binary(x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: int = 1) -> Tensor:
    return losses.binary_cross_entropy(x, target, weight, REDUCTIONS[reduction])


def _binary_of_logits(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: int = 1,
) -> Tensor:
    return losses.binary_cross_entropy_with_logits(
        x, target, weight, REDUCTIONS[reduction], pos_weight
    )


RULES: Final[dict[str, Rule]] = {
    "mse_loss": _of_pair(losses.mse_loss),
    "l1_loss": _of_pair(losses.l1_loss),
    "huber_loss": _of_pair(losses.huber_loss, "delta"),
    "smooth_l1_loss": _of_pair(losses.smooth_l1_loss, "beta"),
    "soft_margin_loss": _of_pair(losses.soft_margin_loss),
    "kl_div": _of_pair(losses.kl_div, "log_target"),
    "cross_entropy_loss": _cross_entropy,
    "nll_loss": _nll,
    "nll_loss_nd": _nll,
    "binary_cross_entropy": _binary,
    "binary_cross_entropy_with_logits": _binary_of_logits,
}
