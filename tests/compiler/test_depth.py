"""No depth or number of anything in a graph meets Python's stack."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import smelt
from smelt import Tensor

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
