"""A2.1: gradient descent for a network, until it stands still."""

from __future__ import annotations

from itertools import pairwise

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.book.entry import Page, entry

STILL = 1e-4  # epsilon
MOST = 100_000  # turns after which we give up


@entry("A2.1", "Gradient descent for a network")
def gradient_descent(page: Page) -> None:
    """Initializes the parameters; then forward pass, loss, gradient and update,

        theta <- theta - alpha grad L(theta)

    until the step |theta' - theta| is below epsilon. A network of eight tanh units learns a
    parabola from 21 points this way.
    """
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    descent = optim.SGD(model.parameters(), lr=0.1)  # alpha
    x = smelt.linspace(-1.0, 1.0, 21).unsqueeze(1)  # (21, 1)
    y = x**2

    @smelt.compile
    def turn() -> tuple[smelt.Tensor, smelt.Tensor]:
        before = [parameter.clone() for parameter in model.parameters()]
        loss = F.mse_loss(model(x), y)
        descent.zero_grad()
        loss.backward()
        descent.step()
        steps = zip(model.parameters(), before, strict=True)
        return loss, smelt.stack([(after - old).norm() for after, old in steps]).norm()

    losses: list[float] = []
    moved = float("inf")
    while moved > STILL and len(losses) < MOST:
        loss, distance = turn()
        losses.append(loss.item())
        moved = distance.item()
    page.print(f"turn 1: loss {losses[0]:.4f}; turn {len(losses)}: loss {losses[-1]:.6f}")
    falling = all(after <= before for before, after in pairwise(losses))
    page.claim("the parameters come to rest", f"|step| <= {STILL}", moved, moved <= STILL)
    page.claim("the loss falls in every turn", True, falling, falling)
    page.claim("mean squared error", "< 0.001", losses[-1], losses[-1] < 1e-3)
