"""Operators of the loop IR in C: the interpreter's bits, with instructions for them and without."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from smelt.compiler.c.support import FUNCTIONS, needed
from smelt.compiler.codegen.transcendental import TRANSCENDENTAL
from smelt.dtypes import (
    ALL,
    DType,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int32,
    int64,
)
from smelt.errors import CompileError
from smelt.ir.loops import COMPARE, Binary, Cast, Constant, Expression, Fma, Select, Unary
from tests.compiler.c.compiled import WAYS, c_functions, check_c, needs_gcc, run_c
from tests.compiler.codegen.test_arithmetic import binary_ops, pairs, samples, unary_ops
from tests.compiler.handmade import bits, elementwise, run_native

pytestmark = needs_gcc
ways = pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)


@pytest.mark.parametrize("dtype", ALL, ids=repr)
def test_unary(dtype: DType) -> None:
    given = np.resize(samples(dtype), 48)
    kernels = []
    for op in sorted(unary_ops(dtype)):
        result = bool_ if op in ("isnan", "isinf", "logical_not") else dtype

        def apply(x: Expression, op: str = op, result: DType = result) -> Expression:
            return Unary(op, x, result)

        kernels.append(elementwise(op, result, [dtype], 48, 1, apply))
    check_c(kernels, [given])


@pytest.mark.parametrize("dtype", ALL, ids=repr)
def test_binary(dtype: DType) -> None:
    a, b = pairs(dtype)
    kernels = []
    for op in sorted(binary_ops(dtype)):
        result = bool_ if op in COMPARE else dtype

        def apply(x: Expression, y: Expression, op: str = op) -> Expression:
            return Binary(op, x, y)

        kernels.append(elementwise(op, result, [dtype, dtype], a.size, 1, apply))
    check_c(kernels, [a, b], loose=("maximum", "minimum"))


@pytest.mark.parametrize("dtype", ALL, ids=repr)
def test_cast(dtype: DType) -> None:
    given = np.resize(samples(dtype), 48)
    kernels = []
    for result in ALL:

        def apply(x: Expression, result: DType = result) -> Expression:
            return Cast(x, result)

        kernels.append(elementwise(f"to {result.name}", result, [dtype], 48, 1, apply))
    check_c(kernels, [given])


@pytest.mark.parametrize("dtype", [float16, bfloat16], ids=repr)
def test_narrowing_rounds_every_tie_to_even(dtype: DType) -> None:
    random = np.random.default_rng(0)
    wide = random.integers(-(1 << 63), 1 << 63, 4096).view(np.float64)
    near = np.ldexp(random.integers(-(1 << 13), 1 << 13, 4096) / 2.0, random.integers(-26, 6, 4096))
    tiny = near * (1 + random.choice([0, 2.0**-40, -(2.0**-40)], 4096))

    def narrow(x: Expression) -> Expression:
        return Cast(x, dtype)

    for values in (wide, near, tiny):
        check_c([elementwise("to", dtype, [float64], 4096, 1, narrow)], [values], ways=[("-O2",)])


@ways
@pytest.mark.parametrize(("given", "result"), [(float32, int32), (float64, int64)], ids=repr)
def test_bits_go_and_come(given: DType, result: DType, options: tuple[str, ...]) -> None:
    values = np.resize(samples(given), 48)

    def apply(x: Expression) -> Expression:
        return Unary("bitcast", Unary("bitcast", x, result), given)

    (function,) = c_functions([elementwise("bits", given, [given], 48, 1, apply)], options)
    output = np.zeros_like(values)
    run_c(function, [output, values])
    assert output.tobytes() == values.tobytes()


def wild(dtype: DType, count: int, seed: int) -> list[np.ndarray]:
    """Returns operands of a * b + c of any magnitude, of which half cancel nearly."""
    random = np.random.default_rng(seed)
    width = 8 * dtype.itemsize
    low, high = -(1 << (width - 1)), 1 << (width - 1)
    a, b, c = (
        random.integers(low, high, count, dtype=f"i{dtype.itemsize}").view(dtype.storage)
        for _ in range(3)
    )
    a, b = (np.where(np.arange(count) % 2, random.normal(size=count), x) for x in (a, b))
    with np.errstate(all="ignore"):
        a, b = a.astype(dtype.storage), b.astype(dtype.storage)
        near = -(a * b) * (1 + random.choice([0, 1, -1, 3, 2.0**20], count) * 2.0**-23)
        c = np.where(np.arange(count) % 4 > 1, near.astype(dtype.storage), c)
        c = np.where(np.arange(count) % 16 == 1, c * dtype.storage.type(1e-8), c)
    return [a, b, c]


@pytest.mark.parametrize("dtype", [float16, bfloat16, float32, float64, int32], ids=repr)
def test_fma_rounds_once(dtype: DType) -> None:
    a, b = pairs(dtype)
    c = np.resize(np.roll(samples(dtype), 3), a.size)
    check_c([elementwise("fma", dtype, [dtype] * 3, a.size, 1, Fma)], [a, b, c])


@pytest.mark.parametrize("dtype", [float32, float64], ids=repr)
def test_fma_of_any_magnitude(dtype: DType) -> None:
    count = 4000
    operands = wild(dtype, count, 5)
    check_c([elementwise("fma", dtype, [dtype] * 3, count, 1, Fma)], operands)


@pytest.mark.parametrize("dtype", [float32, float64], ids=repr)
def test_sqrt_rounds_once(dtype: DType) -> None:
    random = np.random.default_rng(6)
    width = 8 * dtype.itemsize
    any_bits = random.integers(0, 1 << (width - 1), 20_000, dtype=f"i{dtype.itemsize}")
    squares = random.integers(1, 1 << 12, 2000).astype(dtype.storage) ** 2
    near = np.nextafter(squares, squares + 1)
    given = np.concatenate([any_bits.view(dtype.storage), squares, near])

    def root(x: Expression) -> Expression:
        return Unary("sqrt", x, dtype)

    check_c([elementwise("root", dtype, [dtype], given.size, 1, root)], [given])


def test_products_are_not_contracted() -> None:
    random = np.random.default_rng(1)
    operands = [random.standard_normal(1024).astype(np.float32) for _ in range(3)]

    def apply(x: Expression, y: Expression, z: Expression) -> Expression:
        return Binary("add", Binary("mul", x, y), z)

    kernel = elementwise("plain", float32, [float32] * 3, 1024, 1, apply)
    fast = ("-O3", "-march=native")
    check_c([kernel], operands, ways=[fast, (*fast, "-std=gnu99")])


def test_a_choice_between_numbers() -> None:
    a, b = pairs(float32)

    def apply(x: Expression, y: Expression) -> Expression:
        return Select(Binary("lt", x, y), x, Constant(2.0, float32))

    kernels = [elementwise("select", float32, [float32] * 2, a.size, 1, apply)]
    check_c(kernels, [a, b], ways=[("-O2",)])


@pytest.mark.parametrize("dtype", [float32, float64, int32, int64], ids=repr)
@pytest.mark.parametrize("divisor", [1, 2, 7, 16, -3, 0, -1])
def test_division_by_a_constant(dtype: DType, divisor: int) -> None:
    given = np.resize(samples(dtype), 48)
    kernels = []
    for op in ("div", "floordiv", "mod"):

        def apply(x: Expression, op: str = op) -> Expression:
            return Binary(op, x, Constant(divisor, dtype))

        kernels.append(elementwise(op, dtype, [dtype], 48, 1, apply))
    check_c(kernels, [given], ways=[WAYS["sanitized"]])


@ways
@pytest.mark.parametrize("dtype", [float16, float32, float64], ids=repr)
def test_approximations_have_the_bits_of_machine_code(
    dtype: DType, options: tuple[str, ...]
) -> None:
    random = np.random.default_rng(3)
    ordinary = np.concatenate([random.normal(size=200) * 3, random.normal(size=200) * 50])
    given = np.concatenate([samples(dtype), ordinary.astype(dtype.storage)])
    given = np.resize(given, -(-given.size // 16) * 16)
    other = np.roll(given, 7)
    kernels = []
    for op in sorted(TRANSCENDENTAL):
        if op in ("pow", "atan2"):

            def both(x: Expression, y: Expression, op: str = op) -> Expression:
                return Binary(op, x, y)

            kernels.append(elementwise(op, dtype, [dtype] * 2, given.size, 1, both))
        else:

            def apply(x: Expression, op: str = op) -> Expression:
                return Unary(op, x, dtype)

            kernels.append(elementwise(op, dtype, [dtype], given.size, 1, apply))
    for kernel, function in zip(kernels, c_functions(kernels, options), strict=True):
        ours, native = np.zeros_like(given), np.zeros_like(given)
        inputs = [given, other][: len(kernel.inputs)]
        run_c(function, [ours, *inputs])
        run_native(kernel, [native, *inputs])
        wrong = np.flatnonzero(bits(ours, dtype) != bits(native, dtype))
        shown = [(*(x[n] for x in inputs), ours[n], native[n]) for n in wrong[:5]]
        assert not wrong.size, f"{kernel.name}: (operands, C, machine code) {shown}"


def test_support_names_what_it_calls() -> None:
    for name in FUNCTIONS:
        order = needed(name)
        assert order[-1] == name
        assert len(order) == len(set(order))
    before = ["from_bits_f32", "bits_f32", "abs_f32", "with_sign_f32", "trunc_f32"]
    assert needed("floor_f32") == [*before, "floor_f32"]
    with pytest.raises(CompileError, match="frob_f32 has no C code"):
        needed("frob_f32")


def test_every_operand_pair_of_support_is_covered() -> None:
    widths = itertools.product(("i32", "i64"), ("f32", "f64"))
    assert {f"{a}_from_{b}" for a, b in widths} <= set(FUNCTIONS)
