"""What the loop optimizer makes of typical nests, as text: to be read when a rewrite changes."""

from __future__ import annotations

import pytest

from smelt.compiler.cpu import AVX512, NEON
from smelt.compiler.loops.optimize import optimize
from smelt.ir.show import kernel_text
from tests.compiler import nests

KERNELS = {
    "elementwise": nests.bias_relu(64, 100),
    "elementwise_collapsed": nests.in_place_axpy(16, 3, 3, 7),
    "elementwise_parallel": nests.bias_relu(512, 1000),
    "softmax": nests.softmax(64, 40),
    "softmax_of_short_rows": nests.softmax(100, 5),
    "column_sum": nests.column_sum(64, 10),
    "full_sum": nests.full_sum(6, 40),
    "cumulative_sum": nests.cumulative_sum(3, 9),
    "matmul": nests.matmul(22, 32, 40),
    "matmul_parallel": nests.matmul(256, 256, 256, epilogue=False),
    "matmul_transposed": nests.matmul(20, 24, 18, transposed="b"),
    "matmul_packed": nests.matmul(128, 256, 520),
    "scores": nests.scores(3, 20, 24),
    "matvec": nests.matmul(1, 100, 32),
    "dot_products": nests.matmul(1, 100, 3, transposed="b"),
    "convolution": nests.convolution(2, 3, 8, 16, 3),
    "transpose": nests.transpose(20, 40),
    "reshape": nests.reshaped(3, 48, divisor=16),
    "padded_parts": nests.padded_parts(6, (16, 24)),
    "gather": nests.gather(6, 20, 5),
    "scatter_add": nests.scatter_add(6, 20, 5),
}


@pytest.mark.parametrize("name", KERNELS)
def test_the_text_after_optimization(name, golden):
    golden(name, kernel_text(optimize(KERNELS[name], AVX512)))


@pytest.mark.parametrize("name", ["matmul", "softmax"])
def test_the_text_for_narrow_vectors(name, golden):
    golden(f"{name}_128", kernel_text(optimize(KERNELS[name], NEON)))
