"""Large products of matrices, blocked: the blocking, and that results stay."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.compiler.cpu import AVX2
from smelt.compiler.graph import product_blocking
from smelt.compiler.graph.fusion import Strategy
from smelt.compiler.graph.product_blocking import choose_product_blocking, copies_left
from smelt.compiler.graph.tiles import Tiles
from smelt.dtypes import DType, float32, float64
from smelt.ir.graph import Leaf, Node
from smelt.ir.show import kernel_text
from smelt.ops.contraction import matmul, swap_last
from smelt.ops.movement import permute
from smelt.tensor import Tensor, as_tensor
from tests.compiler.engines import Case, agree

GIVEN = Leaf("given")
WAYS = [(False, False), (False, True), (True, False), (True, True)]  # which operand lies across


def operand(rows: int, columns: int, is_across: bool, dtype: DType = float32) -> Node:
    """Returns a matrix of a graph that lies in memory row by row, or column by column."""
    shape = (columns, rows) if is_across else (rows, columns)
    given = Node(GIVEN, (), {}, shape, dtype)
    if not is_across:
        return given
    return Node(permute, (given,), {"axes": (1, 0)}, (rows, columns), dtype)


def product(m: int, k: int, n: int, left: bool = False, right: bool = False, dtype=float32) -> Node:
    factors = operand(m, k, left, dtype), operand(k, n, right, dtype)
    return Node(matmul, factors, {}, (m, n), dtype)


def covered(parts: tuple[Tiles, ...]) -> int:
    return sum(part.count * part.size for part in parts)


# --- the blocking ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "node",
    [
        product(64, 64, 64, left=True),  # small
        product(512, 2048, 512),  # lies well, and is packed by `loops/`
        product(512, 2048, 512, right=True),
        product(2, 100_000, 512, left=True),  # too few rows to share anything
    ],
)
def test_what_loops_do_well_is_left_to_them(node: Node) -> None:
    assert choose_product_blocking(node, AVX2) is None
    assert not copies_left(node, None)


def test_short_rows_are_not_packed() -> None:
    blocking = choose_product_blocking(product(128, 2048, 128, left=True), AVX2)
    assert blocking is not None
    assert not blocking.packs_right
    assert blocking.depth == (Tiles(0, 32, 64),)  # 64 rows of 512 bytes fit in the first cache
    assert blocking.columns == (Tiles(0, 4, 32),)  # chunks for the threads


def test_a_left_operand_is_packed_where_one_tile_has_all_columns() -> None:
    for node in (product(1024, 2000, 100, left=True), product(512, 1024, 256, left=True)):
        blocking = choose_product_blocking(node, AVX2)
        assert blocking is not None
        assert blocking.packs_left
        assert blocking.rows[0].size <= 128
        assert not copies_left(node, blocking)


def test_a_left_operand_is_copied_where_more_columns_read_it() -> None:
    node = product(128, 2000, 600, left=True)
    assert choose_product_blocking(node, AVX2) is None  # since it lies well then
    assert copies_left(node, None)
    few_columns = product(1024, 2000, 10, left=True)
    blocking = choose_product_blocking(few_columns, AVX2)
    assert blocking is not None
    assert not blocking.packs_left
    assert not copies_left(few_columns, blocking)


def test_deep_products_are_packed_in_panels() -> None:
    blocking = choose_product_blocking(product(1024, 9000, 600), AVX2)
    assert blocking is not None
    assert blocking.packs_right
    assert blocking.rows == (Tiles(0, 2, 512),)
    assert blocking.depth == (Tiles(0, 18, 500),)


def test_of_wider_numbers_fewer_columns_are_done_at_once() -> None:
    widths = [
        choose_product_blocking(product(512, 8192, 512, dtype=dtype), AVX2).columns[0].size
        for dtype in (float32, float64)
    ]
    assert widths == [64, 32]


@pytest.mark.parametrize("extents", [(509, 5003, 57), (4, 40_000, 33), (255, 4097, 31)])
@pytest.mark.parametrize(("left", "right"), WAYS)
def test_tiles_cover_every_axis_once(extents, left, right) -> None:
    blocking = choose_product_blocking(product(*extents, left, right), AVX2)
    axes = blocking.rows, blocking.depth, blocking.columns
    assert tuple(map(covered, axes)) == extents


# --- results --------------------------------------------------------------------------------------


@pytest.fixture
def block_everything(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Blocks small products as if they were large, in small blocks."""
    small = {
        "SMALL": 0, "FEW": 0, "MANY": 1000, "SOME": 1000, "ACROSS": 0, "STRIP": 1 << 60, "ROWS": 5,
        "COLUMNS": 6, "DEPTH": 4, "PANEL_COLUMNS": 4,
    }  # fmt: skip
    for name, value in small.items():
        monkeypatch.setattr(product_blocking, name, value)
    monkeypatch.setattr("smelt.compiler.lower.blocked_product.PANEL_COLUMNS", 4)
    return monkeypatch


