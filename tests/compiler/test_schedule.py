"""Every rewrite keeps results: exactly, or to rounding where a sum is reordered."""

from __future__ import annotations

import numpy as np
import pytest

from smelt.compiler.loops import plan, tile_sizes
from smelt.compiler.loops.optimize import optimize
from smelt.compiler.loops.tile_sizes import lanes_for
from smelt.dtypes import bfloat16, bool_, float32, float64, int32, int64
from smelt.ir.interpret import run_kernel
from smelt.ir.loops import Kernel
from smelt.ir.show import kernel_text
from smelt.ir.verify import verify
from tests.compiler import nests

EXTENTS = [0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64]


def check(kernel: Kernel, exact: bool = False, vector_bits: int = 512, **options: int) -> Kernel:
    """Schedules a kernel and compares both on the same random arrays."""
    verify(kernel)
    after = optimize(kernel, vector_bits=vector_bits)
    verify(after)
    wanted, got = (nests.arrays_for(kernel, **options) for _ in range(2))
    run_kernel(kernel, wanted)
    run_kernel(after, got, backwards=True)
    for buffer, a, b in zip(kernel.buffers, wanted, got, strict=True):
        if exact or buffer.dtype.kind != "float":
            np.testing.assert_array_equal(b, a, err_msg=buffer.name)
        else:
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5, err_msg=buffer.name)
    return after


@pytest.mark.parametrize("columns", EXTENTS)
@pytest.mark.parametrize("vector_bits", [128, 256, 512])
def test_elementwise(columns, vector_bits):
    check(nests.bias_relu(3, columns), exact=True, vector_bits=vector_bits)
    check(nests.bias_relu(1, columns, float64), exact=True, vector_bits=vector_bits)
    check(nests.in_place_axpy(2, columns), exact=True, vector_bits=vector_bits)


@pytest.mark.parametrize("columns", EXTENTS)
def test_rows(columns):
    check(nests.softmax(3, columns))
    check(nests.full_sum(2, columns))
    check(nests.cumulative_sum(2, columns), exact=True)


@pytest.mark.parametrize("columns", EXTENTS)
def test_columns(columns):
    check(nests.column_sum(7, columns), exact=True)
    check(nests.column_sum(columns, 5))


@pytest.mark.parametrize("columns", EXTENTS)
def test_gather_and_scatter(columns):
    check(nests.gather(6, columns, 5), exact=True)
    check(nests.scatter_add(9, columns, 5), exact=True)
    check(nests.gather_sum(8, 6, columns, 5))


@pytest.mark.parametrize("rows", EXTENTS)
@pytest.mark.parametrize("columns", [1, 17, 33])
def test_transposing_copies(rows, columns):
    check(nests.transpose(rows, columns), exact=True)


@pytest.mark.parametrize("transposed", ["", "a", "b"])
@pytest.mark.parametrize("m", [1, 7, 17])
@pytest.mark.parametrize("n", [1, 3, 16, 33])
def test_contractions(m, n, transposed):
    check(nests.matmul(m, 5, n, transposed=transposed))


@pytest.mark.parametrize("k", [1, 15, 33])
@pytest.mark.parametrize("n", [3, 16, 35])
def test_panels(k, n):
    """The second operand lies transposed, and enough rows share it."""
    after = check(nests.matmul(9, k, n, transposed="b", batch=(2,) if k == 1 else ()))
    assert "_panel" in kernel_text(after) or k == 1


@pytest.mark.parametrize("rows", [16, 64, 100])
@pytest.mark.parametrize("columns", [2, 5])
def test_short_rows_become_lanes(rows, columns):
    """Each of many short rows has a lane, and so has its part of the local row."""
    after = kernel_text(check(nests.softmax(rows, columns)))
    assert f"scratch(float32[{columns}, " in after


@pytest.mark.parametrize(("rows", "width"), [(3, 5), (9, 16), (17, 33)])
def test_heads(rows, width):
    """Both operands of a product keep the heads' parts side by side."""
    after = check(nests.scores(3, rows, width))
    assert "_panel" in kernel_text(after) or rows == 3


