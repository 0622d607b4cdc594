"""Simplification: each rule, before and after; the same bits, also for what is special."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
from smelt.compiler.graph.simplify import simplify
from smelt.ir.graph import CONSTANT
from smelt.ops.elementwise import neg
from tests.compiler.engines import Case

SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -2.5, 1e-40, 3e38], np.float32)


def ops_of(function, *shapes: tuple[int, ...]) -> list[str]:
    """Returns the operations that are left of a function of float32 arguments."""
    arguments = [smelt.ones(*shape) for shape in shapes]
    case = Case(lambda states, given: [function(*given)], [], arguments)
    graph = simplify(case.traced.graph)
    return [node.op.name for node in graph.nodes() if node.op is not CONSTANT and node.inputs]


RULES = {
    "x * 1": (lambda x: x * 1, []),
    "1 * x": (lambda x: 1 * x, []),
    "x / 1": (lambda x: x / 1, []),
    "x - 0": (lambda x: x - 0.0, []),
    "x + 0 stays: it makes -0 to 0": (lambda x: x + 0.0, ["add"]),
    "x * 0 stays: it may be nan": (lambda x: x * 0.0, ["mul"]),
    "-(-x)": (lambda x: neg(neg(x)), []),
    "equal parts once": (lambda x: x.exp() + x.exp(), ["exp", "add"]),
    "numbers folded": (lambda x: x * (smelt.tensor(2.0) * 3 + 1), ["mul"]),
    "reshape of reshape": (lambda x: x.reshape(12).reshape(4, 3).reshape(6, 2), ["reshape"]),
    "idle reshape": (lambda x: x.reshape(3, 4), []),
    "permute of permute": (lambda x: x.T.T, []),
    "idle cast": (lambda x: x.to(smelt.float32), []),
    "broadcast inside an operation": (lambda x: x + x[:1].expand(3, 4), ["slice", "add"]),
    "f(broadcast) computed once": (
        lambda x: x[0].expand(9, 4).exp(), ["slice", "reshape", "exp", "broadcast_to"]
    ),
    "a sum over axes of 1": (lambda x: x.reshape(3, 1, 4).sum(1), ["add"]),
    "a maximum over axes of 1": (lambda x: x.reshape(3, 1, 4).amax(1), []),
    "dead code": (lambda x: (x.exp(), x + 1)[1], ["add"]),
    "transposed product": (lambda x: (x @ x.T).T, ["permute", "matmul"]),
    "transposed products that share a factor": (
        lambda x: (x.abs().T @ x).T + (x.sign().T @ x).T,
        ["permute", "abs", "matmul", "sign", "matmul", "add"],
    ),
    "nothing to compute": (lambda x: (x[:0] * 2).exp(), []),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_rule(name: str) -> None:
    function, left = RULES[name]
    assert ops_of(function, (3, 4)) == left
    x = np.random.default_rng(0).choice(SPECIAL, (3, 4)).astype(np.float32)
    if name.startswith("transposed"):
        x = np.nan_to_num(x, nan=1.0, posinf=2.0, neginf=3.0).clip(-9, 9)
    case = Case(lambda states, given: [function(given[0])], [], [smelt.tensor(x)])
    (expected,), (got,) = case.eager().outputs, case.native().outputs
    if name.startswith(("equal", "f(", "transposed")):
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        return
    np.testing.assert_array_equal(got, expected)
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(expected[known]))


def test_random_numbers_of_one_state_are_equal_and_of_two_states_are_not() -> None:
    smelt.manual_seed(0)
    step = smelt.compile(lambda: (smelt.rand(4), smelt.rand(4)))
    a, b = step()
    assert (a.numpy() != b.numpy()).all()


def test_simplifying_twice_changes_nothing() -> None:
    model = smelt.nn.Sequential(smelt.nn.Linear(4, 8), smelt.nn.GELU(), smelt.nn.LayerNorm(8))

    def function(states, given):
        loss = (model(given[0]) ** 2).mean()
        loss.backward()
        return [loss, *[p.grad for p in model.parameters()]]

    for parameter in model.parameters():
        parameter.grad = smelt.zeros(parameter.shape)
    once = simplify(Case(function, [], [smelt.ones(2, 4)]).traced.graph)
    assert len(simplify(once).nodes()) == len(once.nodes())
