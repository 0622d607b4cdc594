"""Movements of movements: composed once, or stored, so that a chain costs what its links cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import smelt
from smelt.ir.loops import Expression, Load, Select, walk
from smelt.ir.visit import expressions
from smelt.nn import functional as F
from tests.compiler.engines import Case

Function = Callable[..., smelt.Tensor]


def rolled(x: smelt.Tensor, links: int) -> smelt.Tensor:
    for _ in range(links):
        x = smelt.roll(x, 1, 1)
    return x


def rotated(x: smelt.Tensor, links: int) -> smelt.Tensor:
    for _ in range(links):
        x = smelt.cat([x[:, 3:], x[:, :3]], 1)
    return x


def rolled_both_ways(x: smelt.Tensor, links: int) -> smelt.Tensor:
    for link in range(links):
        x = smelt.roll(x, 1, link % 2)
    return x


def rolled_sums(x: smelt.Tensor, links: int) -> smelt.Tensor:
    for _ in range(links):
        x = x + smelt.roll(x, 1, 1)
    return x


def shuffled(x: smelt.Tensor, links: int) -> smelt.Tensor:
    for _ in range(links):
        x = smelt.cat([x[:, ::2], x[:, 1::2]], 1)
    return x


def window(x: smelt.Tensor, links: int) -> smelt.Tensor:
    for link in range(links):
        x = smelt.cat([x[:, 1:], smelt.exp(x[:, :1] * link)], 1)
    return x


def padded(x: smelt.Tensor, links: int) -> smelt.Tensor:
    for _ in range(links):
        x = F.pad(x, (1, 0))[:, :-1] + x
    return x


def gradient_of_rolls(x: smelt.Tensor, links: int) -> smelt.Tensor:
    return smelt.grad(lambda x: (rolled(x, links) ** 3).sum())(x)


CHAINS = {
    function.__name__: function
    for function in (
        rolled, rotated, rolled_both_ways, rolled_sums, shuffled, window, padded,
        gradient_of_rolls,
    )
}  # fmt: skip


def case_of(function: Function, *shapes: tuple[int, ...]) -> Case:
    random = np.random.default_rng(0)
    arguments = [smelt.tensor(random.standard_normal(shape)) for shape in shapes]
    return Case(lambda states, given: [function(*given)], [], arguments)


def parts(case: Case, kernel: int | None = None) -> Iterator[Expression]:
    """Yields all that the plain loops compute, or those of one kernel."""
    kernels = case.stages.lowered.kernels
    for one in kernels if kernel is None else [kernels[kernel]]:
        for expression in expressions(one.body):
            yield from walk(expression)


def reads(case: Case) -> int:
    """Returns how many loads the kernels of plain loops have."""
    return sum(isinstance(part, Load) for part in parts(case))


def same(case: Case) -> None:
    for got in (case.native(), case.interpreted(case.stages.program)):
        for one, expected in zip(got.outputs, case.eager().outputs, strict=True):
            np.testing.assert_allclose(one, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_of_movements_is_read_in_proportion_to_its_links(name: str) -> None:
    chain = CHAINS[name]
    cases = {n: case_of(lambda x, n=n: chain(x, n), (4, 16)) for n in (8, 16, 32, 64)}
    same(cases[8])
    costs = {n: reads(case) for n, case in cases.items()}
    assert costs[64] - costs[32] <= 2.5 * (costs[32] - costs[16]) + 8, costs
    assert costs[64] <= 12 * 64, costs


COMPOSED = {
    "a roll": (lambda x: rolled(x, 5), ["slice", "slice", "concatenate"]),
    "a rotation": (lambda x: rotated(x, 7), ["slice", "slice", "concatenate"]),
    "all the way round": (lambda x: rolled(x, 16), []),
    "a part of a part": (lambda x: x[:, 2:][1:, ::3][1:], ["slice"]),
    "one of several joined": (lambda x: smelt.cat([x, x + 1, x * 2], 0)[4:8], ["add"]),
    "a part that lies in two": (
        lambda x: smelt.cat([x, x * 2], 0)[2:6], ["mul", "concatenate", "slice"]
    ),
    "what was taken apart": (lambda x: smelt.stack([x[0], x[1], x[2], x[3]]), []),
    "neighbors": (lambda x: smelt.cat([x[:, :2], x[:, 2:5]], 1), ["slice"]),
    "every second one, and the others": (
        lambda x: smelt.cat([x[:, ::2], x[:, 1::2]], 1)[:, 4:], ["slice", "slice", "concatenate"]
    ),
    "flipped twice": (lambda x: x.flip(0).flip((0, 1)), ["flip"]),
    "flipped and back": (lambda x: x.flip((0, 1)).flip(1).flip(0), []),
    "nothing beside something": (lambda x: smelt.cat([x[:0], x, x[:0]], 0), []),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPOSED)
def test_what_is_composed(name: str) -> None:
    function, left = COMPOSED[name]
    case = case_of(function, (4, 16))
    nodes = case.stages.simplified.nodes()
    assert [node.op.name for node in nodes if node.inputs] == left
    same(case)


def test_what_others_read_of_a_concatenation_is_not_stored_beside_it() -> None:
    def function(x: smelt.Tensor) -> smelt.Tensor:
        joined = smelt.cat([smelt.exp(x), x], 1)
        return (joined[:, :32] * 2) @ joined

    case = case_of(function, (32, 32))
    stored = [group.members[0].op.name for group in case.stages.fused.groups]
    assert stored == ["concatenate", "mul", "matmul"]
    same(case)


OPERANDS: dict[str, Function] = {
    "stack": lambda x, w: smelt.stack([x, x * 2, x], 1).reshape(96, 32) @ w,
    "cat": lambda x, w: smelt.cat([x, w], 1)[:, 16:48] @ w,
    "on the right": lambda x, w: w @ smelt.cat([x[:, 1:], x[:, :1]], 1),
    "transposed": lambda x, w: w @ smelt.cat([x, w], 0)[:32].T,
    "padded": lambda x, w: F.pad(x, (0, 0, 1, 1)) @ w,
    "of a convolution": lambda x, w: F.conv2d(
        F.pad(x.reshape(1, 1, 32, 32), (2, 2, 2, 2), mode="reflect"), w.reshape(1, 1, 32, 32)
    ),
    "padded, of a convolution": lambda x, w: F.conv2d(
        F.pad(x.reshape(1, 1, 32, 32), (2, 2, 2, 2)), w.reshape(1, 1, 32, 32)
    ),
}


@pytest.mark.parametrize("name", OPERANDS)
def test_a_factor_that_must_be_chosen_or_padded_is_stored(name: str) -> None:
    case = case_of(OPERANDS[name], (32, 32), (32, 32))
    assert [group.members[0].op.name for group in case.stages.fused.groups][-1] in (
        "matmul", "convolution"
    )  # fmt: skip
    assert not any(isinstance(part, Select) for part in parts(case, -1))
    same(case)
