"""Losses, with PyTorch's names, reductions and numerics.

`reduction` is "mean", "sum" or "none" everywhere. Labels are checked before any arithmetic: a label
outside the classes raises BoundsError, in compiled steps before they change anything.
"""

from __future__ import annotations

import math
from typing import Any

from smelt.dtypes import DType
from smelt.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from smelt.functional.weighted_mean import over_weight
from smelt.ops import entropy
from smelt.ops.iota import iota
from smelt.ops.movement import broadcast_shapes
from smelt.tensor import Tensor
from smelt.tensor.activations import log_sigmoid, log_softmax, relu
from smelt.tensor.apply import as_tensor, axis_of, floating, floats, promoted
from smelt.tensor.elementary import abs as absolute
from smelt.tensor.elementary import clamp, exp, log, maximum, minimum, sqrt, where
from smelt.tensor.indexing import is_known_inside
from smelt.tracing.engine import current_engine, weak_dtype

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss",
    "cosine_similarity", "cross_entropy", "gaussian_nll_loss", "hinge_embedding_loss", "hinge_loss",
    "huber_loss", "kl_div", "l1_loss", "margin_ranking_loss", "mse_loss", "nll_loss",
    "poisson_nll_loss", "smooth_l1_loss", "soft_margin_loss", "squared_error",
    "triplet_margin_loss",
]  # fmt: skip