def case_of(m: int, k: int, n: int, left: bool, right: bool, dtype: DType, *batch: int) -> Case:
    random = np.random.default_rng(5)
    a = as_tensor(random.standard_normal((*batch, *((k, m) if left else (m, k)))), dtype)
    b = as_tensor(random.standard_normal((*batch, *((n, k) if right else (k, n)))), dtype)
    bias = as_tensor(random.standard_normal(n), dtype)

    def function(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
        a, b, bias = given
        a, b = swap_last(a) if left else a, swap_last(b) if right else b
        return [F.relu(a @ b + bias)]

    return Case(function, [], [a, b, bias])


@pytest.mark.parametrize("short_row", [0, 10_000])
@pytest.mark.parametrize(("left", "right"), WAYS)
@pytest.mark.parametrize("extents", [(11, 10, 13), (3, 9, 6), (12, 4, 1)])
def test_blocked_products_agree(block_everything, extents, left, right, short_row) -> None:
    block_everything.setattr(product_blocking, "SHORT_ROW", short_row)
    case = case_of(*extents, left, right, float32)
    assert {group.strategy for group in case.stages.fused.groups} == {Strategy.BLOCKED_PRODUCT}
    agree(case, interpret=True)


def test_products_of_a_batch_agree(block_everything) -> None:
    agree(case_of(7, 9, 5, True, False, float32, 2, 3), interpret=True)


def test_a_copied_operand_has_memory_of_its_own(block_everything) -> None:
    block_everything.setattr(product_blocking, "MANY", 0)
    case = case_of(7, 9, 8, True, False, float32)
    assert "a product reads it across" in case.stages.fused.ordered.materialized.reasons.values()
    agree(case, interpret=True)


@pytest.mark.parametrize("bad_row", [1, 1024])
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("extents", [(11, 10, 5), (3, 9, 6), (12, 4, 1)])
def test_packed_left_operands_agree(block_everything, extents, batch, right, bad_row) -> None:
    block_everything.setattr(product_blocking, "MANY", 0)
    block_everything.setattr("smelt.compiler.lower.blocked_product.BAD_ROW", bad_row)
    case = case_of(*extents, True, right, float32, *batch)
    (group,) = case.stages.fused.groups
    assert group.blocking.packs_left
    agree(case, interpret=True)


@pytest.mark.parametrize("dtype", [float32, float64])
@pytest.mark.parametrize(("left", "right"), WAYS)
@pytest.mark.parametrize("extents", [(128, 1100, 96), (512, 1024, 128), (259, 4099, 301)])
def test_large_products_agree(extents, left, right, dtype) -> None:
    agree(case_of(*extents, left, right, dtype), interpret=False)


def test_deep_products_of_few_rows_are_blocked() -> None:
    random = np.random.default_rng(2)
    x, w, b = (as_tensor(random.standard_normal(shape)) for shape in ((9, 5003), (16, 5003), (16,)))
    case = Case(lambda states, given: [F.relu(F.linear(*given))], [], [x, w, b])
    agree(case, interpret=False)
    text = kernel_text(case.stages.program.kernels[0])
    assert "panel" in text
    assert "transpose" in text


def test_the_update_of_a_weight_is_the_epilogue_of_its_gradient() -> None:
    smelt.manual_seed(1)
    layer = nn.Linear(64, 96)
    optimizer = optim.Adam(layer.parameters())
    x, y = smelt.randn(512, 64), smelt.randn(512, 96)

    @smelt.compile
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(layer(x), y)
        loss.backward()
        optimizer.step()
        return loss

    first = step(x, y).item()
    assert step(x, y).item() < first
    assert "blocked product" in step.explain("groups")
    (kernel,) = (part for part in step.explain("groups").split("\n\n") if "blocked product" in part)
    assert "float32[96, 64]" in kernel
    assert kernel.count("the step delivers it") == 3  # the weight and its two moments


@pytest.mark.parametrize("extents", [(128, 2048, 128), (600, 2048, 520)])
def test_any_number_of_threads_gives_the_same_bits(extents) -> None:
    m, k, n = extents
    x, g = smelt.randn(k, m), smelt.randn(k, n)
    multiply = smelt.compile(lambda x, g: x.mT @ g)
    results = []
    for threads in (1, 2, 4):
        with smelt.settings(threads=threads):
            results.append(multiply(x, g).numpy().copy())
    assert (results[0] == results[1]).all()
    assert (results[0] == results[2]).all()
