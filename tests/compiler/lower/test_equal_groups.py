"""Equal groups are lowered once, whatever their number; what differs has a kernel of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import smelt
from smelt import Tensor
from smelt.compiler.lower import lower
from tests.compiler.engines import Case, numbers

RANDOM = np.random.default_rng(0)


def drawn(*shape: int) -> Tensor:
    return smelt.tensor(RANDOM.standard_normal(shape).astype(np.float32))


def layers(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
    """Perceptrons with a normalization, and a step of each weight."""
    (x,) = given
    for weight in states:
        x = smelt.tanh(x @ weight) + 1.0
        x = (x - x.mean(dim=1, keepdim=True)) / (x.var(dim=1, keepdim=True) + 1e-5).sqrt()
    for weight in states:
        weight.copy_(weight * 0.9 - (x.T @ x) * 0.01)
    return [x]


def scaled(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
    return [smelt.exp(x * factor).sum(dim=0) for x in given for factor in (2.0, 3.0, 2.0)]


def axes(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
    return [(x * 2.0).sum(dim=dim) for x in given for dim in (0, 1, 0)]


def operands(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
    x, y = given
    return [x @ x, x @ y, y @ x, y @ y, (x @ y) * x, (x @ y) * y]


def updates(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
    """The same sum written over an operand, over the other one, and to a place of its own."""
    (x, y), (z, _) = states, given
    third = (x * 0.5 + y).cumsum(dim=0)
    x.copy_(z.cumsum(dim=0) + x)
    y.copy_((x * 0.5 + y).cumsum(dim=0) + y)
    return [third]


def draws(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
    return [smelt.rand(5, 3) * x[:5, :3] for x in (*given, *given)]


def parts(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
    x, y = given
    return [smelt.exp(a[n : n + 3]).cumsum(dim=0) for a in (x, y) for n in (0, 2, 4)]


def narrow(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
    kinds = (smelt.float32, smelt.float64, smelt.bfloat16, smelt.float32)
    return [(x.to(kind) * 3).sum(dim=0) for x in given for kind in kinds]


CASES: dict[str, Callable[[list[Tensor], list[Tensor]], list[Tensor]]] = {
    one.__name__: one for one in (layers, scaled, axes, operands, updates, draws, parts, narrow)
}


@pytest.mark.parametrize("name", CASES)
def test_engines_agree(name: str) -> None:
    states, given = [drawn(8, 8), drawn(8, 8)], [drawn(8, 8), drawn(8, 8)]

    def case() -> Case:
        smelt.manual_seed(0)
        return Case(CASES[name], states, given[:1] if name == "layers" else given)

    expected = case().eager()
    compiled = case()
    programs = compiled.stages.lowered, compiled.stages.program
    for ran in (*map(compiled.interpreted, programs), compiled.native()):
        pairs = [*zip(ran.outputs, expected.outputs, strict=True)]
        pairs += [*zip(ran.states, expected.states, strict=True)]
        for node, (got, reference) in zip(compiled.traced.graph.outputs, pairs, strict=False):
            np.testing.assert_allclose(
                numbers(got, node.dtype), numbers(reference, node.dtype), rtol=1e-4, atol=1e-4
            )


def test_the_number_of_layers_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    lowered = lower.lower_group
    counts = []
    for depth in (5, 10):
        seen: list[object] = []

        def counted(planned, group, seen=seen):  # type: ignore[no-untyped-def]
            seen.append(group)
            return lowered(planned, group)

        monkeypatch.setattr(lower, "lower_group", counted)
        stages = Case(layers, [drawn(8, 8) for _ in range(depth)], [drawn(4, 8)]).stages
        assert len(stages.fused.groups) > 2 * depth
        counts.append(len(seen))
    assert counts[0] == counts[1] < 12


def sums(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
    """Four kinds of running sums over two arguments: an axis and a factor each."""
    return [(x * factor).cumsum(dim=dim) for x in given for factor in (2.0, 3.0) for dim in (0, 1)]


def test_what_differs_is_lowered_apart() -> None:
    stages = Case(sums, [], [drawn(8, 8), drawn(8, 8)]).stages
    assert len(stages.fused.groups) == 8
    assert len(stages.lowered.kernels) == 4
