"""Small programs with loops and branches, each a function of tensors, and operands for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

import smelt
from smelt import Tensor


@dataclass(frozen=True)
class Program:
    """A function of float64 tensors of the given shapes; `smooth` ones have derivatives."""

    name: str
    run: Callable[..., Sequence[Tensor]]
    shapes: tuple[tuple[int, ...], ...]
    smooth: bool = True
    reverse_mode: bool = True

    def __str__(self) -> str:
        return self.name

    def operands(self, seed: int = 0) -> list[Tensor]:
        draw = np.random.default_rng(seed)
        return [smelt.tensor(draw.standard_normal(shape)) for shape in self.shapes]


def recurrence(x: Tensor, h: Tensor, w: Tensor, b: Tensor) -> list[Tensor]:
    def body(h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        h = smelt.tanh(x + h @ w.T + b)
        return h, h * 2.0

    return list(smelt.scan(body, h, x))


def backwards(x: Tensor, h: Tensor) -> list[Tensor]:
    return list(smelt.scan(lambda h, x: (h * 0.5 + x, smelt.sin(h)), h, x, reverse=True))


def trees(x: Tensor, y: Tensor) -> list[Tensor]:
    def body(
        carry: dict[str, Tensor], given: tuple[Tensor, Tensor]
    ) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
        a, b = carry["a"], carry["b"]
        return {"a": b + given[0], "b": a * given[1]}, (a, b, a)  # the two swap

    start = {"a": smelt.ones(3, dtype=x.dtype), "b": smelt.zeros(3, dtype=x.dtype)}
    last, rows = smelt.scan(body, start, (x, y))
    return [last["a"], last["b"], *rows]


def counted(x: Tensor) -> list[Tensor]:
    def body(carry: tuple[Tensor, Tensor], _: None) -> tuple[tuple[Tensor, Tensor], Tensor]:
        i, h = carry
        return (i + 1, smelt.cos(h) + i.to(h.dtype)), i

    (i, h), numbers = smelt.scan(body, (smelt.tensor(0), x), length=4)
    return [h, i, numbers]


def nested(x: Tensor) -> list[Tensor]:
    def row(total: Tensor, xs: Tensor) -> tuple[Tensor, Tensor]:
        total, _ = smelt.scan(lambda s, x: (smelt.sin(s + x), None), total, xs)
        return total, total * total

    return list(smelt.scan(row, smelt.zeros((), dtype=x.dtype), x))


def gated(x: Tensor, h: Tensor, w: Tensor) -> list[Tensor]:
    def body(carry: tuple[Tensor, Tensor], x: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        h, c = carry
        i, f, g = (x @ w + h.repeat(1, 3)).chunk(3, 1)
        c = smelt.sigmoid(f) * c + smelt.sigmoid(i) * smelt.tanh(g)
        return (smelt.tanh(c), c), c.sum(1)

    (h, c), rows = smelt.scan(body, (h, h * 0.5), x)
    return [h, c, rows]


def chosen(x: Tensor, p: Tensor) -> list[Tensor]:
    def body(h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        h = smelt.cond(x.sum() > 0, lambda h: smelt.sin(h) + x, lambda h: h * x + p, h)
        return h, h

    return list(smelt.scan(body, p, x))


def branch(x: Tensor, p: Tensor) -> list[Tensor]:
    return list(
        smelt.cond(p > 0, lambda x: (smelt.sin(x) * p, x.sum()), lambda x: (x * x * x, p * 3.0), x)
    )


def grown(x: Tensor) -> list[Tensor]:
    def body(carry: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return carry[0] * 1.5 + smelt.abs(x), carry[1] + 1

    start = (smelt.abs(x) + 0.1, smelt.tensor(0))
    return list(smelt.while_loop(lambda carry: carry[0].sum() < 50.0, body, start))


def limited(x: Tensor) -> list[Tensor]:
    last = smelt.while_loop(
        lambda h: (h * h).sum() < 20.0, lambda h: h * 1.3 + smelt.sin(x), x, max_steps=40
    )
    return [last]


PROGRAMS = [
    Program("recurrence", recurrence, ((5, 2, 3), (2, 3), (3, 3), (3,))),
    Program("backwards", backwards, ((4, 3), (3,))),
    Program("trees", trees, ((3, 3), (3, 3))),
    Program("counted", counted, ((3,),)),
    Program("nested", nested, ((3, 4),)),
    Program("gated", gated, ((3, 2, 4), (2, 3), (4, 9))),
    Program("chosen", chosen, ((4, 3), (3,))),
    Program("branch", branch, ((3,), ())),
    Program("grown", grown, ((3,),), reverse_mode=False),
    Program("limited", limited, ((3,),)),
]
