"""Losses, optimizers, schedules and clipping for random steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import smelt
from smelt import nn, optim
from smelt.nn import functional as F
from tests.compiler.random_draws import Draws

Tensors = list[smelt.Tensor]


@dataclass
class Loss:
    """A loss: its name, what it computes of the output and the targets, and what targets are.

    A target is the name of what it holds ("normal", "signs", "labels", ...) and its shape.
    """

    text: str
    function: Callable[..., smelt.Tensor]
    targets: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)


def target_array(draws: Draws, kind: str, shape: tuple[int, ...], classes: int) -> np.ndarray:
    """Returns the numbers of a target."""
    if kind == "labels":
        return np.asarray(draws.random.integers(0, classes, shape))
    if kind == "some labels":  # most of them are counted
        labels = draws.random.integers(0, classes, shape)
        return np.where(
            draws.mask(*shape, share=0.2) & (labels.cumsum().reshape(shape) > 0), -100, labels
        )
    if kind == "signs":
        return np.where(draws.mask(*shape), 1.0, -1.0).astype(np.float32)
    if kind == "shares":  # of 1, along the classes
        powers = np.exp(draws.normal(*shape))
        return (powers / powers.sum(1, keepdims=True)).astype(np.float32)
    if kind == "unit":
        return draws.random.random(shape).astype(np.float32)
    if kind == "positive":
        return (draws.random.random(shape) + 0.2).astype(np.float32)
    return draws.normal(*shape)


def a_loss(draws: Draws, y: smelt.Tensor) -> Loss:
    """Returns a loss for outputs like y."""
    name = draws.of(*LOSSES)
    reduction = draws.of("mean", "mean", "sum", "none")
    loss = LOSSES[name](draws, y.shape, reduction)
    loss.text = f"{name}({loss.text}), {reduction}"
    if reduction == "none":
        inner = loss.function
        loss.function = lambda y, *targets: weighted(inner(y, *targets))
    if reduction == "sum":
        summed, share = loss.function, 1.0 / max(y.size, 1)
        loss.function = lambda y, *targets: summed(y, *targets) * share
    return loss


def weighted(losses: smelt.Tensor) -> smelt.Tensor:
    """Returns the mean of losses, each with a weight of its own."""
    weights = smelt.linspace(0.5, 1.5, max(losses.size, 1)).reshape(losses.shape)
    return (losses * weights.to(losses.dtype)).mean()


def same_shape(function: Callable[..., Any], kind: str = "normal", **options: Any) -> Any:
    """Returns how a loss of one target in the output's shape is made."""

    def made(draws: Draws, shape: tuple[int, ...], reduction: str) -> Loss:
        chosen = {name: draws.of(*values) for name, values in options.items()}
        text = ", ".join(f"{name}={value}" for name, value in chosen.items())
        return Loss(
            text, lambda y, t: function(y, t, reduction=reduction, **chosen), [(kind, shape)]
        )

    return made


def classes(draws: Draws, shape: tuple[int, ...], reduction: str) -> Loss:
    smoothing, weight = draws.of(0.0, 0.1), draws.chance(0.4)
    weights = np.abs(draws.normal(shape[1])) + 0.1
    kind = draws.of("labels", "some labels", "shares")
    own = shape if kind == "shares" else (shape[0], *shape[2:])

    def run(y: smelt.Tensor, target: smelt.Tensor) -> smelt.Tensor:
        given = smelt.tensor(weights).to(y.dtype) if weight else None
        return F.cross_entropy(y, target, given, reduction=reduction, label_smoothing=smoothing)

    return Loss(f"{kind}, weight={weight}, smoothing={smoothing}", run, [(kind, own)])


def log_likelihood(draws: Draws, shape: tuple[int, ...], reduction: str) -> Loss:
    kind = draws.of("labels", "some labels")

    def run(y: smelt.Tensor, target: smelt.Tensor) -> smelt.Tensor:
        return F.nll_loss(F.log_softmax(y, 1), target, reduction=reduction)

    return Loss(kind, run, [(kind, (shape[0], *shape[2:]))])


def divergence(draws: Draws, shape: tuple[int, ...], reduction: str) -> Loss:
    log_target = draws.chance(0.3)
    own = "batchmean" if reduction == "mean" else reduction

    def run(y: smelt.Tensor, target: smelt.Tensor) -> smelt.Tensor:
        target = smelt.log(target) if log_target else target
        return F.kl_div(F.log_softmax(y, 1), target, own, log_target)

    return Loss(f"{own}, log_target={log_target}", run, [("shares", shape)])


