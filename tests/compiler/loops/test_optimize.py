"""Every rewrite keeps results: exactly, or to rounding where a sum is reordered."""

from __future__ import annotations

import pytest

from smelt.compiler.cpu import AVX2, AVX512, NEON, SSE
from smelt.compiler.loops import plan, tile_sizes
from smelt.compiler.loops.optimize import optimize
from smelt.compiler.loops.rewrites.parallelize import COPIED_LINES
from smelt.dtypes import float64
from smelt.ir.show import kernel_text
from smelt.ir.verify import verify
from tests.compiler import nests
from tests.compiler.loops.equivalence import check

EXTENTS = [0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64]


@pytest.mark.parametrize("columns", EXTENTS)
@pytest.mark.parametrize("cpu", [SSE, NEON, AVX2, AVX512], ids=str)
def test_elementwise(columns, cpu):
    check(nests.bias_relu(3, columns), exact=True, cpu=cpu)
    check(nests.bias_relu(1, columns, float64), exact=True, cpu=cpu)
    check(nests.in_place_axpy(2, columns), exact=True, cpu=cpu)


@pytest.mark.parametrize("columns", EXTENTS)
def test_sums_along_rows(columns):
    check(nests.softmax(3, columns))
    check(nests.full_sum(2, columns))
    check(nests.cumulative_sum(2, columns), exact=True)


@pytest.mark.parametrize("columns", EXTENTS)
def test_sums_along_columns(columns):
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
    """Each of many short rows has a lane, and so has the local row."""
    after = kernel_text(check(nests.softmax(rows, columns)))
    assert f"scratch(float32[{columns}, " in after


@pytest.mark.parametrize(("rows", "width"), [(3, 5), (9, 16), (17, 33)])
def test_heads(rows, width):
    """Both operands of a product hold the heads side by side."""
    after = check(nests.scores(3, rows, width))
    assert "_panel" in kernel_text(after) or rows == 3


@pytest.mark.parametrize("n", [16, 35, 70])
@pytest.mark.parametrize("transposed", ["", "a"])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_packed_columns(n, transposed, batch, monkeypatch):
    """The rows of the second operand lie far apart, and many rows of the result read them."""
    kernel = nests.matmul(9, 6, n, transposed=transposed, batch=batch)
    assert "_panel" not in kernel_text(check(kernel))
    for name, minimum in {"FAR_BYTES": 64, "FAR_DEPTH": 6, "FAR_ROWS": 9}.items():
        monkeypatch.setattr(plan, name, minimum)
    assert "_panel" in kernel_text(check(kernel))
    wide = nests.matmul(9, 6, n, dtype=float64, epilogue=False)
    assert "_panel" in kernel_text(check(wide, cpu=AVX2))
    for name in ("PARALLEL_CYCLES", "CHUNK_CYCLES"):
        monkeypatch.setattr(tile_sizes, name, 1)
    assert (check(kernel).parallel is not None) == (n == 70 or bool(batch))


@pytest.mark.parametrize(
    ("m", "k", "n", "packed"),
    [(32, 64, 1025, True), (31, 64, 1025, False), (32, 63, 1100, False), (32, 64, 1024, False)],
)
def test_only_large_operands_are_packed(m, k, n, packed):
    after = optimize(nests.matmul(m, k, n), AVX512)
    verify(after)
    assert ("_panel" in kernel_text(after)) == packed


@pytest.mark.parametrize("n", [128, 157])  # the last of the panels may be narrower
def test_strips_of_columns_are_packed_together(n, monkeypatch):
    for name, value in {"FAR_BYTES": 64, "FAR_DEPTH": 2, "FAR_ROWS": 7, "MIN_PANELS": 2}.items():
        monkeypatch.setattr(plan, name, value)
    text = kernel_text(check(nests.matmul(12, 2, n), cpu=AVX2))
    assert "_panel = scratch(float32[2, 64])" in text
    assert "in range(0, 64, 16)" in text


@pytest.mark.parametrize("k", [0, 1, 16, 33])
def test_contractions_of_other_depths(k):
    check(nests.matmul(3, k, 4, batch=(2,)))
    check(nests.matmul(1, k, 1))
    check(nests.matmul(5, k, 1, epilogue=False))
    check(nests.matmul(2, k, 3, transposed="b", dtype=float64), cpu=AVX2)


@pytest.mark.parametrize("divisor", [1, 2, 6, 8, 16, 48])
def test_reshapes(divisor):
    after = check(nests.reshaped(3, 48, divisor=divisor), exact=True)
    assert divisor == 2 or "//" not in kernel_text(after)


@pytest.mark.parametrize("filters", [3, 20])
@pytest.mark.parametrize(("channels", "side", "size"), [(1, 5, 3), (2, 4, 2), (2, 3, 1), (1, 3, 3)])
def test_convolutions(filters, channels, side, size):
    check(nests.convolution(2, channels, side, filters, size))


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
        nests.transpose(200, 5),
        nests.convolution(3, 1, 7, 5, 2),
        nests.gather(40, 3, 5),
        nests.scatter_add(40, 3, 5),
        nests.full_sum(40, 20),
        nests.cumulative_sum(100, 5),
    ],
    ids=lambda kernel: f"{kernel.name}-{kernel.outputs[0].shape}",
)
def test_chunks(kernel, monkeypatch):
    """The same with a parallel loop of small chunks, run last to first."""
    monkeypatch.setattr(tile_sizes, "PARALLEL_CYCLES", 1)
    after = []
    for cycles in (1, 300):
        monkeypatch.setattr(tile_sizes, "CHUNK_CYCLES", cycles)
        after.append(check(kernel))
    is_small = kernel.name == "transpose" and kernel.outputs[0].shape[0] < 2 * COPIED_LINES
    serial = kernel.name in ("scatter_add", "full_sum") or is_small
    assert serial == (after[0].parallel is None)
