"""Variational layers: weights that are distributions (Blundell et al., "Bayes by backprop", 2015).

q(w) = N(mu, sigma^2) with sigma = softplus(rho) approximates the posterior; the prior is N(0,
prior_std^2). The loss of a network is the mean loss of drawn weights plus
`kl_divergence(model) / number of samples in an epoch`.
"""

from __future__ import annotations

import math
from typing import Any

import smelt.functional as F
from smelt.errors import ArgumentError
from smelt.nn import init
from smelt.nn.checks import sizes
from smelt.nn.linear import empty_parameter
from smelt.nn.module import Module
from smelt.nn.parameter import Parameter
from smelt.random import randn_like
from smelt.tensor import Tensor
from smelt.tensor.elementary import log

__all__ = ["VariationalConv2d", "VariationalLinear", "kl_divergence"]


class _Variational(Module):
    """A layer with a distribution for each weight and bias."""

    def _init_parameters(
        self, shape: tuple[int, ...], bias: bool, prior_std: float, rho: float, dtype: Any
    ) -> None:
        if not prior_std > 0:
            raise ArgumentError(
                f"{type(self).__name__}: prior_std must be positive, got {prior_std}"
            )
        self.prior_std = prior_std
        self.initial_rho = rho
        self.always_draw = False
        self.weight_mu: Parameter = empty_parameter(*shape, dtype=dtype)
        self.weight_rho: Parameter = empty_parameter(*shape, dtype=dtype)
        self.bias_mu: Parameter | None = empty_parameter(shape[0], dtype=dtype) if bias else None
        self.bias_rho: Parameter | None = empty_parameter(shape[0], dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the means as PyTorch draws weights; makes every rho `initial_rho`."""
        limit = 1.0 / math.sqrt(max(1, math.prod(self.weight_mu.shape[1:])))
        init.uniform_(self.weight_mu, -limit, limit)
        init.constant_(self.weight_rho, self.initial_rho)
        if self.bias_mu is not None and self.bias_rho is not None:
            init.uniform_(self.bias_mu, -limit, limit)
            init.constant_(self.bias_rho, self.initial_rho)

    def _sample(self) -> tuple[Tensor, Tensor | None]:
        """Returns a weight and a bias: drawn, or in evaluation their means."""
        draws = self.training or self.always_draw
        weight, *bias = [
            mu + F.softplus(rho) * randn_like(mu) if draws else mu
            for mu, rho in self._distributions()
        ]
        return weight, bias[0] if bias else None

    def _distributions(self) -> list[tuple[Parameter, Parameter]]:
        distributions = [(self.weight_mu, self.weight_rho)]
        if self.bias_mu is not None and self.bias_rho is not None:
            distributions.append((self.bias_mu, self.bias_rho))
        return distributions

    def kl_divergence(self) -> Tensor:
        """Returns KL(q || prior), summed over all weights and biases: shape ()."""
        prior = 2 * math.log(self.prior_std)
        divergences = [
            F.kl_divergence_normal(mu, 2 * log(F.softplus(rho)), 0.0, prior).sum()
            for mu, rho in self._distributions()
        ]
        return divergences[0] if len(divergences) == 1 else divergences[0] + divergences[1]


class VariationalLinear(_Variational):
    """`y = x W^T + b` with W and b drawn from q at each call in training.

    In evaluation the means are used; set `always_draw = True` to draw there too: several calls then
    show how certain the network is.

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        bias: whether b is added.
        prior_std: standard deviation of the prior.
        rho: the initial value of every rho; sigma = softplus(rho), 0.0067 for -5.
        dtype: of the parameters; float32 when None.

    Parameters: weight_mu, weight_rho (out_features, in_features), bias_mu, bias_rho (out_features).

    Raises:
        ArgumentError: a `prior_std` that is not positive.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        prior_std: float = 1.0,
        rho: float = -5.0,
        dtype: Any = None,
    ) -> None:
        sizes(self, in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        self._init_parameters((out_features, in_features), bias, prior_std, rho, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Returns `x W^T + b`."""
        return F.linear(x, *self._sample())

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, prior_std={self.prior_std}"


class VariationalConv2d(_Variational):
    """`Conv2d` with a kernel and bias drawn from q at each call in training.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: size of the kernel; one number for a square.
        stride: as in `Conv2d`, like the next three.
        padding: zeros around the input, or "same".
        dilation: distance between the taps of the kernel.
        groups: number of groups of channels that are independent of each other.
        bias: whether there is a bias.
        prior_std: standard deviation of the prior.
        rho: the initial value of every rho; see `VariationalLinear`.
        dtype: of the parameters; float32 when None.

    Parameters: weight_mu, weight_rho (O, C / groups, *kernel_size), bias_mu, bias_rho (O).

    Raises:
        ArgumentError: a `prior_std` that is not positive, or groups that do not divide C and O.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        prior_std: float = 1.0,
        rho: float = -5.0,
        dtype: Any = None,
    ) -> None:
        kernel = (kernel_size,) * 2 if isinstance(kernel_size, int) else tuple(kernel_size)
        sizes(self, in_channels=in_channels, out_channels=out_channels, groups=groups)
        for extent in kernel:
            sizes(self, kernel_size=extent)
        if not groups or in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"VariationalConv2d: in_channels={in_channels} and out_channels={out_channels} "
                f"must be divisible by groups={groups}"
            )
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        shape = (out_channels, in_channels // groups, *kernel)
        self._init_parameters(shape, bias, prior_std, rho, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the convolution of `x` with the drawn kernel."""
        weight, bias = self._sample()
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        out, inner, *kernel = self.weight_mu.shape
        channels = f"{inner * self.groups}, {out}, kernel_size={tuple(kernel)}"
        return f"{channels}, stride={self.stride}, padding={self.padding!r}"


def kl_divergence(model: Module) -> Tensor:
    """Returns the sum of KL(q || prior) over all variational layers of a model: shape ().

    Raises:
        ArgumentError: the model has no variational layers.
    """
    layers = [module for module in model.modules() if isinstance(module, _Variational)]
    if not layers:
        raise ArgumentError(
            f"kl_divergence: {type(model).__name__} has no variational layer; use "
            "nn.VariationalLinear or nn.VariationalConv2d"
        )
    total = layers[0].kl_divergence()
    for layer in layers[1:]:
        total = total + layer.kl_divergence()
    return total
