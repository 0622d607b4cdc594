"""What a card says an element costs: passes read it there, and know no names."""

from __future__ import annotations

import pytest

import smelt
from smelt import Tensor, dtypes
from smelt.compiler.codegen.transcendental import TRANSCENDENTAL
from smelt.ir.loops import Binary, Unary, Variable, walk
from smelt.ir.operation import EXPENSIVE
from smelt.ops import elementwise
from smelt.ops.elementwise import Elementwise
from smelt.ops.op import REGISTRY

PLAIN = [
    card
    for card in REGISTRY.values()
    if type(card) is Elementwise and card.accepts in (elementwise.NUMBER, elementwise.FLOAT)
]


@pytest.mark.parametrize("card", PLAIN, ids=lambda card: card.name)
def test_a_card_is_dear_where_its_expression_takes_a_transcendental_function(
    card: Elementwise,
) -> None:
    elements = [Variable(name, dtypes.float32) for name in "ab"[: card.arity]]
    parts = walk(card.express(*elements))
    names = {part.op for part in parts if isinstance(part, (Unary, Binary))}
    assert (card.cost >= EXPENSIVE) == bool(names & TRANSCENDENTAL)


def test_what_a_card_costs_decides_what_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(x: Tensor) -> Tensor:
        y = smelt.abs(x)
        return y.sum() + (y * x).sum(0).sum()

    def temporaries() -> int:
        step = smelt.compile(twice)
        with smelt.settings(verify=True):  # what was compiled before knows nothing of a new cost
            step(smelt.ones(64, 64))
        return step.memory().arena

    cheap = temporaries()
    monkeypatch.setattr(elementwise.abs, "cost", EXPENSIVE)
    assert temporaries() >= cheap + 64 * 64 * 4


def test_what_a_card_costs_decides_what_a_loop_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(x: Tensor) -> Tensor:
        h, _ = smelt.scan(lambda h, x: (smelt.abs(h * x) * x, None), smelt.ones(3), x)
        return h.sum()

    def kept() -> int:
        step = smelt.compile(smelt.grad(loss))
        with smelt.settings(verify=True):
            step(smelt.ones(5, 3))
        return step.explain("graph").count("abs")

    assert kept() == 2  # forwards, and once more for the gradient
    monkeypatch.setattr(elementwise.abs, "cost", EXPENSIVE)
    assert kept() == 1
