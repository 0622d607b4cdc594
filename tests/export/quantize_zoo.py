"""Networks to be quantized; their normalization statistics are not those of a start."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn


class Residual(nn.Module):
    """A block of a ResNet: two convolutions, and what goes around them."""

    def __init__(self) -> None:
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.first = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(8)
        self.shortcut = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        x = F.relu(self.stem(x))
        y = self.norm2(self.second(F.relu(self.norm1(self.first(x)))))
        y = F.relu(y + self.shortcut(x))
        return self.head(F.adaptive_avg_pool2d(y, 1).flatten(1))


class Branches(nn.Module):
    """Several readers of one tensor: concatenation, differences, products, functions."""

    def __init__(self) -> None:
        self.a, self.b = nn.Linear(6, 8), nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(16)
        self.head = nn.Linear(16, 4)

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        a, b = self.a(x), F.leaky_relu(self.b(x))
        gated = a * F.sigmoid(b) - 0.5 * b
        y = smelt.cat([gated, F.gelu(a)], 1)
        y = self.norm(y[:, ::2].repeat(1, 2)) + smelt.amax(y, 1, keepdim=True)
        return self.head(F.hardswish(y))


class Attention(nn.Module):
    """A product of two activations, and one with a constant on the left."""

    def __init__(self) -> None:
        self.query, self.key = nn.Linear(4, 6), nn.Linear(4, 6)
        self.register_buffer("mixing", smelt.randn(3, 5))

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        scores = self.query(x) @ self.key(x).mT / 6**0.5
        return self.mixing @ F.tanh(scores)


def _pooled(pool: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU6(), pool)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "perceptron": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 5)),
        (3, 4),
    ),
    "normalized": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 6, 3, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.BatchNorm1d(54),
            nn.Linear(54, 7),
        ),
        (2, 8, 8),
    ),
    "separable": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU6(),
            nn.Conv2d(8, 12, 1, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(12, 4),
        ),
        (1, 9, 9),
    ),
    "dilated": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 8, 3, stride=(2, 1), padding=(2, 3), dilation=(2, 3), groups=2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(8, 4, (1, 3), groups=4, bias=False),
        ),
        (4, 9, 10),
    ),
    "signal": (
        lambda: nn.Sequential(
            nn.Conv1d(3, 8, 5, stride=2, padding=2),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.MaxPool1d(3, 2, padding=1),
            nn.Conv1d(8, 8, 3, dilation=2, padding="same", groups=8),
            nn.ELU(),
            nn.AvgPool1d(2),
            nn.Flatten(),
            nn.Linear(40, 6),
        ),
        (3, 40),
    ),
    "average": (lambda: _pooled(nn.AvgPool2d(2)), (2, 8, 8)),
    "overlapping average": (lambda: _pooled(nn.AvgPool2d(3, 2, padding=1)), (2, 8, 8)),
    "average of what is there": (
        lambda: _pooled(nn.AvgPool2d(3, 2, padding=1, count_include_pad=False)),
        (2, 8, 8),
    ),
    "adaptive average": (lambda: _pooled(nn.AdaptiveAvgPool2d((3, 5))), (2, 8, 8)),
    "adaptive maximum": (lambda: _pooled(nn.AdaptiveMaxPool2d((3, 5))), (2, 8, 8)),
    "large maximum": (lambda: _pooled(nn.MaxPool2d(5, 2, padding=2)), (2, 8, 8)),
    "residual": (Residual, (1, 8, 8)),
    "branches": (Branches, (6,)),
    "attention": (Attention, (5, 4)),
}


def network(name: str) -> nn.Module:
    """Returns a network whose running statistics and affine parameters are not 0 and 1."""
    smelt.manual_seed(len(name))
    model = NETWORKS[name][0]()
    random = np.random.default_rng(len(name))
    with smelt.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                for tensor, low in ((module.running_mean, -0.5), (module.running_var, 0.3)):
                    tensor.copy_(random.uniform(low, 0.8, tensor.shape).astype(np.float32))
                for tensor in (module.weight, module.bias):
                    tensor.copy_(random.normal(0.5, 0.5, tensor.shape).astype(np.float32))
    return model


def samples(name: str, count: int, seed: int = 0) -> np.ndarray:
    """Returns inputs of a network."""
    shape = (count, *NETWORKS[name][1])
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