@pytest.mark.parametrize("n", [16, 35, 70])
@pytest.mark.parametrize("transposed", ["", "a"])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_strips(n, transposed, batch, monkeypatch):
    """The rows of the second operand lie far apart, and many rows of the result read them."""
    kernel = nests.matmul(9, 6, n, transposed=transposed, batch=batch)
    assert "_panel" not in kernel_text(check(kernel))
    for name, least in {"FAR_BYTES": 64, "FAR_DEPTH": 6, "FAR_ROWS": 9}.items():
        monkeypatch.setattr(plan, name, least)
    assert "_panel" in kernel_text(check(kernel))
    wide = nests.matmul(9, 6, n, dtype=float64, epilogue=False)
    assert "_panel" in kernel_text(check(wide, vector_bits=256))
    for name in ("PARALLEL_CYCLES", "CHUNK_CYCLES"):
        monkeypatch.setattr(tile_sizes, name, 1)
    assert (check(kernel).parallel is not None) == (n == 70 or bool(batch))


@pytest.mark.parametrize(
    ("m", "k", "n", "strip"),
    [(128, 256, 512, True), (127, 256, 512, False), (128, 255, 512, False), (128, 256, 511, False)],
)
def test_only_large_operands_are_moved(m, k, n, strip):
    after = optimize(nests.matmul(m, k, n), vector_bits=512)
    verify(after)
    assert ("_panel" in kernel_text(after)) == strip


@pytest.mark.parametrize("k", [0, 1, 16, 33])
def test_contractions_of_other_depths(k):
    check(nests.matmul(3, k, 4, batch=(2,)))
    check(nests.matmul(1, k, 1))
    check(nests.matmul(5, k, 1, epilogue=False))
    check(nests.matmul(2, k, 3, transposed="b", dtype=float64), vector_bits=256)


@pytest.mark.parametrize("divisor", [1, 2, 6, 8, 16, 48])
def test_reshapes(divisor):
    after = check(nests.reshaped(3, 48, divisor=divisor), exact=True)
    assert divisor == 2 or "//" not in kernel_text(after)


@pytest.mark.parametrize("filters", [3, 20])
@pytest.mark.parametrize(("channels", "side", "size"), [(1, 5, 3), (2, 4, 2), (2, 3, 1), (1, 3, 3)])
def test_convolutions(filters, channels, side, size):
    check(nests.convolution(2, channels, side, filters, size))


def test_lanes():
    assert lanes_for([float32], 512) == 16
    assert lanes_for([float32, float64], 512) == 8
    assert lanes_for([bool_], 256) == 8
    assert lanes_for([bfloat16], 128) == 4
    assert lanes_for([int32, int64], 256) == 4


@pytest.mark.parametrize(
    "kernel",
    [
        nests.bias_relu(37, 20),
        nests.bias_relu(1, 333),
        nests.bias_relu(100, 1),
        nests.softmax(35, 40),
        nests.softmax(100, 9),
        nests.column_sum(5, 333),
        nests.matmul(20, 2, 64),
        nests.matmul(35, 2, 16),
        nests.matmul(3, 2, 150),
        nests.matmul(3, 2, 6, batch=(4, 3)),
        nests.matmul(130, 2, 3, transposed="b"),
        nests.transpose(40, 70),
        nests.convolution(3, 1, 7, 5, 2),
        nests.gather(40, 3, 5),
        nests.scatter_add(40, 3, 5),
        nests.full_sum(40, 20),
        nests.cumulative_sum(100, 5),
    ],
    ids=lambda kernel: f"{kernel.name}-{kernel.outputs[0].shape}",
)
def test_shares(kernel, monkeypatch):
    """The same with a parallel loop of small shares, run last to first."""
    monkeypatch.setattr(tile_sizes, "PARALLEL_CYCLES", 1)
    after = []
    for grain in (1, 300):
        monkeypatch.setattr(tile_sizes, "CHUNK_CYCLES", grain)
        after.append(check(kernel))
    serial = kernel.name in ("scatter_add", "full_sum", "transpose")
    assert serial == (after[0].parallel is None)