def binary(draws: Draws, shape: tuple[int, ...], reduction: str) -> Loss:
    weights = np.abs(draws.normal(shape[-1])) if draws.chance(0.4) else None
    logits, positive = draws.chance(0.6), draws.chance(0.4)

    def run(y: smelt.Tensor, target: smelt.Tensor) -> smelt.Tensor:
        given = None if weights is None else smelt.tensor(weights).to(y.dtype)
        if not logits:
            return F.binary_cross_entropy(F.sigmoid(y), target, given, reduction)
        more = given if positive else None
        return F.binary_cross_entropy_with_logits(y, target, given, reduction, more)

    text = f"logits={logits}, weight={weights is not None}, pos_weight={positive}"
    return Loss(text, run, [("unit", shape)])


def gaussian(draws: Draws, shape: tuple[int, ...], reduction: str) -> Loss:
    full = draws.chance()

    def run(y: smelt.Tensor, target: smelt.Tensor) -> smelt.Tensor:
        spread = F.softplus(y.sin()) + 0.1
        return F.gaussian_nll_loss(y, target, spread, full, reduction=reduction)

    return Loss(f"full={full}", run, [("normal", shape)])


def poisson(draws: Draws, shape: tuple[int, ...], reduction: str) -> Loss:
    logarithm = draws.chance()

    def run(y: smelt.Tensor, target: smelt.Tensor) -> smelt.Tensor:
        y = smelt.tanh(y) if logarithm else F.softplus(y)
        return F.poisson_nll_loss(y, target, logarithm, reduction=reduction)

    return Loss(f"log_input={logarithm}", run, [("positive", shape)])


def cosine(draws: Draws, shape: tuple[int, ...], reduction: str) -> Loss:
    margin = draws.of(0.0, 0.2)

    def run(y: smelt.Tensor, other: smelt.Tensor, signs: smelt.Tensor) -> smelt.Tensor:
        return F.cosine_embedding_loss(y + 0.1, other, signs, margin, reduction)

    return Loss(f"margin={margin}", run, [("normal", shape), ("signs", shape[:-1])])


def ranking(draws: Draws, shape: tuple[int, ...], reduction: str) -> Loss:
    def run(y: smelt.Tensor, other: smelt.Tensor, signs: smelt.Tensor) -> smelt.Tensor:
        return F.margin_ranking_loss(y, other, signs, 0.3, reduction)

    return Loss("margin=0.3", run, [("normal", shape), ("signs", shape)])


def triplet(draws: Draws, shape: tuple[int, ...], reduction: str) -> Loss:
    power = draws.of(1.0, 2.0, 3.0)

    def run(y: smelt.Tensor, near: smelt.Tensor, far: smelt.Tensor) -> smelt.Tensor:
        return F.triplet_margin_loss(y, near, far, 0.5, power, reduction=reduction)

    return Loss(f"p={power}", run, [("normal", shape), ("normal", shape)])


def own_measure(draws: Draws, shape: tuple[int, ...], reduction: str) -> Loss:
    """A loss without a target."""
    measures: dict[str, Callable[[smelt.Tensor], smelt.Tensor]] = {
        "norm": lambda y: y.square().mean().add(0.1).sqrt(),
        "logsumexp": lambda y: smelt.logsumexp(y, -1).mean(),
        "var": lambda y: y.var(0, 0).mean(),
        "similarity": lambda y: F.cosine_similarity(y + 0.1, y.cos(), 1, 0.1).mean(),
        "amax": lambda y: y.amax(-1).mean() - y.amin(0).mean(),
    }
    name = draws.of(*measures)
    return Loss(name, measures[name])


LOSSES: dict[str, Callable[[Draws, tuple[int, ...], str], Loss]] = {
    "mse": same_shape(F.mse_loss), "l1": same_shape(F.l1_loss),
    "squared error": same_shape(F.squared_error),
    "huber": same_shape(F.huber_loss, delta=(0.5, 1.0)),
    "smooth l1": same_shape(F.smooth_l1_loss, beta=(0.0, 0.5, 1.0)),
    "hinge": same_shape(F.hinge_loss, "signs"),
    "soft margin": same_shape(F.soft_margin_loss, "signs"),
    "hinge embedding": same_shape(F.hinge_embedding_loss, "signs", margin=(0.5, 1.0)),
    "cross entropy": classes, "cross entropy again": classes, "nll": log_likelihood,
    "divergence": divergence, "binary": binary, "gaussian": gaussian, "poisson": poisson,
    "cosine": cosine, "ranking": ranking, "triplet": triplet, "measure": own_measure,
}  # fmt: skip

