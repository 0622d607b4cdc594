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
        if isinstance(layer, nn.Linear | nn.MultiheadAttention):
            own = dict(layer.named_parameters(recurse=False))
            inputs = next(p.shape[1] for p in own.values() if p.ndim == 2)
            for p in own.values():
                bound = ((6 if p.ndim == 2 else 1) / inputs) ** 0.5
                nn.init.uniform_(p, -bound, bound)
    return model
