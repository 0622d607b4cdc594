"""Long reductions: split by their shape alone, parallel, and at least as accurate as NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from smelt.compiler.graph.simplify import simplify
from smelt.compiler.graph.split_reductions import LONG, split_reduction
from smelt.dtypes import as_dtype
from smelt.ir.graph import ARGUMENT, Graph, Node
from smelt.ops import reduction
from smelt.tensor import Tensor
from tests.compiler.engines import Case

SHAPES = [
    ((1 << 20,), (0,)), ((LONG + 1,), (0,)), ((1000003,), (0,)), ((3, 70001), (1,)),
    ((70001, 3), (0,)),
    ((64, 64, 64), (0, 1, 2)), ((64, 4, 26, 26), (0, 2, 3)), ((2, 40000, 3, 2), (1, 3)),
    ((40000, 1, 2), (0, 1, 2)),
]  # fmt: skip


def reduce_case(op, array: np.ndarray, axes: tuple[int, ...]) -> Case:
    x = Tensor(array, as_dtype(array.dtype))
    return Case(lambda states, arguments: [op(arguments[0], axes=axes)], [], [x])


@pytest.mark.parametrize(("shape", "axes"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sum_is_as_accurate_as_numpys(shape, axes, dtype) -> None:
    x = np.random.default_rng(0).random(shape).astype(dtype) + 0.5
    (got,) = reduce_case(reduction.sum, x, axes).native().outputs
    truth = x.astype(np.longdouble).sum(axes)
    ours, theirs = np.abs(got - truth).max(), np.abs(x.sum(axes) - truth).max()
    assert ours <= 2 * theirs + 2 * np.finfo(dtype).eps * np.abs(truth).max()


@pytest.mark.parametrize(("shape", "axes"), SHAPES)
@pytest.mark.parametrize("name", ["max", "min", "prod", "sum"])
def test_whole_numbers_and_extremes_are_exact(shape, axes, name) -> None:
    op = getattr(reduction, name)
    draw = np.random.default_rng(1)
    whole = draw.integers(-5, 6, shape)
    (got,) = reduce_case(op, whole, axes).native().outputs
    np.testing.assert_array_equal(got, op.value(whole, axes=axes))
    if name in ("max", "min"):
        x = draw.standard_normal(shape)
        (got,) = reduce_case(op, x, axes).native().outputs
        np.testing.assert_array_equal(got, op.value(x, axes=axes))


def test_nan_and_inf_come_through() -> None:
    x = np.ones((3, LONG + 5), np.float32)
    x[0, 7], x[1, LONG + 1] = np.nan, np.inf
    (got,) = reduce_case(reduction.sum, x, (1,)).native().outputs
    np.testing.assert_array_equal(got, x.sum(1))
    (got,) = reduce_case(reduction.max, x, (1,)).native().outputs
    np.testing.assert_array_equal(got, x.max(1))


@pytest.mark.parametrize(
    ("shape", "axes"), [*SHAPES, ((70, 3, 1000003), (0, 2)), ((99991,) * 2, (0, 1))]
)
def test_no_loop_is_left_that_combines_more_than_long(shape, axes) -> None:
    x = Node(ARGUMENT, (), {"number": 0}, shape, as_dtype("float32"))
    loops = tuple(extent for axis, extent in enumerate(shape) if axis not in axes)
    total = Node(reduction.sum, (x,), {"axes": axes}, loops, x.dtype)
    graph = simplify(Graph((x,), (), (total,)))
    sums = [node for node in graph.nodes() if node.op is reduction.sum]
    assert len(sums) > 1
    for node in sums:
        assert split_reduction(node) is None
    assert graph.outputs[0].shape == loops


def test_short_reductions_stay_as_they_are() -> None:
    x = Node(ARGUMENT, (), {"number": 0}, (LONG,), as_dtype("float32"))
    assert split_reduction(Node(reduction.sum, (x,), {"axes": (0,)}, (), x.dtype)) is None


def test_the_pieces_run_in_parallel() -> None:
    case = reduce_case(reduction.sum, np.ones(1 << 20, np.float32), (0,))
    assert case.stages.program.kernels[0].parallel is not None
