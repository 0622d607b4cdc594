"""First weights as the book's library draws them: wider than PyTorch's, and Smelt's, own."""

from __future__ import annotations

from typing import TypeVar

from smelt import nn

M = TypeVar("M", bound=nn.Module)

__all__ = ["widened"]


def widened(model: M) -> M:
    """Draws the linear maps of a model anew as the book's programs do, and returns the model.

    Weights come from U(-a, a) with a = sqrt(6 / inputs), which is He's rule for ReLU; PyTorch takes
    a = sqrt(1 / inputs). Biases come from U(-b, b) with b = sqrt(1 / inputs).
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            _draw(layer.weight, layer.bias)
        elif isinstance(layer, nn.MultiheadAttention):
            _draw(layer.in_proj_weight, layer.in_proj_bias)
    return model


def _draw(weight: nn.Parameter, bias: nn.Parameter) -> None:
    nn.init.kaiming_uniform_(weight, nonlinearity="relu")
    bound = weight.shape[1] ** -0.5
    nn.init.uniform_(bias, -bound, bound)
