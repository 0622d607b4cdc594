"""A compiled step within another one, in every way that there is to run a step: as eagerly."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import Tensor, nn, optim, tree
from smelt.errors import GradientError, SmeltError, TraceError

DATA = np.arange(1, 13, dtype=np.float32).reshape(4, 3) / 7


class World:
    """What the inner steps close over."""

    def __init__(self) -> None:
        smelt.manual_seed(0)
        self.model = nn.Linear(3, 3)
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.1)
        self.count = smelt.zeros(())
        self.weight = nn.Parameter(smelt.ones(3))

    def counted(self, x: Tensor) -> Tensor:
        self.count.copy_(self.count + 1)
        return x * self.count

    def train(self, x: Tensor) -> Tensor:
        loss = (self.model(x) ** 2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def accumulate(self, x: Tensor) -> Tensor:
        (self.weight * x.detach()).sum().backward()
        return x.sum()

    def twice(self, x: Tensor) -> Tensor:
        inner = smelt.compile(lambda x: x * 2)
        return inner(x) + inner(x + 1)

    def gradient(self, x: Tensor) -> Tensor:
        return smelt.grad(lambda a: (self.model(a) ** 2).sum())(x)

    def state(self) -> list[np.ndarray]:
        tensors = [*self.model.parameters(), self.count, self.weight, self.weight.grad]
        return [np.array(x.detach()) for x in tensors if x is not None]


INNER: dict[str, Callable[[World], Any]] = {
    "a function": lambda w: lambda x: smelt.tanh(x * 2).sum(-1),
    "a model": lambda w: w.model,
    "a counter": lambda w: w.counted,
    "a training step": lambda w: w.train,
    "gradients that stay": lambda w: w.accumulate,
    "a step of its own": lambda w: w.twice,
    "a gradient": lambda w: w.gradient,
    "random numbers": lambda w: lambda x: F.dropout(x, 0.5, True) + smelt.rand(3),
    "a loop": lambda w: lambda x: smelt.scan(lambda h, r: (h + r, h * r), x[0], x)[1],
}


class Doubled(nn.Module):
    def __init__(self, step: Any) -> None:
        super().__init__()
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        return self.step(x) * 2


def looked_at(step: Any, x: Tensor) -> Tensor:
    step(x)
    return x + (step.traces + len(step.times)) * 0


def back_and_forth(step: Any, x: Tensor) -> Any:
    y, pull = smelt.vjp(step, x)
    return y, pull(smelt.ones_like(y))


def turning(step: Any, x: Tensor, **limit: int) -> Any:
    start = smelt.zeros(()), smelt.tensor(0)
    return smelt.while_loop(
        lambda h: h[1] < 3, lambda h: (h[0] + step(x).sum(), h[1] + 1), start, **limit
    )


WAYS: dict[str, Callable[[Any, Tensor], Any]] = {
    "call": lambda s, x: s(x),
    "repeat": lambda s, x: s.repeat(3, x),
    "over": lambda s, x: s.over(x, batch_size=2),
    "epochs": lambda s, x: s.over(x, batch_size=2, epochs=2),
    "looked at": looked_at,
    "vmap": lambda s, x: smelt.vmap(s)(x[:, None]),
    "repeat in vmap": lambda s, x: smelt.vmap(lambda row: s.repeat(2, row))(x[:, None]),
    "grad": lambda s, x: smelt.grad(lambda a: s(a).sum())(x),
    "grad of grad": lambda s, x: smelt.grad(
        lambda b: (smelt.grad(lambda a: s(a).sum())(b) ** 2).sum()
    )(x),
    "grad of repeat": lambda s, x: smelt.grad(lambda a: s.repeat(2, a).sum())(x),
    "grad of over": lambda s, x: smelt.grad(lambda a: s.over(a, batch_size=2).sum())(x),
    "grad of what comes before": lambda s, x: smelt.grad(lambda w: s(x * w).sum())(x[0]),
    "jvp": lambda s, x: smelt.jvp(s, (x,), (x,)),
    "vjp": back_and_forth,
    "jacobian": lambda s, x: smelt.jacfwd(s)(x),
    "hessian": lambda s, x: smelt.hessian(lambda a: s(a).sum())(x),
    "scan": lambda s, x: smelt.scan(lambda h, r: (h + s(r[None]).sum(), h), smelt.zeros(()), x),
    "cond": lambda s, x: smelt.cond(x.sum() > 0, lambda: s(x).sum(), lambda: x.sum()),
    "while_loop": turning,
    "while_loop with a limit": lambda s, x: turning(s, x, max_steps=5),
    "checkpoint": lambda s, x: smelt.checkpoint(s, x),
    "module": lambda s, x: Doubled(s)(x),
    "compiled module": lambda s, x: smelt.compile(Doubled(s))(x),
    "compiled again": lambda s, x: smelt.compile(s)(x),
    "compiled again, repeat": lambda s, x: smelt.compile(s).repeat(2, x),
    "compiled again, over": lambda s, x: smelt.compile(s).over(x, batch_size=2),
    "without gradients": smelt.no_grad()(lambda s, x: s(x)),
    "row by row": lambda s, x: smelt.stack([s(row[None]).sum() for row in x]),
}


def outcome(inner: str, way: str, is_compiled: bool, is_within: bool) -> list[np.ndarray] | None:
    """Returns the results of two calls and the state after them; None where Smelt refuses."""
    world, x = World(), smelt.tensor(DATA)
    step = smelt.compile(INNER[inner](world))
    outer = smelt.compile(lambda x: WAYS[way](step, x)) if is_within else WAYS[way]
    arguments = (x,) if is_within else (step, x)
    with smelt.settings(compile=is_compiled), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of gradients that nobody reads
        try:
            results = [outer(*arguments) for _ in range(2)]
        except SmeltError:
            return None
    leaves = tree.flatten(results)[0]
    return [np.array(x.detach()) for x in leaves if isinstance(x, Tensor)] + world.state()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inner", INNER)
def test_a_step_within_a_step(inner: str, way: str) -> None:
    eager = outcome(inner, way, is_compiled=False, is_within=False)
    for is_within in (False, True):
        compiled = outcome(inner, way, is_compiled=True, is_within=is_within)
        if eager is None or compiled is None:
            changes = inner == "a counter" and way in ("grad of repeat", "grad of over")
            assert changes or inner in ("a training step", "gradients that stay")
            continue
        for a, b in zip(eager, compiled, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)


def test_what_has_no_derivative_says_so() -> None:
    world = World()
    step = smelt.compile(world.train)
    for derivative in (
        smelt.grad(step),
        smelt.grad(lambda x: step(x * 2)),
        smelt.grad(lambda x: step.repeat(2, x).sum()),
        smelt.grad(lambda x: step.over(x, batch_size=2).sum()),
        smelt.jacfwd(step),
        lambda x: smelt.jvp(step, (x,), (x,)),
        lambda x: step(x.requires_grad_()).backward(),
    ):
        with warnings.catch_warnings(), pytest.raises(GradientError, match="trains"):
            warnings.simplefilter("ignore")
            derivative(smelt.tensor(DATA))


def test_a_gradient_that_ends_with_the_step_is_named() -> None:
    world = World()
    step = smelt.compile(lambda x: world.train(x))
    backbone = nn.Linear(3, 3)
    with pytest.warns(UserWarning, match=r"tensor 1 of its arguments, of shape \(4, 3\)"):
        step(backbone(smelt.tensor(DATA)))

    @smelt.compile
    def adversarial(x: Tensor) -> Tensor:
        world.model(x).sum().backward()
        return x + x.grad.sign()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(backbone(smelt.tensor(DATA)).detach())
        adversarial(smelt.tensor(DATA).requires_grad_())


def test_an_order_is_not_drawn_by_the_trace() -> None:
    mean = smelt.compile(lambda x: x.mean())
    step = smelt.compile(lambda x: mean.over(x, batch_size=2, shuffle=True))
    with pytest.raises(TraceError, match="shuffle"):
        step(smelt.tensor(DATA))