# --- optimizers -----------------------------------------------------------------------------------


def an_optimizer(draws: Draws, parameters: list[nn.Parameter]) -> optim.Optimizer:
    """Returns an optimizer with one or two groups of the parameters."""
    kind = draws.of(optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad)
    options = {"lr": draws.of(0.003, 0.01, 0.03), "weight_decay": draws.of(0.0, 0.0, 0.05)}
    options["maximize"] = draws.chance(0.1)
    options |= OPTIONS[kind](draws)
    groups: list[dict[str, Any]] = [{"params": parameters}]
    if len(parameters) > 1 and draws.chance(0.3):
        cut = draws.number(1, len(parameters) - 1)
        groups = [{"params": parameters[:cut]}, {"params": parameters[cut:], "lr": 0.02}]
        groups[0]["weight_decay"] = draws.of(0.0, 0.1)
    return kind(groups, **options)


def _momentum(draws: Draws) -> dict[str, Any]:
    momentum = draws.of(0.0, 0.5, 0.9)
    if momentum and draws.chance():
        return {"momentum": momentum, "nesterov": True}
    return {"momentum": momentum, "dampening": draws.of(0.0, 0.3)}


def _moments(draws: Draws) -> dict[str, Any]:
    betas = draws.of((0.9, 0.999), (0.5, 0.9), (0.0, 0.9))
    return {"betas": betas, "eps": draws.of(1e-5, 1e-3), "amsgrad": draws.chance(0.3)}


def _averages(draws: Draws) -> dict[str, Any]:
    options = {"alpha": draws.of(0.9, 0.99), "momentum": draws.of(0.0, 0.9)}
    return {**options, "eps": draws.of(1e-4, 1e-3), "centered": draws.chance(0.3)}


def _sums(draws: Draws) -> dict[str, Any]:
    options = {"lr_decay": draws.of(0.0, 0.1), "eps": draws.of(1e-4, 1e-3)}
    return {**options, "initial_accumulator_value": draws.of(0.0, 0.1)}


OPTIONS: dict[Any, Callable[[Draws], dict[str, Any]]] = {
    optim.SGD: _momentum, optim.Adam: _moments, optim.AdamW: _moments, optim.RMSprop: _averages,
    optim.Adagrad: _sums,
}  # fmt: skip


def a_schedule(draws: Draws, optimizer: optim.Optimizer) -> Any:
    """Returns a learning-rate schedule."""
    rates = optim.lr_scheduler
    kinds: tuple[Callable[[], Any], ...] = (
        lambda: rates.StepLR(optimizer, draws.number(1, 2), 0.5),
        lambda: rates.MultiStepLR(optimizer, [1, 2], 0.3),
        lambda: rates.ConstantLR(optimizer, 0.5, 2),
        lambda: rates.LinearLR(optimizer, 0.3, 1.0, 3),
        lambda: rates.ExponentialLR(optimizer, 0.9),
        lambda: rates.PolynomialLR(optimizer, 4, 1.5),
        lambda: rates.CosineAnnealingLR(optimizer, 5, 1e-3),
        lambda: rates.LambdaLR(optimizer, lambda t: 1 / (1 + t)),
        lambda: rates.OneCycleLR(optimizer, 0.02, 8, cycle_momentum=False),
        lambda: rates.ReduceLROnPlateau(optimizer, patience=0, factor=0.5),
        lambda: rates.SequentialLR(
            optimizer, [rates.LinearLR(optimizer, 0.5, 1.0, 2), rates.StepLR(optimizer, 1)], [1]
        ),
    )
    return draws.of(*kinds)()


def a_clipping(draws: Draws) -> tuple[str, Callable[[Iterable[nn.Parameter]], Any]]:
    """Returns how gradients are clipped, in words and as a function."""
    limit = draws.of(0.01, 0.1, 1.0)
    if draws.chance(0.3):
        return f"by value {limit}", lambda all: optim.clip_grad_value_(all, limit)
    power = draws.of(2.0, 2.0, 1.0, 3.0, float("inf"))
    return f"by {power}-norm {limit}", lambda all: optim.clip_grad_norm_(all, limit, power)
