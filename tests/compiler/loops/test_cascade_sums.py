"""Long sums are cut: few additions in a row, the same sum, and what is no sum stays."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
from smelt.compiler.cpu import AVX2, AVX512, CPU
from smelt.compiler.loops.optimize import optimize
from smelt.compiler.loops.rewrites.cascade_sums import DEEP, LONG, cascade_sums
from smelt.compiler.loops.substitute import Names
from smelt.dtypes import float32, int64
from smelt.ir.loops import Kernel
from smelt.ir.show import kernel_text
from smelt.ir.verify import verify
from tests.compiler import nests
from tests.compiler.loops.equivalence import check


def cut(kernel: Kernel) -> str:
    """Returns a kernel's text after the rewrite alone."""
    body = cascade_sums(kernel.body, Names(kernel.body))
    return kernel_text(Kernel(kernel.name, kernel.inputs, kernel.outputs, body))


def test_pieces_and_a_rest() -> None:
    text = cut(nests.column_sum(300, 2))
    assert "range(0, 300, 128)" in text
    assert "300)" in text.split("range(0, 300, 128)")[1]
    assert "range(0, 300)" not in text


def test_many_pieces_are_cut_again() -> None:
    text = cut(nests.column_sum(LONG * LONG * 3, 2))
    assert f"range(0, {LONG * LONG * 3}, {LONG * LONG})" in text


@pytest.mark.parametrize("kernel", [nests.column_sum(LONG, 5), nests.bias_relu(400, 400)])
def test_what_is_short_or_no_sum_stays(kernel: Kernel) -> None:
    assert cut(kernel) == kernel_text(kernel)


def test_integers_stay() -> None:
    kernel = nests.column_sum(1000, 4, int64)
    assert cut(kernel) == kernel_text(kernel)


def test_loops_within_loops_count_together() -> None:
    text = cut(nests.full_sum(64, 30))
    assert "range(0, 64, 4)" in text  # four rows of about 32 are 128 additions


@pytest.mark.parametrize("cpu", [AVX2, AVX512])
@pytest.mark.parametrize("rows", [1, LONG + 1, 4 * LONG])
@pytest.mark.parametrize("columns", [1, 20])
def test_sums_agree(rows: int, columns: int, cpu: CPU) -> None:
    check(nests.column_sum(rows, columns), cpu=cpu)
    check(nests.full_sum(rows, columns), cpu=cpu)


@pytest.mark.parametrize("depth", [DEEP, DEEP + 1])
def test_large_tiles_of_products_are_cut_later(depth: int) -> None:
    kernel = optimize(nests.matmul(6, depth, 16), AVX2)
    verify(kernel)
    assert ("_part" in kernel_text(kernel)) == (depth > DEEP)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: x.sum(), (1 << 22,)),
        (lambda x: x.sum(0), (1 << 20, 8)),
        (lambda x: x.sum(1), (3, 1 << 20)),
        (lambda x: x.mean((0, 2)), (64, 3, 1 << 14)),
        (lambda x: (x * x).sum(), (1 << 22,)),
        (lambda x: smelt.nn.functional.mse_loss(x, -x), (1 << 22,)),
        (lambda x: x.norm(), (1 << 22,)),
        (lambda x: x @ x, (1 << 22,)),
    ],
)
def test_sums_of_millions_of_equal_numbers(function, shape: tuple[int, ...]) -> None:
    exact = function(smelt.full(shape, np.float32(0.1).item(), dtype=smelt.float64))
    got = smelt.compile(function)(smelt.full(shape, 0.1, dtype=smelt.float32))
    assert got.dtype is float32
    np.testing.assert_allclose(got.numpy(), exact.numpy(), rtol=2e-6)
