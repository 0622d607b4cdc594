"""Walks the registry: every primitive agrees with NumPy and its derivatives with differences.

A new operation is found by itself; what it is tried on stands in `cases.py`. That the engines agree
is the matter of `test_engines.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from smelt import dtypes
from smelt.autodiff import gradcheck, vmap
from smelt.dtypes import DType
from smelt.errors import DTypeError
from smelt.ops import REGISTRY, Op
from smelt.ops.elementwise import Elementwise
from smelt.tensor import Tensor, as_tensor
from tests.ops.cases import CASES, FULL, HALVES, Case

TOLERANCE = {"float32": 2e-6, "float64": 1e-12}
SMOOTH = [  # differences in float64 cannot see through narrower floats; test_conventions casts
    case
    for case in CASES
    if case.smooth
    and dtypes.float64 in case.accepts
    and case.attributes.get("dtype") not in (dtypes.float32, *HALVES)
]
BATCH = 3

every_case = pytest.mark.parametrize("case", CASES, ids=str)


def seeded(case: Case) -> np.random.Generator:
    return np.random.default_rng(sum(str(case).encode()))


def applied(case: Case) -> Callable[..., Tensor]:
    return lambda *tensors: case.op(*tensors, **case.attributes)


def assert_equal(got: Tensor, expected: np.ndarray, dtype: DType | None = None) -> None:
    """Integers and bools exactly, floats up to a few roundings."""
    assert got.shape == expected.shape
    assert got.numpy().shape == expected.shape
    if dtype is not None:
        assert got.dtype is dtype
    tolerance = TOLERANCE.get(got.dtype.name, 0.0)
    np.testing.assert_allclose(got.numpy(), expected, tolerance, tolerance)


def result_dtype(case: Case, dtype: DType) -> DType:
    """What an operation on `dtype` makes."""
    if isinstance(case.op, Elementwise):
        return dtypes.bool_ if case.op.to_bool else case.attributes.get("dtype", dtype)
    made = {"argsort": dtypes.int64, "iota": dtypes.int64, "random_bits": dtypes.int32}
    made["window_argmax"] = dtypes.int32
    return made.get(case.op.name, dtype)


# --- the registry is complete ---------------------------------------------------------------------


@pytest.mark.parametrize("op", REGISTRY.values(), ids=REGISTRY.keys())
def test_has_a_case_and_every_rule(op: Op) -> None:
    cases = [case for case in CASES if case.name == op.name]
    assert cases, f"{op.name}: add a case to tests/ops/cases.py"
    rules = {"value", "jvp", "vjp", "batch"} if cases[0].shapes else {"value"}
    follow = {"jvp"} if op.linear_operands else {"jvp", "vjp"} if op.linear_operands == 0 else set()
    missing = [rule for rule in rules - follow if getattr(type(op), rule) is getattr(Op, rule)]
    assert not missing, f"{op.name} lacks the rules {missing}"
    assert hasattr(op, "lower") == op.is_inlinable, f"{op.name} cannot be compiled"


# --- values ---------------------------------------------------------------------------------------


@every_case
def test_value_for_every_dtype(case: Case) -> None:
    for dtype in case.accepts:
        arrays = case.operands(dtype, seeded(case))
        got = applied(case)(*map(as_tensor, arrays))
        assert_equal(got, case.expected(arrays), result_dtype(case, dtype))


def strided(array: np.ndarray) -> np.ndarray:
    """The same numbers with gaps between them and the axes stored in opposite order."""
    wide = np.zeros(tuple(2 * extent for extent in reversed(array.shape)), array.dtype)
    view = wide[(slice(None, None, 2),) * array.ndim].transpose()
    view = np.asarray(view)
    view[...] = array
    return view


@every_case
def test_value_of_strided_operands(case: Case) -> None:
    arrays = case.operands(case.accepts[-1], seeded(case))
    got = applied(case)(*(as_tensor(strided(array)) for array in arrays))
    assert_equal(got, case.expected(arrays))


def test_strided_operands_are_not_contiguous() -> None:
    view = strided(np.arange(6.0).reshape(2, 3))
    assert not view.flags.c_contiguous
    assert as_tensor(view).stored.strides == view.strides


@pytest.mark.parametrize("dtype", HALVES, ids=repr)
@every_case
def test_half_floats_are_moved_but_not_computed_with(case: Case, dtype: DType) -> None:
    if case.op.name in ("random_bits", "iota", "bitcast"):
        return  # no operands that could be half floats, or only their bits
    arrays = case.operands(dtype, seeded(case))
    plain = [place in case.fixed or (case.condition and place == 0) for place in range(len(arrays))]
    tensors = [
        as_tensor(array) if one else Tensor(array, dtype)
        for array, one in zip(arrays, plain, strict=True)
    ]
    if case.op.is_movement or case.op.name in ("take", "cast"):
        numbers = [
            tensor.numpy().astype(np.float64) if not one else array
            for tensor, one, array in zip(tensors, plain, arrays, strict=True)
        ]
        np.testing.assert_array_equal(applied(case)(*tensors).numpy(), case.expected(numbers))
    else:
        with pytest.raises(DTypeError, match=f"{case.op.name}.*{dtype.name}"):
            applied(case)(*tensors)


@pytest.mark.parametrize(
    "op", [op for op in REGISTRY.values() if isinstance(op, Elementwise)], ids=repr
)
def test_other_dtypes_are_refused(op: Elementwise) -> None:
    case = next(case for case in CASES if case.name == op.name)
    for dtype in set(FULL) - set(case.accepts):
        if op.name == "bitcast" and dtype.itemsize == case.attributes["dtype"].itemsize:
            continue
        arrays = case.operands(dtype, seeded(case))
        with pytest.raises(DTypeError, match=op.name):
            applied(case)(*map(as_tensor, arrays))


# --- derivatives ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.* is used only where no derivative flows")  # casts
@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_derivatives_of_both_modes_to_second_order(case: Case) -> None:
    arrays = case.operands(dtypes.float64, seeded(case))
    gradcheck(applied(case), *arrays, order=2, rtol=1e-4, atol=1e-6)


WITHOUT = [case for case in CASES if not case.smooth and not case.name.startswith("known_")]


@pytest.mark.parametrize("case", WITHOUT, ids=str)
def test_what_has_no_derivative_says_zero(case: Case) -> None:
    arrays = case.operands(case.accepts[-1], seeded(case))
    tensors = [as_tensor(array) for array in arrays]
    for tensor in tensors:
        tensor.requires_grad = tensor.dtype.is_float
    output = applied(case)(*tensors)
    if tensors:
        needs = (True,) * len(tensors)
        assert case.op.jvp(tuple(tensors), output, *tensors, **case.attributes) is None
        assert not any(
            g is not None for g in case.op.vjp(output, needs, output, *tensors, **case.attributes)
        )


def test_a_known_softmax_is_differentiated_as_one() -> None:
    known = REGISTRY["known_softmax"]

    def softmax(x: Tensor, axis: int) -> Tensor:
        return known(x.exp() / x.exp().sum(axis, keepdim=True), x, axis=axis)

    numbers = np.random.default_rng(0).standard_normal((3, 4))
    for axis in (-1, -2):
        gradcheck(lambda x, axis=axis: softmax(x, axis), numbers, order=2, rtol=1e-4, atol=1e-6)


def test_a_known_derivative_belongs_to_the_second_operand() -> None:
    known = REGISTRY["known_derivative"]
    numbers = np.random.default_rng(0).standard_normal((3, 4))
    gradcheck(lambda x: known(x**3, x, 3.0 * x * x), numbers, order=2, rtol=1e-4, atol=1e-6)
    y, x, derivative = (as_tensor(numbers * k).requires_grad_() for k in (1.0, 2.0, 3.0))
    known(y, x, derivative).sum().backward()
    assert y.grad is None
    assert derivative.grad is None
    np.testing.assert_array_equal(x.grad.numpy(), numbers * 3.0)


# --- batches --------------------------------------------------------------------------------------


@every_case
def test_vmap_is_a_loop(case: Case) -> None:
    if not case.shapes or case.op.name == "random_bits":
        return
    random = seeded(case)
    dtype = case.accepts[-1]
    for batched in itertools.product((False, True), repeat=len(case.shapes)):
        if not any(batched):
            continue
        examples = [case.operands(dtype, random) for _ in range(BATCH)]
        arrays = [
            np.stack([example[place] for example in examples]) if has else examples[0][place]
            for place, has in enumerate(batched)
        ]
        axes = tuple(0 if has else None for has in batched)
        got = vmap(applied(case), axes)(*map(as_tensor, arrays))
        rows = [
            case.expected([x[n] if has else x for x, has in zip(arrays, batched, strict=True)])
            for n in range(BATCH)
        ]
        assert_equal(got, np.stack(rows))


@every_case
def test_vmap_over_nothing(case: Case) -> None:
    if not case.shapes or case.op.name == "random_bits":
        return
    arrays = case.operands(case.accepts[-1], seeded(case))
    empty = [np.zeros((0, *array.shape), array.dtype) for array in arrays]
    result = vmap(applied(case))(*map(as_tensor, empty))
    assert result.shape == (0, *case.expected(arrays).shape)


def test_vmap_with_an_index_per_example() -> None:
    random = np.random.default_rng(0)
    x, index = random.standard_normal((BATCH, 2, 4)), random.integers(0, 4, (BATCH, 3))
    got = vmap(lambda x, i: REGISTRY["take"](x, i, axis=1))(as_tensor(x), as_tensor(index))
    np.testing.assert_array_equal(got.numpy(), np.stack([x[n][:, index[n]] for n in range(BATCH)]))
    g = random.standard_normal((BATCH, 2, 3))

    def scatter(g, i):
        return REGISTRY["scatter_add"](g, i, axis=1, extent=4)

    spread = vmap(scatter)(as_tensor(g), as_tensor(index)).numpy()
    assert spread.shape == (BATCH, 2, 4)
    for n in range(BATCH):
        one = scatter(as_tensor(g[n]), as_tensor(index[n])).numpy()
        np.testing.assert_allclose(spread[n], one)
