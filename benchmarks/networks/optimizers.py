"""Networks for the optimizers, each of their options, schedules, clipping, and kept gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import smelt
import smelt.nn.functional as F
from networks.network import Training, labels, network, numbers, trained
from smelt import Tensor, nn, optim
from smelt.dtypes import DType
from smelt.optim import Optimizer, lr_scheduler

Make = Callable[[Any], Optimizer]
After = Callable[[Tensor], object]


def small() -> nn.Module:
    """Returns a network of 7, 9 and 3 units."""
    return nn.Sequential(nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 3))


def side_by_side(
    dtype: DType, makes: Sequence[Make], afters: Callable[[list[Optimizer]], list[After]]
) -> Training:
    """Returns the training of a small network for each optimizer; `afters` end each step."""
    model = nn.ModuleList(small() for _ in makes).to(dtype)
    optimizers = [make(network.parameters()) for make, network in zip(makes, model, strict=True)]
    ends = afters(optimizers)

    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = smelt.stack([F.cross_entropy(network(x), y) for network in model]).sum()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        for end in ends:
            end(loss)
        return loss

    arguments = numbers(dtype, 17, 7), labels(3, 17)
    return Training(step, arguments, model, tuple(optimizers))


@network("sgd-options")
def sgd(dtype: DType) -> Training:
    """SGD with each of its options."""
    options: list[dict[str, Any]] = [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01},
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
        {"momentum": 0.5, "maximize": True},
    ]
    makes = [lambda x, settings=settings: optim.SGD(x, lr=0.02, **settings) for settings in options]
    return side_by_side(dtype, makes, lambda optimizers: [])


@network("adam-options")
def adam(dtype: DType) -> Training:
    """Adam and AdamW with each of their options, and with two groups of parameters."""
    makes: list[Make] = [
        lambda x: optim.Adam(x, lr=0.01),
        lambda x: optim.Adam(x, lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
        lambda x: optim.Adam(x, lr=0.01, amsgrad=True),
        lambda x: optim.Adam(x, lr=1e-3, maximize=True),
        lambda x: optim.AdamW(x, lr=0.01, weight_decay=0.2, amsgrad=True),
        lambda x: optim.AdamW(groups(x), lr=0.01),
    ]
    return side_by_side(dtype, makes, lambda optimizers: [])


def groups(parameters: Any) -> list[dict[str, Any]]:
    """Returns weights with decay, biases with a rate of their own."""
    parameters = list(parameters)
    return [
        {"params": [x for x in parameters if x.ndim > 1]},
        {"params": [x for x in parameters if x.ndim == 1], "lr": 0.02, "weight_decay": 0.0},
    ]


@network("rmsprop-adagrad-options")
def rmsprop_and_adagrad(dtype: DType) -> Training:
    """RMSprop and Adagrad with each of their options."""
    centered = {"centered": True, "alpha": 0.98, "eps": 0.05}
    start = {"lr_decay": 0.05, "weight_decay": 0.1, "initial_accumulator_value": 0.2}
    makes: list[Make] = [
        lambda x: optim.RMSprop(x, lr=0.01),
        lambda x: optim.RMSprop(x, lr=0.005, **centered),
        lambda x: optim.RMSprop(x, lr=1e-3, momentum=0.9, weight_decay=0.1),
        lambda x: optim.RMSprop(x, lr=1e-4, momentum=0.5, maximize=True),
        lambda x: optim.Adagrad(x, lr=0.1),
        lambda x: optim.Adagrad(x, lr=0.3, **start),
        lambda x: optim.Adagrad(x, lr=1e-3, maximize=True),
    ]
    return side_by_side(dtype, makes, lambda optimizers: [])


@network("schedules")
def schedules(dtype: DType) -> Training:
    """Every schedule that is a formula of the step."""
    kinds: list[Callable[[Optimizer], Any]] = [
        lambda optimizer: lr_scheduler.StepLR(optimizer, 7, 0.5),
        lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [5, 6, 14], 0.3),
        lambda optimizer: lr_scheduler.ConstantLR(optimizer, 0.25, 9),
        lambda optimizer: lr_scheduler.LinearLR(optimizer, 0.1, 0.9, 15),
        lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.93),
        lambda optimizer: lr_scheduler.PolynomialLR(optimizer, 30, 1.7),
        lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 23, 0.01),
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda t: 0.95**t),
        lambda optimizer: lr_scheduler.SequentialLR(
            optimizer,
            [lr_scheduler.LinearLR(optimizer, 0.1), lr_scheduler.CosineAnnealingLR(optimizer, 30)],
            [8],
        ),
    ]

    def afters(optimizers: list[Optimizer]) -> list[After]:
        schedulers = [kind(optimizer) for kind, optimizer in zip(kinds, optimizers, strict=True)]
        return [lambda loss, scheduler=scheduler: scheduler.step() for scheduler in schedulers]

    return side_by_side(dtype, [lambda x: optim.SGD(x, lr=0.1)] * len(kinds), afters)


@network("cycles-and-plateaus")
def cycles(dtype: DType) -> Training:
    """OneCycleLR in its forms, with the momentum; ReduceLROnPlateau, which looks at the loss."""
    makes: list[Make] = [
        lambda x: optim.SGD(x, lr=0.1, momentum=0.9),
        lambda x: optim.Adam(x, lr=0.01),
        lambda x: optim.RMSprop(x, lr=0.01),
        lambda x: optim.SGD(x, lr=0.1),
        lambda x: optim.SGD(x, lr=0.1),
    ]

    def afters(optimizers: list[Optimizer]) -> list[After]:
        a, b, c, d, e = optimizers
        cycled = [
            lr_scheduler.OneCycleLR(a, 0.4, 60),
            lr_scheduler.OneCycleLR(b, 0.02, 60, pct_start=0.4, three_phase=True),
            lr_scheduler.OneCycleLR(
                c,
                0.02,
                epochs=6,
                steps_per_epoch=10,
                anneal_strategy="linear",
                cycle_momentum=False,
            ),
        ]
        low = lr_scheduler.ReduceLROnPlateau(d, patience=2, factor=0.5, threshold=0.05)
        high = lr_scheduler.ReduceLROnPlateau(
            e, "max", 0.3, 2, 0.05, "abs", cooldown=4, min_lr=0.01
        )
        ends: list[After] = [
            lambda loss, scheduler=scheduler: scheduler.step() for scheduler in cycled
        ]
        return [*ends, low.step, high.step]

    return side_by_side(dtype, makes, afters)


@network("clipping")
def clipping(dtype: DType) -> Training:
    """Gradients clipped by their norm, of three kinds, and by value."""
    model = nn.ModuleList(small() for _ in range(4)).to(dtype)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = smelt.stack([10.0 * F.cross_entropy(network(x), y) for network in model]).sum()
        optimizer.zero_grad()
        loss.backward()
        first, second, largest, value = (list(network.parameters()) for network in model)
        norm = optim.clip_grad_norm_(first, 1.0)
        norm = norm + optim.clip_grad_norm_(second, 1.0, norm_type=1.5)
        norm = norm + optim.clip_grad_norm_(largest, 0.1, norm_type=float("inf"))
        optim.clip_grad_value_(value, 0.05)
        norm = norm + optim.get_total_norm([x.grad for x in value])
        optimizer.step()
        return loss + norm

    return Training(step, (numbers(dtype, 17, 7), labels(3, 17)), model, (optimizer,))


@network("accumulation")
def accumulation(dtype: DType) -> Training:
    """The gradients of four parts of a batch, added up within a step."""
    model = small().to(dtype)
    optimizer = optim.AdamW(model.parameters(), lr=0.01)

    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        total = 0.0
        for rows, target in zip(x.chunk(4), y.chunk(4), strict=True):
            loss = F.cross_entropy(model(rows), target) / 4
            loss.backward()
            total = total + loss.detach()
        optimizer.step()
        return total

    return Training(step, (numbers(dtype, 20, 7), labels(3, 20)), model, (optimizer,))


@network("kept-gradients")
def kept_gradients(dtype: DType) -> Training:
    """Gradients that go on from call to call: half of each is kept for the next."""
    model = small().to(dtype)
    optimizer = optim.SGD(model.parameters(), lr=0.02)

    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        for parameter in model.parameters():
            parameter.grad = 0.5 * parameter.grad
        return loss

    return Training(step, (numbers(dtype, 17, 7), labels(3, 17)), model, (optimizer,))


@network("frozen-layers")
def frozen_layers(dtype: DType) -> Training:
    """A first layer that is frozen, and one that is trained through a frozen one."""
    model = nn.Sequential(nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 9), nn.Tanh(), nn.Linear(9, 3))
    model = model.to(dtype)
    model[0].requires_grad_(False)
    model[4].requires_grad_(False)
    model.eval()
    optimizer = optim.Adam([x for x in model.parameters() if x.requires_grad], lr=0.01)
    x, y = numbers(dtype, 17, 7), labels(3, 17)
    return trained(model, optimizer, lambda x, y: F.cross_entropy(model(x), y), x, y)
