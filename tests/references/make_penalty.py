"""Writes penalty.npz: a gradient-penalty loss and its gradients in PyTorch, float64.

Run with a Python that has torch: python tests/references/make_penalty.py
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn


def main() -> None:
    """Trains a critic five steps on `mean(D(x)) + 10 * mean((|dD/dx| - 1)^2)` and stores it all."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    critic = nn.Sequential(
        nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 16), nn.Softplus(), nn.Linear(16, 1)
    )
    stored = {f"start.{name}": p.detach().numpy().copy() for name, p in critic.named_parameters()}
    points = torch.randn(5, 32, 3)
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.05)
    losses = []
    for number, x in enumerate(points):
        x = x.clone().requires_grad_()
        score = critic(x)
        (slope,) = torch.autograd.grad(score.sum(), x, create_graph=True)
        loss = score.mean() + 10 * ((slope.norm(dim=1) - 1) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        if number == 0:
            stored |= {f"grad.{n}": p.grad.numpy().copy() for n, p in critic.named_parameters()}
        optimizer.step()
        losses.append(loss.item())
    stored |= {f"end.{name}": p.detach().numpy() for name, p in critic.named_parameters()}
    target = Path(__file__).with_name("penalty.npz")
    np.savez_compressed(target, points=points.numpy(), losses=np.array(losses), **stored)


if __name__ == "__main__":
    main()
