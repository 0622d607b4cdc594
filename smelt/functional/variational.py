"""Learned distributions: drawing from them with a gradient, and their divergence."""

from __future__ import annotations

from typing import Any

from smelt.errors import ShapeError
from smelt.random import Generator, randn_like
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor
from smelt.tensor.elementary import exp

__all__ = ["kl_divergence_normal", "reparameterize"]


def reparameterize(
    mean: Tensor, log_variance: Tensor, generator: Generator | None = None
) -> Tensor:
    """Returns mean + exp(log_variance / 2) * e, e standard normal: a draw from N(mean, variance).

    The randomness enters from outside, so that gradients reach both parameters (Kingma and Welling,
    "Auto-encoding variational Bayes", 2014).

    Raises:
        ShapeError: the two differ in shape.
    """
    _check_same_shape("reparameterize", mean, log_variance)
    return mean + exp(0.5 * log_variance) * randn_like(mean, generator=generator)


def kl_divergence_normal(
    mean: Tensor, log_variance: Tensor, prior_mean: Any = 0.0, prior_log_variance: Any = 0.0
) -> Tensor:
    """Returns KL(N(mean, variance) || N(prior mean, prior variance)), element by element.

        1/2 (log v' - log v + (v + (m - m')^2) / v' - 1)

    With the standard normal prior that is a VAE's -1/2 (1 + log v - m^2 - v). Sum over the axes of
    one sample for the divergence of its joint distribution.

    Args:
        mean: m, any shape.
        log_variance: log v, the same shape.
        prior_mean: m', broadcasts.
        prior_log_variance: log v', broadcasts.

    Raises:
        ShapeError: mean and log_variance differ in shape.
    """
    _check_same_shape("kl_divergence_normal", mean, log_variance)
    prior = as_tensor(prior_log_variance, mean.dtype)
    spread = (exp(log_variance) + (mean - prior_mean) ** 2) * exp(-prior)
    return 0.5 * (prior - log_variance + spread - 1.0)


def _check_same_shape(what: str, mean: Tensor, log_variance: Tensor) -> None:
    if mean.shape != log_variance.shape:
        raise ShapeError(
            f"{what}: mean {mean.shape} and log_variance {log_variance.shape} must have one shape"
        )
