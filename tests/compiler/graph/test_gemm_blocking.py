"""Large convolutions, blocked as products of matrices: the blocking, and that results stay."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn
from smelt.compiler.cpu import AVX2, AVX512
from smelt.compiler.graph import gemm_blocking
from smelt.compiler.graph.fusion import Strategy
from smelt.compiler.graph.gemm_blocking import (
    Extents,
    choose_blocking,
)
from smelt.compiler.graph.tiles import Tiles, tiles
from smelt.compiler.loops.optimize import optimize
from smelt.dtypes import float32, float64
from smelt.ir.graph import Leaf, Node
from smelt.ir.show import kernel_text
from smelt.ops.convolution import convolution
from smelt.tensor import Tensor, as_tensor
from tests.compiler.engines import Case, Function, agree

GIVEN = Leaf("given")
# input, kernel, settings: small, so that the interpreter can run them
CASES = [
    ((2, 2, 5, 4), (4, 2, 3, 2), {}),
    ((1, 1, 3, 18), (4, 1, 3, 3), {"padding": 1}),
    ((1, 2, 5, 6), (8, 2, 2, 2), {"stride": 2, "padding": 1}),
    ((1, 4, 5, 4), (8, 2, 2, 1), {"groups": 2, "dilation": (2, 1)}),
    ((1, 2, 19), (8, 2, 3), {"padding": "same"}),
    ((3, 3, 4), (9, 3, 4), {}),
]


def node_of(x: tuple[int, ...], w: tuple[int, ...], stride: int = 1) -> Node:
    """Returns a node of a graph that convolves operands of these shapes."""
    spatial = len(x) - 2
    given = [Node(GIVEN, (), {}, shape, float32) for shape in (x, w)]
    attributes = {"stride": (stride,) * spatial, "dilation": (1,) * spatial, "groups": 1}
    kind = convolution.infer(*given, **attributes)
    return Node(convolution, tuple(given), attributes, kind.shape, kind.dtype)


# --- the blocking ---------------------------------------------------------------------------------


def test_small_convolutions_stay_whole() -> None:
    assert choose_blocking(node_of((1, 1, 6, 6), (1, 1, 3, 3))) is None


def test_a_forward_pass_has_positions_as_columns() -> None:
    blocking = choose_blocking(node_of((64, 32, 26, 26), (64, 32, 3, 3)))
    assert blocking.packed == 0
    assert blocking.channels == (Tiles(0, 1, 32),)
    rows, columns = blocking.positions
    assert columns == (Tiles(0, 1, 24),)
    assert sum(axis.count * axis.size for axis in rows) == 24


def test_a_gradient_by_the_kernel_has_channels_as_columns() -> None:
    blocking = choose_blocking(node_of((32, 64, 26, 26), (64, 64, 24, 24)))
    assert blocking.packed == 1
    assert blocking.outputs == Tiles(0, 2, 32)
    assert blocking.taps == (Tiles(0, 2, 12),)


def test_deep_convolutions_are_done_in_blocks_of_channels() -> None:
    blocking = choose_blocking(node_of((16, 512, 16, 16), (72, 512, 3, 3)))
    assert blocking.packed == 0
    (channels,) = blocking.channels
    assert channels.size < 512
    assert 512 % channels.size == 0


@pytest.mark.parametrize(("extent", "size"), [(24, 2), (26, 8), (5, 7), (1, 1)])
def test_tiles_cover_an_extent_once(extent: int, size: int) -> None:
    covered = [
        at
        for axis in tiles(extent, size)
        for at in range(axis.start, axis.start + axis.count * axis.size)
    ]
    assert covered == list(range(extent))


@pytest.mark.parametrize("positions", [(70,), (9, 5), (3, 9, 5), (2, 300)])
def test_tiles_cover_every_position_once(positions: tuple[int, ...]) -> None:
    extents = Extents(1, 1, 8, positions, 3, (3,) * len(positions))
    _, blocking = gemm_blocking._pack_patches(extents)
    covered = [sum(part.count * part.size for part in axis) for axis in blocking.positions]
    assert tuple(covered) == positions


# --- results --------------------------------------------------------------------------------------


def trained(settings: dict) -> Function:
    """Returns a function that gives a layer's values and all its gradients."""

    def function(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
        x, w, b, g = given
        run = F.conv2d if x.ndim == 4 else F.conv1d
        y = F.relu(run(x, w, b, **settings) + 0.1)
        x.grad = w.grad = b.grad = None
        y.backward(g)
        return [y, x.grad, w.grad, b.grad]

    return function


def case_of(x: tuple[int, ...], w: tuple[int, ...], settings: dict, dtype=float32) -> Case:
    random = np.random.default_rng(5)
    given = [as_tensor(random.standard_normal(shape), dtype) for shape in (x, w, w[:1])]
    run = F.conv2d if len(x) == 4 else F.conv1d
    shape = run(*given, **settings).shape
    for tensor in given:
        tensor.requires_grad_()
    return Case(trained(settings), [], [*given, as_tensor(random.standard_normal(shape), dtype)])


@pytest.fixture
def block_everything(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Blocks small convolutions as if they were large."""
    monkeypatch.setattr(gemm_blocking, "MIN_WORK", 0)
    return monkeypatch


@pytest.mark.parametrize(("x", "w", "settings"), CASES)
def test_blocked_convolutions_and_gradients_agree(block_everything, x, w, settings) -> None:
    agree(case_of(x, w, settings), interpret=True)


@pytest.mark.parametrize("strategy", ["_pack_patches", "_pack_kernels"])
@pytest.mark.parametrize(("x", "w", "settings"), CASES[:5])
def test_either_strategy_agrees_in_small_blocks(block_everything, strategy, x, w, settings) -> None:
    block_everything.setattr(gemm_blocking, "PANEL_LIMIT", 16 * 64)
    block_everything.setattr(gemm_blocking, "ACCUMULATOR_LIMIT", 16 * 16)
    block_everything.setattr(gemm_blocking, strategy, lambda extents: None)
    agree(case_of(x, w, settings, float64), interpret=False)


@pytest.mark.parametrize(
    ("x", "w", "settings"),
    [
        ((4, 8, 26, 26), (32, 8, 3, 3), {}),
        ((2, 300, 9, 9), (32, 300, 3, 3), {"padding": 1}),
        ((3, 3, 20, 300), (16, 3, 5, 5), {"padding": 2}),
        ((4, 16, 15, 15), (32, 8, 3, 3), {"groups": 2, "stride": 2}),
        ((2, 6, 500), (12, 6, 7), {"dilation": 3}),
    ],
)
def test_large_convolutions_and_gradients_agree(x, w, settings) -> None:
    agree(case_of(x, w, settings), interpret=False)


def test_a_blocking_is_recorded_on_its_group() -> None:
    groups = case_of((4, 8, 26, 26), (32, 8, 3, 3), {}).stages.fused.groups
    products = [group for group in groups if group.members[0].op is convolution]
    assert {group.strategy for group in products} == {Strategy.BLOCKED_GEMM}
    assert all(group.blocking == choose_blocking(group.members[0]) for group in products)


def test_what_follows_is_done_before_memory() -> None:
    case = case_of((4, 8, 26, 26), (32, 8, 3, 3), {})
    names = [kernel.name for kernel in case.stages.program.kernels]
    assert any(name.startswith("convolution_relu") for name in names)


# --- slices are hoisted ---------------------------------------------------------------------------


def gradient_by_input(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
    x, w, g = given
    x.grad = None
    F.conv2d(x, w, padding=1).backward(g)
    return [x.grad]


def test_the_gradient_of_padding_is_not_computed() -> None:
    random = np.random.default_rng(4)
    shapes = ((2, 3, 6, 5), (4, 3, 3, 3), (2, 4, 6, 5))
    x, w, g = (as_tensor(random.standard_normal(shape)) for shape in shapes)
    x.requires_grad_()
    case = Case(gradient_by_input, [], [x, w, g])
    agree(case, interpret=False)
    nodes = case.stages.simplified.nodes()
    assert [node.shape for node in nodes if node.op is convolution] == [(2, 3, 6, 5)]
    assert not any(node.op.name == "slice" for node in nodes)


def test_what_is_wanted_whole_is_not_computed_twice() -> None:
    random = np.random.default_rng(4)
    given = [as_tensor(random.standard_normal(shape)) for shape in ((1, 2, 9), (3, 2, 4))]

    def function(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
        y = F.conv1d(*given, stride=2)
        return [y, y[..., 1:]]

    def sliced(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
        return [F.conv1d(*given, stride=2)[..., 1:3]]

    for step, extents in ((function, [3]), (sliced, [2])):
        case = Case(step, [], given)
        agree(case, interpret=True)
        nodes = case.stages.simplified.nodes()
        assert [node.shape[2] for node in nodes if node.op is convolution] == extents


def test_tiles_of_one_image_can_be_shared_among_threads() -> None:
    blocking = choose_blocking(node_of((1, 16, 28, 28), (32, 16, 3, 3)))
    assert blocking.packed == 0
    assert len(blocking.positions[0]) == 1
    random = np.random.default_rng(6)
    given = [
        as_tensor(random.standard_normal(shape)) for shape in ((1, 16, 28, 28), (32, 16, 3, 3))
    ]
    case = Case(lambda states, given: [F.conv2d(*given)], [], given)
    agree(case, interpret=False)
    assert case.stages.program.kernels[0].parallel is not None


def test_few_sums_go_several_ways_at_once() -> None:
    case = case_of((16, 1, 20, 20), (8, 1, 3, 3), {})
    agree(case, interpret=False)
    for cpu in (AVX2, AVX512):  # whatever this one is
        texts = [kernel_text(optimize(kernel, cpu)) for kernel in case.stages.shared.kernels]
        assert any("range(0, 18, 2)" in text for text in texts)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    smelt.manual_seed(3)
    model = nn.Sequential(nn.Conv2d(4, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    x, g = smelt.randn(16, 4, 20, 20), smelt.randn(16, 16, 10, 10)

    @smelt.compile
    def gradients(x: Tensor, g: Tensor) -> list[Tensor]:
        x = x.detach().requires_grad_()
        model.zero_grad()
        y = model(x)
        y.backward(g)
        results = [y, x.grad, *[weight.grad for weight in model.parameters()]]
        model.zero_grad()
        return results

    runs = []
    for threads in (1, 2, 3):
        with smelt.settings(threads=threads):
            runs.append([result.numpy() for result in gradients(x, g)])
    for run in runs[1:]:
        for got, expected in zip(run, runs[0], strict=True):
            np.testing.assert_array_equal(got, expected)
