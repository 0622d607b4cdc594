"""Rewrites of loops, each on its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from smelt.compiler.loops.rewrites.canonicalize import drop_unit_loops, inline_indices
from smelt.compiler.loops.rewrites.collapse_loops import collapse_loops
from smelt.compiler.loops.rewrites.contract_fma import contract_fma
from smelt.compiler.loops.rewrites.delinearize import delinearize
from smelt.compiler.loops.rewrites.reshape_buffers import join_buffer_axes, split_buffer_axes
from smelt.compiler.loops.rewrites.transpose import power_of_two_ranges
from smelt.compiler.loops.substitute import Names, Substitution
from smelt.dtypes import float32
from smelt.ir.interpret import run_kernel
from smelt.ir.loops import (
    Binary,
    Buffer,
    Kernel,
    Load,
    Loop,
    Store,
    Transpose,
    constant,
    index_variable,
)
from smelt.ir.show import kernel_text, statement_text
from tests.compiler import nests


def rewritten(rewrite: Callable[[Kernel, Names], Kernel], kernel: Kernel) -> Kernel:
    return rewrite(kernel, Names(kernel.body))


@pytest.mark.parametrize("extent", [0, 1, 5, 16, 31, 100])
def test_power_of_two_ranges_cover_an_extent(extent):
    covered = [
        index
        for start, stop, size in power_of_two_ranges(extent, 16)
        for first in range(start, stop, size)
        for index in range(first, first + size)
    ]
    assert covered == list(range(extent))


def test_transposes_are_rebuilt_like_all_statements():
    x, y, i = Buffer("x", (64, 4), float32), Buffer("y", (4, 64), float32), index_variable("i")
    tile = Transpose(x, (i, constant(0)), 0, y, (constant(0), i), 1, 4, 4)
    (moved,) = Substitution({"i": i + 4}).block((tile,))
    assert moved.source_index == (i + 4, constant(0))
    assert moved.target_index == (constant(0), i + 4)


def test_loops_of_one_iteration_go():
    (loop,) = rewritten(drop_unit_loops, nests.bias_relu(1, 7)).body
    assert statement_text(loop) == "for j in range(0, 7):"
    assert rewritten(drop_unit_loops, nests.bias_relu(0, 7)).body == ()


def test_products_are_contracted_only_into_sums():
    text = kernel_text(rewritten(contract_fma, nests.matmul(2, 3, 4)))
    assert "acc = fma(a[i, k], b[k, j], acc)" in text
    assert "z = acc + bias[j]" in text


def test_loops_collapse_only_where_all_arrays_agree():
    collapsed = rewritten(collapse_loops, nests.in_place_axpy(4, 1, 5, 6))
    assert [buffer.shape for buffer in collapsed.buffers] == [(120,)] * 3
    unchanged = rewritten(collapse_loops, nests.bias_relu(4, 5))
    assert [buffer.shape for buffer in unchanged.buffers] == [(4, 5), (4, 5), (5,)]


def test_outer_loops_collapse_where_inner_ones_cannot():
    """x[h, i, k] and out[h, i, j] are walked in one go along h and i; j and k are not."""
    collapsed = rewritten(collapse_loops, nests.matmul(4, 5, 6, batch=(3,), shared=True))
    shapes = [buffer.shape for buffer in collapsed.inputs + collapsed.outputs]
    assert shapes == [
        (12, 5),
        (5, 6),
        (6,),
        (12, 6),
    ]


def test_divisions_become_digits():
    kernel = rewritten(inline_indices, nests.reshaped(2, 24, divisor=8))
    text = kernel_text(rewritten(delinearize, kernel))
    assert "//" not in text
    assert "%" not in text
    assert "x[i, j_1, j_0]" in text


def test_digits_that_a_division_drops_are_not_divided():
    x, y = Buffer("x", (8,), float32), Buffer("y", (64, 16, 16), float32)
    i, j, k = map(index_variable, "ijk")
    flat = (i * 16 + j) * 16 + k
    body = (Store(y, (i, j, k), Load(x, (Binary("floordiv", flat, constant(2048)),))),)
    for variable, extent in ((k, 16), (j, 16), (i, 64)):
        body = (Loop(variable, 0, extent, 1, body),)
    text = kernel_text(rewritten(delinearize, Kernel("copy", (x,), (y,), body)))
    assert "x[i_1]" in text  # a channel of 8 in each group of channels
    assert "//" not in text


def test_remainders_keep_what_is_below_them():
    x, y = Buffer("x", (128,), float32), Buffer("y", (32, 16), float32)
    i, j = map(index_variable, "ij")
    body = (Store(y, (i, j), Load(x, (Binary("mod", i * 16 + j, constant(128)),))),)
    body = (Loop(i, 0, 32, 1, (Loop(j, 0, 16, 1, body),)),)
    kernel = Kernel("copy", (x,), (y,), body)
    simpler = rewritten(delinearize, kernel)
    assert "%" not in kernel_text(simpler)
    array, results = np.arange(128, dtype=np.float32), []
    for one in (kernel, simpler):
        results.append(np.zeros((32, 16), np.float32))
        run_kernel(one, [results[-1], array])
    np.testing.assert_array_equal(*results)


def test_digits_of_one_number_are_joined():
    kernel = rewritten(inline_indices, nests.reshaped(2, 24, divisor=8))
    joined = rewritten(join_buffer_axes, kernel)
    assert [buffer.shape for buffer in joined.inputs] == [(2, 24)]
    assert "y[i, j] = x[i, j]" in kernel_text(joined)


def test_digits_of_digits_are_joined():
    """x[i // 12, i // 4 % 3, i % 4] -> x[i]"""
    x, y, i = Buffer("x", (5, 3, 4), float32), Buffer("y", (60,), float32), index_variable("i")
    tens = Binary("floordiv", i, constant(4))
    digits = (
        Binary("floordiv", i, constant(12)),
        Binary("mod", tens, constant(3)),
        Binary("mod", i, constant(4)),
    )
    loop = Loop(i, 0, 60, 1, (Store(y, (i,), Load(x, digits)),))
    joined = rewritten(join_buffer_axes, Kernel("digits", (x,), (y,), (loop,)))
    assert "y[i] = x[i]" in kernel_text(joined)


def test_a_sum_gets_an_axis_of_its_own():
    split = rewritten(split_buffer_axes, nests.scores(4, 9, 32))
    assert [buffer.shape for buffer in split.inputs] == [(9, 4, 32), (9, 4, 32)]
    assert "q[i, h, k] * p[j, h, k]" in kernel_text(split)


@pytest.mark.parametrize("kernel", [nests.matmul(4, 6, 8), nests.convolution(2, 3, 8, 16, 3)])
def test_axes_stay_where_no_sum_shares_them(kernel):
    kernel = rewritten(delinearize, kernel)
    assert rewritten(split_buffer_axes, kernel) is kernel