def _combined(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return losses.mean()
    if reduction == "sum":
        return losses.sum()
    if reduction != "none":
        raise ArgumentError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    return losses


def _pair(what: str, x: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Returns predictions and targets of one shape as floats of one dtype."""
    x, target = floats(x, target)
    if x.shape != target.shape:
        raise ShapeError(
            f"{what}: input {x.shape} and target {target.shape} differ; broadcasting them "
            "would compare each prediction with every target. Reshape one of them"
        )
    return x, target


def _together(what: str, *operands: Any) -> tuple[Tensor, ...]:
    """Returns operands as floats of one dtype and one shape: broadcast before anything is summed
    up.
    """
    tensors = floats(*operands)
    shape = broadcast_shapes(what, *(tensor.shape for tensor in tensors))
    return tuple(tensor.expand(shape) for tensor in tensors)


def _factor(what: str, name: str, factor: Any, x: Tensor) -> Tensor:
    """Returns a factor that broadcasts to the shape of x, and not beyond it."""
    factor = as_tensor(factor, x.dtype)
    extents = zip(reversed(factor.shape), reversed(x.shape), strict=False)
    if factor.ndim > x.ndim or any(own not in (1, extent) for own, extent in extents):
        raise ShapeError(
            f"{what}: {name} of shape {factor.shape} does not broadcast to the input {x.shape}"
        )
    return factor


# --- regression -----------------------------------------------------------------------------------


def squared_error(input: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """Returns L = 1/2 (y - yhat)^2, the loss of a single neuron."""
    input, target = _pair("squared_error", input, target)
    return _combined(0.5 * (input - target) ** 2, reduction)


def mse_loss(input: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """Returns (yhat - y)^2, which punishes large errors."""
    input, target = _pair("mse_loss", input, target)
    return _combined((input - target) ** 2, reduction)


def l1_loss(input: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """Returns |yhat - y|, robust to outliers; its derivative at 0 is 0."""
    input, target = _pair("l1_loss", input, target)
    return _combined(absolute(input - target), reduction)


def huber_loss(input: Tensor, target: Any, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """Returns d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), with d = yhat - y."""
    if not delta > 0:
        raise ArgumentError(f"huber_loss: delta must be positive, got {delta}")
    input, target = _pair("huber_loss", input, target)
    difference = input - target
    size = absolute(difference)
    outside = delta * (size - 0.5 * delta)
    near = where(size < delta, difference, 0.0)  # an infinite difference squared would be nan
    return _combined(where(size < delta, 0.5 * near * near, outside), reduction)


def smooth_l1_loss(
    input: Tensor, target: Any, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """Returns d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, with d = yhat - y.

    Raises:
        ArgumentError: a negative beta, or nan.
    """
    if not beta >= 0:
        raise ArgumentError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    input, target = _pair("smooth_l1_loss", input, target)
    difference = input - target
    size = absolute(difference)
    near = where(size < beta, difference, 0.0)  # an infinite difference squared would be nan
    return _combined(where(size < beta, (0.5 / beta) * near * near, size - 0.5 * beta), reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """Returns e^x - y x, or x - y log(x + eps) when the input is a rate itself.

    With `full` Stirling's y log y - y + log(2 pi y) / 2, for log y!, is added where y > 1.
    """
    input, target = _pair("poisson_nll_loss", input, target)
    losses = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        counted = where(target > 1, target, 1.0)
        stirling = counted * log(counted) - counted + 0.5 * log(2 * math.pi * counted)
        losses = losses + where(target > 1, stirling, 0.0)
    return _combined(losses, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Any,
    var: Tensor,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Returns 1/2 (log v + (yhat - y)^2 / v), v the predicted variance, at least eps.

    With `full` the constant log(2 pi) / 2 is added. The clamp of v has no gradient, as in PyTorch.
    Input and target broadcast.
    """
    input, target = floats(input, target)
    broadcast_shapes("gaussian_nll_loss", input.shape, target.shape)
    var = _variance_of(input, var)
    spread = var + where(var < eps, eps - var, 0.0).detach()
    losses = 0.5 * (log(spread) + (input - target) ** 2 / spread)
    return _combined(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def _variance_of(input: Tensor, var: Any) -> Tensor:
    """Returns variances that broadcast to the input: of its shape, or without its last axis."""
    var = as_tensor(var, input.dtype)
    if input.ndim and var.shape == input.shape[:-1] and var.ndim:
        var = var.unsqueeze(-1)
    var = _factor("gaussian_nll_loss", "var", var, input)
    message = "gaussian_nll_loss: a variance is negative"
    current_engine().require(var < 0, message, ArgumentError, var)
    return var


# --- two classes ----------------------------------------------------------------------------------


def binary_cross_entropy(
    input: Tensor, target: Any, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Returns -w [y log p + (1 - y) log(1 - p)] for probabilities p.

    Each logarithm is at least -100, and the derivative is (p - y) / max(p (1 - p), 1e-12), as in
    PyTorch. For logits, use `binary_cross_entropy_with_logits`, which is exact.

    Args:
        input: probabilities in [0, 1].
        target: probabilities of the same shape.
        weight: a factor per element, broadcast.
        reduction: see above.

    Raises:
        ArgumentError: an input below 0 or above 1.
    """
    input, target = _pair("binary_cross_entropy", input, target)
    message = (
        "binary_cross_entropy: a probability lies outside [0, 1]; did you forget the sigmoid? For "
        "logits, use binary_cross_entropy_with_logits"
    )
    current_engine().require((input < 0) | (input > 1), message, ArgumentError, input)
    losses = promoted(entropy.binary_cross_entropy, input, target)
    return _combined(_weighted("binary_cross_entropy", losses, weight), reduction)


def _weighted(what: str, losses: Tensor, weight: Any) -> Tensor:
    return losses if weight is None else losses * _factor(what, "weight", weight, losses)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Any,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Returns -w [q y log s(x) + (1 - y) log(1 - s(x))] for logits x, stable for all of them.

    Args:
        input: logits; s is the sigmoid.
        target: probabilities of the same shape.
        weight: w, a factor per element, broadcast.
        reduction: see above.
        pos_weight: q, a factor for the positive class, broadcast.
    """
    input, target = _pair("binary_cross_entropy_with_logits", input, target)
    what = "binary_cross_entropy_with_logits"
    if pos_weight is None:
        losses = (1.0 - target) * input - log_sigmoid(input)
    else:
        pos_weight = _factor(what, "pos_weight", pos_weight, input)
        losses = (1.0 - target) * input - ((pos_weight - 1.0) * target + 1.0) * log_sigmoid(input)
    return _combined(_weighted(what, losses, weight), reduction)


def hinge_loss(input: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """Returns max(0, 1 - y x) for scores x and labels y of -1 and 1."""
    input, target = _pair("hinge_loss", input, target)
    return _combined(relu(1.0 - target * input), reduction)


def soft_margin_loss(input: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """Returns log(1 + e^(-y x)) for scores x and labels y of -1 and 1."""
    input, target = _pair("soft_margin_loss", input, target)
    return _combined(-log_sigmoid(target * input), reduction)


# --- several classes ------------------------------------------------------------------------------


def cross_entropy(
    input: Tensor,
    target: Any,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Returns -sum_c w_c y_c log softmax(x)_c, the classes along axis 1 (axis 0 of a vector).

    Args:
        input: logits (C), (N, C) or (N, C, d1, ...).
        target: class numbers (int; shape of the input without the classes) or probabilities (float,
            shape of the input).
        weight: w, a factor per class, (C,).
        ignore_index: labels with this number are ignored.
        reduction: "mean" divides by the sum of the weights of the counted labels (with
            probabilities: by the number of samples).
        label_smoothing: e in [0, 1]; the target becomes (1 - e) y + e / C.

    Raises:
        ArgumentError: an `ignore_index` of 0 or more if the target has probabilities.
        BoundsError: a label outside 0..C - 1.
        DTypeError: class numbers that are not integers.
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(
            f"cross_entropy: label_smoothing must lie in [0, 1], got {label_smoothing}"
        )
    input = floating(input)
    target, axis = as_tensor(target, _label_dtype(target, input)), _class_axis(input)
    if target.dtype.is_float and target.shape == input.shape:
        if ignore_index >= 0:
            raise ArgumentError(
                f"cross_entropy: ignore_index {ignore_index} is for labels, but the target holds "
                "probabilities; leave it out"
            )
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing, axis)
    _check_labels("cross_entropy", input, target, ignore_index, axis)
    log_p = log_softmax(input, axis)
    return _picked(log_p, target, weight, ignore_index, reduction, label_smoothing, axis)


def nll_loss(
    input: Tensor,
    target: Any,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Returns -w_t x_t for log-probabilities x and class numbers t; see `cross_entropy`."""
    input = floating(input)
    target, axis = as_tensor(target), _class_axis(input)
    _check_labels("nll_loss", input, target, ignore_index, axis)
    return _picked(input, target, weight, ignore_index, reduction, 0.0, axis)


def _label_dtype(target: Any, input: Tensor) -> DType | None:
    """Returns the input's dtype for probabilities given as Python numbers."""
    weak = weak_dtype(target)
    return input.dtype if weak is not None and weak.is_float else None


def _class_axis(x: Tensor) -> int:
    if not x.ndim:
        raise ShapeError("a loss over classes needs an axis of classes, got shape ()")
    return min(1, x.ndim - 1)


def _hint(x: Tensor, target: Tensor) -> str:
    if target.shape == x.shape:
        return "; for one-hot rows write target.argmax(...), for probabilities target.float()"
    last = x.ndim > 2 and target.shape == x.shape[:-1]
    return "; if the classes are the last axis, move them: input.transpose(1, -1)" if last else ""


def _dtype_hint(x: Tensor, target: Tensor, shape: tuple[int, ...]) -> str:
    if target.ndim > x.ndim:
        return f"; the order is (input, target), but the input {x.shape} looks like labels"
    by = "; write target.long()" if target.shape == shape and target.dtype.is_float else ""
    return f"{by}; or give probabilities of shape {x.shape}"


def _check_labels(what: str, x: Tensor, target: Tensor, ignore_index: int, axis: int) -> None:
    """Requires that each label is a class or ignored."""
    classes, shape = x.shape[axis], (*x.shape[:axis], *x.shape[axis + 1 :])
    if target.dtype.kind != "int":
        hint = _dtype_hint(x, target, shape)
        raise DTypeError(f"{what}: labels must be int32 or int64, got {target.dtype.name}{hint}")
    if target.shape != shape:
        raise ShapeError(
            f"{what}: for an input {x.shape} with {classes} classes along axis {axis}, labels must "
            f"have shape {shape}, got {target.shape}{_hint(x, target)}"
        )
    if is_known_inside(target, 0, classes):
        return
    outside = ((target < 0) | (target >= classes)) & (target != ignore_index)
    message = (
        f"a label lies outside the {classes} classes 0..{classes - 1}; labels to be skipped must "
        f"be {ignore_index} (ignore_index). Labels count from 0, and a network needs one output "
        "per class"
    )
    current_engine().require(outside, message, BoundsError, target)


def _picked(
    log_p: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    smoothing: float,
    axis: int,
) -> Tensor:
    """The log-probabilities of the labels, by comparison: it fuses, and its gradient needs no
    scatter.
    """
    counted = target != ignore_index
    chosen = iota(shape=log_p.shape, axis=axis) == target.unsqueeze(axis)
    weighted = log_p if weight is None else log_p * _along(weight, log_p, axis)
    losses = -where(chosen, weighted, 0.0).sum(axis)
    if smoothing:
        spread = -where(counted.unsqueeze(axis), weighted, 0.0).sum(axis)
        losses = (1.0 - smoothing) * losses + (smoothing / log_p.shape[axis]) * spread
    losses = where(counted, losses, 0.0)
    if reduction != "mean":
        return _combined(losses, reduction)
    if weight is None:
        return over_weight(losses.sum(), counted.sum().to(losses.dtype))
    weights = where(chosen, _along(weight, log_p, axis), 0.0).sum(axis)
    return over_weight(losses.sum(), where(counted, weights, 0.0).sum())


def _along(weight: Tensor, x: Tensor, axis: int) -> Tensor:
    if weight.shape != (x.shape[axis],):
        raise ShapeError(
            f"the weight of a loss must have shape ({x.shape[axis]},), one factor per class, got "
            f"{weight.shape}"
        )
    return weight.reshape([-1 if dim == axis else 1 for dim in range(x.ndim)])


def _soft_cross_entropy(
    x: Tensor, target: Tensor, weight: Tensor | None, reduction: str, smoothing: float, axis: int
) -> Tensor:
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / x.shape[axis]
    products = log_softmax(x, axis) * target
    if weight is not None:
        products = products * _along(weight, x, axis)
    losses = -products.sum(axis)
    samples = math.prod((*x.shape[:axis], *x.shape[axis + 1 :]))
    return losses.sum() / samples if reduction == "mean" else _combined(losses, reduction)


def kl_div(input: Tensor, target: Any, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """Returns q (log q - x) for log-probabilities x: KL(Q || P) with x = log P, as in PyTorch.

    Args:
        input: log-probabilities.
        target: probabilities q (0 contributes 0), or their logarithms with `log_target`.
        reduction: "batchmean" divides the sum by the batch size, which is the mathematical
            definition; "mean" divides by the number of elements.
        log_target: whether the target is given as logarithms.
    """
    input, target = _pair("kl_div", input, target)
    if log_target:
        losses = exp(target) * (target - input)
    else:
        empty = target == 0
        surprise = target * log(where(empty, 1.0, target))  # 0 log 0 is 0
        losses = surprise - target * input
    if reduction != "batchmean":
        return _combined(losses, reduction)
    return losses.sum() / (input.shape[0] if input.ndim else 1)


# --- embeddings -----------------------------------------------------------------------------------


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Returns (x1 . x2) / (|x1| |x2|) along `dim`, each norm at least eps; in [-1, 1]."""
    x1, x2 = _together("cosine_similarity", x1, x2)
    axis_of(x1, dim, "cosine_similarity")
    norms = maximum(x1.norm(2, dim), eps) * maximum(x2.norm(2, dim), eps)
    return (x1 * x2).sum(dim) / norms


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Returns 1 - cos where y = 1, and max(0, cos - margin) where y = -1, over the last axis."""
    input1, input2 = _together("cosine_embedding_loss", input1, input2)
    target, eps = as_tensor(target), 1e-12
    lengths = ((input1**2).sum(-1) + eps) * ((input2**2).sum(-1) + eps)
    cosine = (input1 * input2).sum(-1) / sqrt(lengths)
    apart = where(target == -1, clamp(cosine - margin, min=0.0), 0.0)
    return _combined(where(target == 1, 1.0 - cosine, apart), reduction)


def hinge_embedding_loss(
    input: Tensor, target: Any, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """Returns x where y = 1, and max(0, margin - x) where y = -1, for distances x."""
    input, target = _pair("hinge_embedding_loss", input, target)
    near = where(target != -1, input, 0.0)
    far = where(target != 1, clamp(margin - input, min=0.0), 0.0)
    return _combined(near + far, reduction)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Returns max(0, -y (x1 - x2) + margin): y = 1 says that x1 should rank higher."""
    input1, input2, target = floats(input1, input2, target)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            f"margin_ranking_loss: inputs {input1.shape} and {input2.shape} and target "
            f"{target.shape} must have the same number of axes"
        )
    return _combined(clamp(margin - target * (input1 - input2), min=0.0), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Returns max(0, d(a, p) - d(a, n) + margin), d the p-norm of the difference plus eps.

    With `swap` the smaller of d(a, n) and d(p, n) is used instead of d(a, n) (Balntas et al.,
    2016).
    """
    anchor, positive, negative = _together("triplet_margin_loss", anchor, positive, negative)
    near = (anchor - positive + eps).norm(p, -1)
    far = (anchor - negative + eps).norm(p, -1)
    if swap:
        far = minimum(far, (positive - negative + eps).norm(p, -1))
    return _combined(clamp(near - far + margin, min=0.0), reduction)
