"""Every operation of every dtype does natively what the interpreter says it means."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from smelt.compiler.codegen.transcendental import TRANSCENDENTAL
from smelt.dtypes import (
    ALL,
    DType,
    bfloat16,
    bool_,
    encode,
    float16,
    float32,
    float64,
    int32,
    int64,
)
from smelt.ir.loops import (
    ARITHMETIC,
    COMPARE,
    UNARY,
    Binary,
    Cast,
    Constant,
    Expression,
    Fma,
    Select,
    Unary,
)
from tests.compiler.handmade import (
    Bound,
    check,
    elementwise,
    run_native,
    step_of,
)

LANES = (1, 16)
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.7, -3.7, 7.0, -3.0, 255.5, 1e-40, 6e-8]
FLOATS += [65519.0, 65520.0, 1e10, -1e10, 2.0**31, -(2.0**31), 2.0**63, -(2.0**63), 1e38, -1e300]
FLOATS += [float("inf"), float("-inf"), float("nan"), 1 / 3, 2049.0, 1.00390625, 1.01171875]
INTEGERS = [
    0,
    1,
    -1,
    2,
    -2,
    3,
    -3,
    7,
    -7,
    16,
    31,
    32,
    33,
    63,
    64,
    65,
    1000,
    -1000,
    1 << 24,
    -(1 << 24),
]


def samples(dtype: DType) -> np.ndarray:
    """Returns the numbers that go wrong most easily."""
    if dtype is bool_:
        return np.array([False, True])
    if dtype.is_float:
        with np.errstate(over="ignore"):
            return encode(np.array(FLOATS), dtype)
    limits = np.iinfo(dtype.storage)
    edges = [limits.min, limits.min + 1, limits.max, limits.max - 1]
    inside = [number for number in INTEGERS if limits.min <= number <= limits.max]
    return np.array(inside + edges, dtype.storage)


def pairs(dtype: DType, multiple: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Returns every sample with every other one, as many as a multiple of the lanes."""
    values = samples(dtype)
    a, b = (side.ravel() for side in np.meshgrid(values, values))
    size = -(-a.size // multiple) * multiple
    return np.resize(a, size), np.resize(b, size)


def unary_ops(dtype: DType) -> set[str]:
    """Returns the operations that a dtype has, less those that are approximated."""
    exact = UNARY - TRANSCENDENTAL - {"bitcast"}
    if dtype.is_float:
        return exact - {"bitwise_not"}
    exact -= {"sqrt"}
    return exact - {"neg", "sign"} if dtype is bool_ else exact


def binary_ops(dtype: DType) -> set[str]:
    """Returns the operations that a dtype has, less those that are approximated."""
    if dtype is bool_:
        bitwise = {"bitwise_and", "bitwise_or", "bitwise_xor"}
        return COMPARE | bitwise | {"add", "mul", "maximum", "minimum"}
    whole = {"bitwise_and", "bitwise_or", "bitwise_xor", "shl", "shr"}
    every = (ARITHMETIC | COMPARE) - {"pow", "atan2"}
    return every - whole if dtype.is_float else every | {"pow"}


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("dtype", ALL, ids=repr)
def test_unary(dtype: DType, lanes: int) -> None:
    given = np.resize(samples(dtype), 48)
    kernels = []
    for op in sorted(unary_ops(dtype)):
        result = bool_ if op in ("isnan", "isinf", "logical_not") else dtype

        def apply(x: Expression, op: str = op, result: DType = result) -> Expression:
            return Unary(op, x, result)

        kernels.append(elementwise(op, result, [dtype], 48, lanes, apply))
    check(kernels, [given])


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("dtype", ALL, ids=repr)
def test_binary(dtype: DType, lanes: int) -> None:
    a, b = pairs(dtype)
    kernels = []
    for op in sorted(binary_ops(dtype)):
        result = bool_ if op in COMPARE else dtype

        def apply(x: Expression, y: Expression, op: str = op) -> Expression:
            return Binary(op, x, y)

        kernels.append(elementwise(op, result, [dtype, dtype], a.size, lanes, apply))
    check(kernels, [a, b], loose=("maximum", "minimum"))


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("dtype", ALL, ids=repr)
def test_cast(dtype: DType, lanes: int) -> None:
    given = np.resize(samples(dtype), 48)
    kernels = []
    for result in ALL:

        def apply(x: Expression, result: DType = result) -> Expression:
            return Cast(x, result)

        kernels.append(elementwise(f"to {result.name}", result, [dtype], 48, lanes, apply))
    check(kernels, [given])


@pytest.mark.parametrize("dtype", [float16, bfloat16], ids=repr)
def test_narrowing_rounds_every_tie_to_even(dtype: DType) -> None:
    random = np.random.default_rng(0)
    wide = random.integers(-(1 << 63), 1 << 63, 4096).view(np.float64)
    near = np.ldexp(random.integers(-(1 << 13), 1 << 13, 4096) / 2.0, random.integers(-26, 6, 4096))
    tiny = near * (1 + random.choice([0, 2.0**-40, -(2.0**-40)], 4096))
    for values in (wide, near, tiny):
        with np.errstate(over="ignore", invalid="ignore"):
            check(
                [elementwise("to", dtype, [float64], 4096, 16, lambda x: Cast(x, dtype))], [values]
            )
            single = values.astype(np.float32)
        check([elementwise("to", dtype, [float32], 4096, 16, lambda x: Cast(x, dtype))], [single])


@pytest.mark.parametrize("lanes", LANES)
def test_bitcast(lanes: int) -> None:
    for given, result in ((float32, int32), (int32, float32), (float64, int64), (int64, float64)):
        values = np.resize(samples(given), 48)

        def apply(x: Expression, result: DType = result) -> Expression:
            return Unary("bitcast", x, result)

        kernel = elementwise("bits", result, [given], 48, lanes, apply)
        output = np.zeros(48, result.storage)
        run_native(kernel, [output, values])
        assert (
            output.view(given.storage.str.replace("f", "i")) == values.view(f"i{values.itemsize}")
        ).all()


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("dtype", [float16, bfloat16, float32, float64, int32], ids=repr)
def test_fma_rounds_once(dtype: DType, lanes: int) -> None:
    a, b = pairs(dtype)
    c = np.resize(np.roll(samples(dtype), 3), a.size)
    check([elementwise("fma", dtype, [dtype] * 3, a.size, lanes, Fma)], [a, b, c])


def test_products_are_not_contracted() -> None:
    random = np.random.default_rng(1)
    a, b, c = (random.standard_normal(1024).astype(np.float32) for _ in range(3))

    def apply(x: Expression, y: Expression, z: Expression) -> Expression:
        return Binary("add", Binary("mul", x, y), z)

    output = np.zeros_like(a)
    run_native(elementwise("plain", float32, [float32] * 3, 1024, 16, apply), [output, a, b, c])
    assert (output == a * b + c).all()


@pytest.mark.parametrize("lanes", LANES)
def test_select_evaluates_both_sides(lanes: int) -> None:
    a, b = pairs(float32)

    def apply(x: Expression, y: Expression) -> Expression:
        return Select(Binary("lt", x, y), x, Constant(2.0, float32))

    check([elementwise("select", float32, [float32] * 2, a.size, lanes, apply)], [a, b])


@pytest.mark.parametrize("dtype", [float32, float64, int32, int64], ids=repr)
@pytest.mark.parametrize("divisor", [1, 2, 7, 16, -3, 0, -1])
def test_division_by_a_constant(dtype: DType, divisor: int) -> None:
    given = np.resize(samples(dtype), 48)
    kernels = []
    for op, lanes in itertools.product(("div", "floordiv", "mod"), LANES):

        def apply(x: Expression, op: str = op) -> Expression:
            return Binary(op, x, Constant(divisor, dtype))

        kernels.append(elementwise(f"{op} {lanes}", dtype, [dtype], 48, lanes, apply))
    check(kernels, [given])


@pytest.mark.parametrize("op", ["maximum", "minimum"])
@pytest.mark.parametrize("number", [0.0, 1.0, float("inf"), float("nan")])
def test_extreme_with_a_constant(op: str, number: float) -> None:
    given = np.resize(samples(float32), 48)

    def apply(x: Expression) -> Expression:
        return Binary(op, x, Constant(number, float32))

    check([elementwise(op, float32, [float32], 48, 16, apply)], [given], loose=(op,))


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("dtype", [float16, float32, float64], ids=repr)
@pytest.mark.parametrize("op", ["exp", "tanh", "log"])
def test_approximations_are_called(op: str, dtype: DType, lanes: int) -> None:
    given = np.linspace(0.1, 4, 64).astype(dtype.storage)
    output = np.zeros_like(given)
    kernel = elementwise(op, dtype, [dtype], 64, lanes, lambda x: Unary(op, x, dtype))
    run_native(kernel, [output, given])
    np.testing.assert_allclose(output, getattr(np, op)(given), rtol=4 * np.finfo(dtype.storage).eps)


def test_unary_of_every_lane_count() -> None:
    for lanes in (1, 2, 4, 8, 32):
        given, output = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
        kernel = elementwise(
            "root", float32, [float32], 64, lanes, lambda x: Unary("sqrt", x, float32)
        )
        assert Bound(step_of(kernel), [output, given]).run() == 0
        assert (output == np.sqrt(given)).all()
