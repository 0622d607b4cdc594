"""Loops are split where conditions change at known indices; not a bit of the result changes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import smelt
from smelt.compiler.cpu import AVX512
from smelt.compiler.loops import tile_sizes
from smelt.compiler.loops.optimize import optimize
from smelt.compiler.loops.rewrites.split_ranges import split_ranges
from smelt.compiler.loops.substitute import Names
from smelt.dtypes import float32, int32
from smelt.ir.interpret import run_kernel
from smelt.ir.loops import (
    Assign,
    Binary,
    Buffer,
    Declare,
    Expression,
    If,
    Kernel,
    Let,
    Load,
    Loop,
    Read,
    Register,
    Select,
    Statement,
    Store,
    constant,
    index_variable,
)
from smelt.ir.show import kernel_text
from smelt.ir.verify import verify
from tests.compiler import nests
from tests.compiler.loops.equivalence import check

i, j, k = (index_variable(name) for name in "ijk")


def chosen(condition: Expression, extent: int) -> Kernel:
    """y[i] = a[i] * a[i] + 1 where a condition on i holds, else b[i] / 3."""
    a, b, y = (Buffer(name, (extent,), float32) for name in "aby")
    yes = nests.add(nests.mul(Load(a, (i,)), Load(a, (i,))), nests.number(1.0))
    no = Binary("div", Load(b, (i,)), nests.number(3.0))
    body = Store(y, (i,), Select(condition, yes, no))
    return Kernel("chosen", (a, b), (y,), (nests.nest([i], [extent], body),))


def text(kernel: Kernel) -> str:
    return kernel_text(split_ranges(kernel, Names(kernel.body)))


@pytest.mark.parametrize("widths", [(16, 16), (5, 20, 9), (1, 30), (40,), (3, 3, 3, 3, 3)])
@pytest.mark.parametrize("dtype", [float32, int32])
def test_padded_parts(widths, dtype):
    kernel = nests.padded_parts(3, widths, dtype)
    check(kernel, exact=True)
    assert "where" not in text(kernel) or len(widths) == 1


def test_a_sum_with_zero_keeps_its_sign():
    kernel = nests.padded_parts(4, (16, 16, 16))
    special = np.array([-0.0, 0.0, np.nan, np.inf, -np.inf, -1e-30, 3.0, -0.0], np.float32)
    inputs = [np.resize(np.roll(special, shift), (4, 16)) for shift in range(3)]
    results = []
    for version in (kernel, optimize(kernel, AVX512)):
        verify(version)
        out = np.zeros((4, 48), np.float32)
        run_kernel(version, [out, *inputs])
        results.append(out)
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(*map(np.signbit, results))


@pytest.mark.parametrize("op", ["lt", "le", "gt", "ge"])
@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("flipped", [False, True])
def test_each_comparison_changes_where_it_should(op, step, flipped):
    position = nests.add(nests.mul(i, constant(step)), constant(-40 * step))
    sides = (constant(3), position) if flipped else (position, constant(3))
    kernel = chosen(Binary(op, *sides), 96)
    assert "select" not in text(kernel)
    check(kernel, exact=True)


def test_a_change_outside_of_the_range_splits_nothing():
    kernel = chosen(Binary("lt", i, constant(40)), 32)
    assert split_ranges(kernel, Names(kernel.body)).body == kernel.body
    check(kernel, exact=True)


@pytest.mark.parametrize("shape", [(6, 6), (30, 40)])
def test_a_border_of_zeros(shape):
    """Conditions on two axes, each known for its pieces."""
    high, wide = shape
    x, y = Buffer("x", shape, float32), Buffer("y", (high + 2, wide + 3), float32)
    row, column = nests.add(i, constant(-1)), nests.add(j, constant(-2))
    inside: Expression = Binary("ge", i, constant(1))
    for condition in (
        Binary("lt", row, constant(high)),
        Binary("ge", j, constant(2)),
        Binary("lt", column, constant(wide)),
    ):
        inside = Binary("bitwise_and", inside, condition)
    value = Select(inside, Load(x, (row, column), inside), nests.number(0.0))
    store = Store(y, (i, j), nests.mul(value, nests.number(2.0)))
    kernel = Kernel("border", (x,), (y,), (nests.nest([i, j], [high + 2, wide + 3], store),))
    check(kernel, exact=True)


def test_named_conditions_and_indices_are_seen_through():
    x, z, y = (
        Buffer("x", (3, 16), float32),
        Buffer("z", (3, 16), float32),
        Buffer("y", (3, 32), float32),
    )
    position, name_position = nests.let("position", nests.add(j, constant(-16)))
    low, name_low = nests.let("low", Binary("lt", position, constant(0)))
    value = Select(
        low, Load(x, (i, j), low), Load(z, (i, position), Binary("ge", position, constant(0)))
    )
    body = (name_position, name_low, Store(y, (i, j), nests.mul(value, value)))
    kernel = Kernel("named", (x, z), (y,), (nests.nest([i, j], [3, 32], *body),))
    assert "position" not in text(kernel)
    assert "low" not in text(kernel)
    check(kernel, exact=True)


def test_conditions_on_two_loops_stay():
    x, y = Buffer("x", (8, 16), float32), Buffer("y", (8, 16), float32)
    value = Select(Binary("lt", i, j), Load(x, (i, j)), nests.number(0.0))
    kernel = Kernel("triangle", (x,), (y,), (nests.nest([i, j], [8, 16], Store(y, (i, j), value)),))
    assert split_ranges(kernel, Names(kernel.body)).body == kernel.body
    check(kernel, exact=True)


def test_sums_stay():
    """A loop around registers is not copied."""
    x, y = Buffer("x", (20, 8), float32), Buffer("y", (20,), float32)
    acc = Register("acc", float32)
    element = Select(Binary("lt", i, constant(9)), Load(x, (i, k)), nests.number(1.0))
    body: list[Statement] = [
        Declare(acc, nests.number(0.0)),
        nests.nest([k], [8], Assign(acc, (), nests.add(Read(acc), element))),
        Store(y, (i,), Read(acc)),
    ]
    kernel = Kernel("sums", (x,), (y,), (nests.nest([i], [20], *body),))
    assert split_ranges(kernel, Names(kernel.body)).body == kernel.body
    check(kernel)


def test_large_outermost_loops_stay_whole_and_parallel():
    condition = Binary("lt", i, constant(100_000))
    kernel = chosen(condition, 200_000)
    assert split_ranges(kernel, Names(kernel.body)).body == kernel.body
    assert optimize(kernel, AVX512).parallel is not None


def test_a_long_list_of_large_arrays_is_copied_array_by_array():
    """As gradients are into a bucket: in one loop each element would be chosen among all arrays."""
    sizes = [10, 1280, 128, 65536, 512, 3, 65536, 49152, 128, 384, 16384, 7] * 2
    arrays = [np.random.default_rng(k).random(size, np.float32) for k, size in enumerate(sizes)]
    step = smelt.compile(lambda *arrays: smelt.cat(arrays))
    np.testing.assert_array_equal(step(*arrays).numpy(), np.concatenate(arrays))
    assert "select" not in step.explain("scheduled")


def test_chunks_of_split_loops(monkeypatch):
    monkeypatch.setattr(tile_sizes, "PARALLEL_CYCLES", 1)
    monkeypatch.setattr(tile_sizes, "CHUNK_CYCLES", 1)
    after = check(nests.padded_parts(40, (16, 24)), exact=True)
    assert after.parallel is not None


def names_bound(body: tuple[Statement, ...]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, (Let, Loop)):
            yield statement.variable.name
        if isinstance(statement, (Loop, If)):
            yield from names_bound(statement.body)


def test_each_piece_has_names_of_its_own():
    """In both loops of a 3 x 3 stencil with padding, whatever is named stays apart."""
    kernel = nests.stencil(5, 18)
    split = split_ranges(kernel, Names(kernel.body))
    bound = list(names_bound(split.body))
    assert len(bound) > 9 * len(list(names_bound(kernel.body))) / 2  # it was split along both axes
    assert len(bound) == len(set(bound))


@pytest.mark.parametrize("width", [3, 16, 17, 18, 19, 33, 34, 35, 66])
@pytest.mark.parametrize("height", [1, 2, 5])
def test_pieces_of_about_a_vector_do_not_mix(height, width):
    """A piece of one vector at most becomes plain statements, next to those of other pieces."""
    check(nests.stencil(height, width), exact=True)
