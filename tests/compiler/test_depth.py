"""No depth or number of anything in a graph meets Python's stack."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest

import smelt
from smelt import Tensor, nn
from smelt.errors import ArgumentError, SmeltError

Link = Callable[[Tensor, int], Tensor]


def chain(link: Link, length: int) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        for number in range(length):
            x = link(x, number)
        return x

    return function


PROGRAMS: dict[str, Callable[[Tensor], Tensor]] = {
    "concatenation": lambda x: smelt.cat([x] * 250),
    "concatenation of results": lambda x: smelt.cat([x + i for i in range(400)], 1),
    "stack": lambda x: smelt.stack([x * i for i in range(300)], 1).sum(1),
    "gradient": smelt.grad(lambda x: (smelt.cat([x * i for i in range(200)]) ** 2).sum()),
    "sum": lambda x: sum((x * i for i in range(800)), x),
    "additions": chain(lambda x, i: x + 1.0, 2000),
    "integers": lambda x: chain(lambda y, i: (y * 3 + i) % 1000, 300)(x.to(smelt.int64)),
    "squares": lambda x: chain(lambda y, i: y * y + i, 60)(x.to(smelt.int64)) % 7,
    "choices": chain(lambda x, i: smelt.where(x > i, x + i, x * 1.5), 200),
    "reshapes": chain(lambda x, i: (x.reshape(3, 2) + 1).reshape(2, 3), 400),
    "branches": chain(lambda x, i: smelt.cond(x.sum() > 0, lambda: x + 1, lambda: x - 1), 40),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_as_eager(name: str) -> None:
    x = smelt.tensor(np.arange(6, dtype=np.float32).reshape(2, 3) + 1)
    expected = PROGRAMS[name](x)
    np.testing.assert_allclose(smelt.compile(PROGRAMS[name])(x), expected, rtol=2e-5)


def test_trees_of_any_depth() -> None:
    deep = [smelt.ones(2)]
    for _ in range(3000):
        deep = [deep]

    def total(nested: object) -> Tensor:
        while isinstance(nested, list):
            nested = nested[0]
        return nested.sum()

    assert smelt.compile(total)(deep) == 2
    gradient = smelt.grad(total)(deep)
    assert total(gradient) == 2
    assert total(smelt.vmap(total)(deep)) == 2


def test_a_long_history() -> None:
    x = smelt.ones(2, requires_grad=True)
    chain(lambda y, i: y * 1.0, 10_000)(x).sum().backward()
    assert x.grad.tolist() == [1, 1]


LONG: dict[str, Callable[[Tensor], object]] = {
    "eager": chain(lambda x, i: x * 1.0 + 0.0, 5000),
    "gradient": smelt.grad(lambda x: chain(lambda y, i: y * 1.0, 5000)(x).sum()),
    "second derivative": smelt.grad(
        lambda x: smelt.grad(lambda y: chain(lambda z, i: smelt.sin(z), 800)(y).sum())(x).sum()
    ),
    "jvp": lambda x: smelt.jvp(chain(lambda y, i: y * 1.0, 5000), (x,), (x,)),
    "vmap": smelt.vmap(chain(lambda y, i: y * 1.0, 2000)),
    "concatenation": lambda x: smelt.cat([x] * 10_000),
    "concatenation of a step": smelt.compile(lambda x: smelt.cat([x] * 10_000)),
    "many results": smelt.compile(lambda x: [x + i for i in range(1000)]),
    "a loop's long body": smelt.compile(
        lambda x: smelt.scan(lambda h, _: (chain(lambda y, i: y + 1, 1000)(h), None), x, length=2)
    ),
    "loops in loops": smelt.compile(lambda x: looped(x, 30)),
    "sequences": lambda x: nn.Sequential(*[nn.Identity() for _ in range(3000)])(x),
}


def looped(x: Tensor, depth: int) -> Tensor:
    if not depth:
        return x * 1.1
    return smelt.scan(lambda h, _: (looped(h, depth - 1), None), x, length=1)[0]


@pytest.mark.parametrize("name", LONG)
def test_long_programs_run(name: str) -> None:
    LONG[name](smelt.ones(3, 2))


def test_every_stage_of_a_long_step_is_shown() -> None:
    step = smelt.compile(chain(lambda x, i: x * 1.001, 1500))
    step(smelt.ones(2))
    assert len(step.explain("all")) > 100_000


def nested(depth: int, leaf: object) -> object:
    for _ in range(depth):
        leaf = [leaf]
    return leaf


@pytest.mark.parametrize(
    "use",
    [
        lambda data: smelt.tensor(data),
        lambda data: smelt.ones(2) + data,
        lambda data: smelt.ones(2)[data],
        lambda data: smelt.cat(data),
    ],
)
def test_lists_too_deep_for_an_array_are_refused(use: Callable[[object], object]) -> None:
    with pytest.raises(SmeltError):
        use(nested(10_000, 1.0))


class Shell(nn.Module):
    def __init__(self, core: nn.Module | None) -> None:
        super().__init__()
        self.core = core
        self.weight = nn.Parameter(smelt.ones(1))
        self.register_buffer("count", smelt.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


def test_modules_of_any_depth() -> None:
    model: nn.Module | None = None
    for _ in range(2000):
        model = Shell(model)
    assert model is not None
    assert len(list(model.parameters())) == len(list(model.modules())) == 2000
    state = model.state_dict()
    assert len(state) == 4000
    assert "core." * 1999 + "weight" in state
    model.load_state_dict(state)
    assert len(repr(model).splitlines()) == 3999
    twin = copy.deepcopy(model).eval().to(smelt.float64)
    assert next(iter(twin.parameters())) is not next(iter(model.parameters()))
    assert model.training
    visited: list[nn.Module] = []
    model.apply(visited.append)
    assert visited[-1] is model
    assert len(visited) == 2000
    step = smelt.compile(model)
    step(smelt.ones(1))
    model.core.weight.requires_grad_(False)
    step(smelt.ones(1))
    assert step.traces == 2


def test_a_module_that_contains_itself() -> None:
    model = nn.Sequential(nn.Linear(1, 1))
    model.outer = model
    assert len(list(model.modules())) == 2
    with pytest.raises(ArgumentError, match="contains itself"):
        model.state_dict()
