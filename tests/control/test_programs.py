"""Loops and branches mean the same eagerly, interpreted and compiled; so do their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import Tensor, dtypes, tree
from tests.compiler.engines import Case
from tests.control.programs import PROGRAMS, Program

every_program = pytest.mark.parametrize("program", PROGRAMS, ids=str)
every_reverse = pytest.mark.parametrize(
    "program", [one for one in PROGRAMS if one.reverse_mode], ids=str
)


def loss_of(program: Program) -> Callable[..., Tensor]:
    """Returns a function to one number that weighs every float result differently."""

    def loss(*operands: Tensor) -> Tensor:
        total = smelt.zeros((), dtype=dtypes.float64)
        for number, y in enumerate(program.run(*operands), 1):
            if y.dtype.is_float:
                total = total + smelt.sin(y * number).sum()
        return total

    return loss


def assert_alike(got: Any, expected: Any, tolerance: float = 1e-10) -> None:
    pairs = zip(tree.flatten(got)[0], tree.flatten(expected)[0], strict=True)
    for a, b in pairs:
        assert a.shape == b.shape
        assert a.dtype is b.dtype
        np.testing.assert_allclose(a.numpy(), b.numpy(), tolerance, tolerance)


def assert_compiles(function: Callable[..., Any], *operands: Tensor) -> None:
    assert_alike(smelt.compile(function)(*operands), function(*operands))


@every_program
@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64], ids=lambda d: d.name)
def test_engines_agree(program: Program, dtype: dtypes.DType) -> None:
    operands = [x.to(dtype) for x in program.operands()]

    def function(_: list[Tensor], arguments: list[Tensor]) -> Sequence[Tensor]:
        return program.run(*arguments)

    case = Case(function, [], operands)
    eager = case.eager()
    tolerance = 1e-12 if dtype is dtypes.float64 else 2e-5
    for ran in (
        case.interpreted(case.stages.lowered),
        case.interpreted(case.stages.program),
        case.native(),
    ):
        for got, expected in zip(ran.outputs, eager.outputs, strict=True):
            np.testing.assert_allclose(got, expected, tolerance, tolerance)


@every_reverse
def test_gradients(program: Program) -> None:
    operands = program.operands(1)
    everything = tuple(range(len(operands)))
    assert_compiles(smelt.value_and_grad(loss_of(program), everything), *operands)


@every_reverse
def test_gradients_agree_with_differences(program: Program) -> None:
    assert smelt.gradcheck(loss_of(program), *program.operands(2))


@every_reverse
def test_gradients_of_gradients(program: Program) -> None:
    operands = program.operands(3)
    everything = tuple(range(len(operands)))
    loss = loss_of(program)

    def squares(*inner: Tensor) -> Tensor:
        total = smelt.zeros((), dtype=dtypes.float64)
        for g in smelt.grad(loss, everything)(*inner):
            total = total + (g * g).sum()
        return total

    assert_compiles(smelt.grad(squares, everything), *operands)


@every_program
def test_tangents(program: Program) -> None:
    operands, tangents = program.operands(4), program.operands(5)

    def moved(*given: Tensor) -> Any:
        return smelt.jvp(loss_of(program), tuple(given), tuple(tangents))

    assert_compiles(moved, *operands)


@every_reverse
def test_tangents_of_gradients(program: Program) -> None:
    operands, tangents = program.operands(6), program.operands(7)
    gradient = smelt.grad(loss_of(program), tuple(range(len(operands))))
    assert_compiles(lambda *xs: smelt.jvp(gradient, xs, tuple(tangents)), *operands)


@every_program
def test_batches(program: Program) -> None:
    examples = [program.operands(seed) for seed in (8, 9, 10)]
    batch = [smelt.stack(list(xs)) for xs in zip(*examples, strict=True)]
    expected = [
        smelt.stack(list(ys)) for ys in zip(*(program.run(*xs) for xs in examples), strict=True)
    ]
    batched = smelt.vmap(lambda *xs: list(program.run(*xs)))
    assert_alike(batched(*batch), expected)
    assert_alike(smelt.compile(batched)(*batch), expected)


@every_reverse
def test_gradients_of_batches(program: Program) -> None:
    examples = [program.operands(seed) for seed in (11, 12)]
    batch = [smelt.stack(list(xs)) for xs in zip(*examples, strict=True)]
    gradient = smelt.grad(loss_of(program), tuple(range(len(batch))))
    assert_compiles(smelt.vmap(gradient), *batch)
    together = smelt.grad(lambda *xs: smelt.vmap(loss_of(program))(*xs).sum(), 0)
    assert_compiles(together, *batch)


@pytest.mark.parametrize("place", range(4))
def test_a_batch_of_one_operand_only(place: int) -> None:
    program = PROGRAMS[0]
    operands = program.operands(13)
    operands[place] = smelt.stack([operands[place], operands[place] * 0.5])
    axes = tuple(0 if number == place else None for number in range(4))
    assert_compiles(smelt.vmap(lambda *xs: list(program.run(*xs)), in_axes=axes), *operands)


def test_a_vmap_of_a_vmap() -> None:
    x = smelt.tensor(np.random.default_rng(0).standard_normal((2, 3, 4, 3)))
    h = smelt.tensor(np.random.default_rng(1).standard_normal((2, 3, 3)))
    twice = smelt.vmap(smelt.vmap(lambda x, h: list(PROGRAMS[1].run(x, h))))
    assert_compiles(twice, x, h)


@every_reverse
def test_backward_in_a_step(program: Program) -> None:
    """`.backward()` without a graph of the gradients, as training uses it."""
    operands = program.operands(14)
    for x in operands:
        x.requires_grad_()

    def step() -> list[Tensor]:
        for x in operands:
            x.grad = None
        loss_of(program)(*operands).backward()
        return [x.grad for x in operands if x.grad is not None]

    assert_compiles(step)
