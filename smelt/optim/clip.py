"""Gradient clipping: limits gradients before an optimizer's step."""

from __future__ import annotations

import math
from collections.abc import Iterable

from smelt.errors import ArgumentError
from smelt.optim.given import listed
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.elementary import clamp, maximum, minimum
from smelt.tracing.engine import no_grad

__all__ = ["clip_grad_norm_", "clip_grad_value_", "get_total_norm"]


@no_grad()
def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """Returns the norm of all elements of all tensors together, shape ().

    (sum of |x|^p)^(1/p) with p = `norm_type`; the largest |x| for inf. 0 for no tensors.

    Raises:
        ArgumentError: `norm_type` is not positive.
    """
    if not norm_type > 0:
        raise ArgumentError(f"norm_type must be positive, got {norm_type}")
    if norm_type == math.inf:
        total = as_tensor(0.0)
        for tensor in tensors:
            total = maximum(total, abs(tensor).amax()) if tensor.size else total
        return total
    power = as_tensor(0.0)
    for tensor in tensors:
        size = tensor * tensor if norm_type == 2 else abs(tensor) ** norm_type
        power = power + size.sum()
    return power ** (1.0 / norm_type)


@no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0
) -> Tensor:
    """Scales all gradients together so that their norm is at most `max_norm`.

    g <- g * min(1, max_norm / (norm + 1e-6)). Pascanu, Mikolov and Bengio 2013.

    Args:
        parameters: the parameters; those without a gradient are left alone.
        max_norm: the largest norm of the gradient.
        norm_type: p of the p-norm; may be inf.

    Returns:
        The norm before, shape ().

    Raises:
        ArgumentError: `max_norm` is negative, `norm_type` is not positive, or `parameters` is a
            model, or an exhausted iterator.
    """
    if not max_norm >= 0:
        raise ArgumentError(f"clip_grad_norm_: max_norm must not be negative, got {max_norm}")
    learned = _with_gradient("clip_grad_norm_", parameters)
    gradients = [gradient for _, gradient in learned]
    total = get_total_norm(gradients, norm_type)
    factor = minimum(max_norm / (total + 1e-6), 1.0)
    for parameter, gradient in learned:
        parameter.grad = gradient * factor.to(gradient.dtype)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limits every element of every gradient to [-clip_value, clip_value].

    Raises:
        ArgumentError: `clip_value` is negative, or `parameters` is a model, or an exhausted
            iterator.
    """
    if not clip_value >= 0:
        raise ArgumentError(f"clip_grad_value_: clip_value is negative: {clip_value}")
    for parameter, gradient in _with_gradient("clip_grad_value_", parameters):
        parameter.grad = clamp(gradient, -clip_value, clip_value)


def _with_gradient(
    owner: str, parameters: Tensor | Iterable[Tensor]
) -> list[tuple[Tensor, Tensor]]:
    given = [parameters] if isinstance(parameters, Tensor) else listed(owner, parameters)
    pairs = [(parameter, parameter.grad) for parameter in given]
    return [(parameter, gradient) for parameter, gradient in pairs if gradient is not None]
