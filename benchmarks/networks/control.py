"""Networks with loops, branches, checkpoints, and derivatives of other kinds within a step."""

from __future__ import annotations

from typing import Any

import smelt
import smelt.nn.functional as F
from networks.network import Training, labels, network, numbers, repeat, trained
from smelt import Tensor, nn, optim
from smelt.dtypes import DType


def learned(dtype: DType, *shapes: tuple[int, ...], scale: float = 0.3) -> nn.ParameterList:
    """Returns parameters of the given shapes."""
    values = [numbers(dtype, *shape, seed=10 + n, scale=scale) for n, shape in enumerate(shapes)]
    return nn.ParameterList(nn.Parameter(value) for value in values)


@network("scan")
def scan(dtype: DType) -> Training:
    """A recurrence of 40 turns, one backwards over its outputs, and one within another."""
    model = learned(dtype, (17, 17), (17,), (5, 17))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        w, b, u = model

        def turn(h: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
            h = smelt.tanh(now @ u + h @ w + b)
            return h, h

        def back(h: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
            return 0.5 * h + smelt.sin(now), h.sum(-1)

        def outer(total: Tensor, row: Tensor) -> tuple[Tensor, None]:
            inner, _ = smelt.scan(lambda s, z: (smelt.cos(s + z), None), total, row[:5])
            return inner, None

        last, every = smelt.scan(turn, smelt.zeros(9, 17, dtype=dtype), x)
        _, sums = smelt.scan(back, last, every, reverse=True)
        total, _ = smelt.scan(outer, smelt.zeros(17, dtype=dtype), every[:7])
        return F.mse_loss(last, y) + 0.01 * sums.square().mean() + total.mean()

    x, y = numbers(dtype, 40, 9, 5), numbers(dtype, 9, 17, seed=1)
    return trained(model, optimizer, loss_of, x, y)


@network("branches-and-loops", reference=False)
def branches(dtype: DType) -> Training:
    """A choice by the values, a loop until a sum is reached, and a loop of unknown length."""
    model = learned(dtype, (7, 7), (7,))
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.5)

    def loss_of(x: Tensor) -> Tensor:
        w, b = model
        z = smelt.cond(
            (x @ b).sum() > 0, lambda x: smelt.tanh(x @ w), lambda x: smelt.sin(x) + b, x
        )
        grown = smelt.while_loop(
            lambda h: (h * h).sum() < 40.0, lambda h: 1.3 * h + 0.1 * smelt.sin(h @ w), z,
            max_steps=30,
        )  # fmt: skip
        with smelt.no_grad():
            _, turns = smelt.while_loop(
                lambda carry: carry[0] > 0.01, lambda carry: (0.7 * carry[0], carry[1] + 1),
                (grown.square().mean(), smelt.tensor(0)),
            )  # fmt: skip
        return (grown - x).square().mean() + turns.to(dtype)

    return trained(model, optimizer, loss_of, numbers(dtype, 5, 7))


@network("branch-in-scan")
def branch_in_scan(dtype: DType) -> Training:
    """Turns that choose, draw random numbers and change a state outside of the loop."""
    model = learned(dtype, (7, 7), (7,))
    count = smelt.zeros(7, dtype=dtype)
    optimizer = optim.SGD(model.parameters(), lr=0.01)

    def loss_of(x: Tensor) -> Tensor:
        w, b = model

        def turn(h: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
            h = (
                F.dropout(h, 0.2)
                - 0.1 * h.detach()
                + smelt.cond(
                    now.sum() > 0, lambda h: smelt.tanh(h @ w + now), lambda h: smelt.sin(h) + b, h
                )
            )
            with smelt.no_grad():
                count.copy_(count + (h > 0).to(dtype).mean(0))
            return h, h.square().mean()

        _, losses = smelt.scan(turn, smelt.ones(5, 7, dtype=dtype), x)
        return losses.mean() + 1e-3 * count.mean()

    return trained(model, optimizer, loss_of, numbers(dtype, 11, 5, 7))


@network("checkpoint")
def checkpoint(dtype: DType) -> Training:
    """Blocks that are computed again for their gradient, with dropout and batch norm in them."""
    blocks = [
        nn.Sequential(nn.Linear(33, 33), nn.BatchNorm1d(33), nn.GELU(), nn.Dropout(0.2))
        for _ in range(3)
    ]
    model = nn.Sequential(*blocks, nn.Linear(33, 5)).to(dtype)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        for block in list(model)[:3]:
            x = x + smelt.checkpoint(block, x)
        return F.cross_entropy(model[3](x), y)

    return trained(model, optimizer, loss_of, numbers(dtype, 65, 33), labels(5, 65))


@network("gradients-of-samples")
def gradients_of_samples(dtype: DType) -> Training:
    """`vmap` of `grad`: each sample's gradient is clipped by itself before the mean is taken."""
    model = learned(dtype, (7, 9), (9, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.5)

    def loss_of(weights: Any, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(smelt.tanh(x @ weights[0]) @ weights[1], y)

    def step(x: Tensor, y: Tensor) -> Tensor:
        each = smelt.vmap(smelt.value_and_grad(loss_of), in_axes=(None, 0, 0))
        losses, gradients = each(tuple(model), x, y)
        with smelt.no_grad():
            length = smelt.sqrt(sum(g.square().flatten(1).sum(1) for g in gradients))
            share = smelt.minimum(1.0, 0.5 / length)
            for weight, g in zip(model, gradients, strict=True):
                weight.grad = (g * share.reshape(-1, 1, 1)).mean(0)
        optimizer.step()
        return losses.mean()

    return Training(step, (numbers(dtype, 17, 7), labels(3, 17)), model, (optimizer,))


@network("derivatives")
def derivatives(dtype: DType) -> Training:
    """A network that solves u'' = -u: `jvp` of `jvp`, with `vjp`, Jacobians and a Hessian aside."""
    model = learned(dtype, (1, 17), (17,), (17, 1))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    def solution(x: Tensor) -> Tensor:
        a, b, c = model
        return smelt.tanh(x @ a + b) @ c

    def loss_of(x: Tensor) -> Tensor:
        ones = smelt.ones_like(x)

        def slope(x: Tensor) -> Tensor:
            return smelt.jvp(solution, (x,), (ones,))[1]

        u, bend = solution(x), smelt.jvp(slope, (x,), (ones,))[1]
        _, pullback = smelt.vjp(solution, x)
        (gradient,) = pullback(u)
        some = x[:3]
        difference = smelt.jacrev(solution)(some) - 0.5 * smelt.jacfwd(solution)(some)
        curved = smelt.hessian(lambda x: solution(x).square().sum())(some)
        terms = bend + u, 0.1 * gradient, 0.1 * difference, 0.1 * curved
        return sum(term.square().mean() for term in terms)

    return trained(model, optimizer, loss_of, numbers(dtype, 33, 1))


@network("derivatives-of-loops", reference=False)
def derivatives_of_loops(dtype: DType) -> Training:
    """`vmap` and `jvp` of a scan with branches in it, and of a loop of unknown length."""
    model = learned(dtype, (7, 7), (7,))
    optimizer = optim.SGD(model.parameters(), lr=0.01)

    def loss_of(x: Tensor) -> Tensor:
        w, b = model
        fixed = w.detach()

        def turn(h: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
            h = smelt.cond(
                now.sum() > 0, lambda h: smelt.tanh(h @ w + now), lambda h: smelt.sin(h) * b, h
            )
            return h, h.sum()

        def chain(rows: Tensor) -> Tensor:
            last, sums = smelt.scan(turn, rows[0], rows)
            return last.square().sum() + sums.mean()

        def grown(row: Tensor) -> Tensor:
            return smelt.while_loop(
                lambda h: (h * h).sum() < 30.0, lambda h: 1.3 * h + 0.1 * smelt.sin(h @ fixed), row
            )

        each = smelt.vmap(chain)(x)
        _, along = smelt.jvp(chain, (x[0],), (x[1],))
        _, grows = smelt.jvp(grown, (x[2, 0],), (x[3, 0],))
        ends = smelt.vmap(grown)(x[:, 1])
        return each.mean() + along.square() + grows.detach().mean() + ends.detach().mean()

    return trained(model, optimizer, loss_of, numbers(dtype, 5, 11, 7))


@network("inner-training", run=repeat)
def inner_training(dtype: DType) -> Training:
    """Learning to learn: a scan of five steps of descent, differentiated, by `repeat`."""
    model = learned(dtype, (3, 9), (9, 1))
    optimizer = optim.Adam(model.parameters(), lr=1e-2)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        def fit(weights: Any) -> Tensor:
            return F.mse_loss(smelt.tanh(x @ weights[0]) @ weights[1], y)

        def descend(weights: Any, _: None) -> tuple[Any, None]:
            slopes = smelt.grad(fit)(weights)
            return tuple(w - 0.1 * g for w, g in zip(weights, slopes, strict=True)), None

        last, _ = smelt.scan(descend, tuple(model), length=5)
        return fit(last)

    return trained(model, optimizer, loss_of, numbers(dtype, 17, 3), numbers(dtype, 17, 1, seed=1))
