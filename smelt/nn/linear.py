"""Affine maps: Linear, Bilinear, and the Identity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import smelt.functional as F
from smelt.dtypes import DType, as_dtype, float32
from smelt.nn import init
from smelt.nn.checks import sizes
from smelt.nn.module import Module
from smelt.nn.parameter import Parameter
from smelt.tensor import Tensor

__all__ = ["Bilinear", "Identity", "Linear", "empty_parameter"]


def empty_parameter(*shape: int, dtype: Any = None) -> Parameter:
    """Returns a parameter of zeros (float32 when `dtype` is None), to be filled by `nn.init`."""
    kind: DType = float32 if dtype is None else as_dtype(dtype)
    return Parameter(Tensor(np.zeros(shape, kind.storage), kind))


class Linear(Module):
    """`y = x W^T + b`, applied to the last axis.

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        bias: whether b is added.
        dtype: of the parameters; float32 when None.

    Parameters: weight (out_features, in_features) and bias (out_features), both initially drawn
    from U(-r, r) with r = 1 / sqrt(in_features). Shapes: (..., in_features) -> (..., out_features).
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: Any = None
    ) -> None:
        sizes(self, in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        self.weight: Parameter = empty_parameter(out_features, in_features, dtype=dtype)
        self.bias: Parameter | None = empty_parameter(out_features, dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new initial values, as PyTorch does: kaiming_uniform with a = sqrt(5)."""
        limit = 1.0 / math.sqrt(self.in_features) if self.in_features else 0.0
        init.uniform_(self.weight, -limit, limit)
        if self.bias is not None:
            init.uniform_(self.bias, -limit, limit)

    def forward(self, x: Tensor) -> Tensor:
        """Returns `x W^T + b`."""
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"


class Bilinear(Module):
    """`y[n, o] = sum over i, j of x1[n, i] * W[o, i, j] * x2[n, j] + b[o]`.

    Args:
        in1_features: size of the last axis of the first input.
        in2_features: size of the last axis of the second input.
        out_features: size of the last axis of the output.
        bias: whether b is added.
        dtype: of the parameters; float32 when None.

    Shapes: (..., in1_features) and (..., in2_features) -> (..., out_features).
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        sizes(self, in1_features=in1_features, in2_features=in2_features, out_features=out_features)
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight: Parameter = empty_parameter(
            out_features, in1_features, in2_features, dtype=dtype
        )
        self.bias: Parameter | None = empty_parameter(out_features, dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new initial values from U(-r, r) with r = 1 / sqrt(in1_features)."""
        limit = 1.0 / math.sqrt(self.in1_features) if self.in1_features else 0.0
        init.uniform_(self.weight, -limit, limit)
        if self.bias is not None:
            init.uniform_(self.bias, -limit, limit)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Returns the bilinear form of the two inputs."""
        out, rows, columns = self.weight.shape
        left = x1 @ self.weight.permute(1, 0, 2).reshape(rows, out * columns)  # (..., out * in2)
        left = left.reshape((*x1.shape[:-1], out, columns))
        y = (left @ x2.unsqueeze(-1)).squeeze(-1)  # (..., out)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """Returns its input; a placeholder where a layer is left out. Arguments are ignored."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def forward(self, x: Any) -> Any:
        """Returns `x`."""
        return x
