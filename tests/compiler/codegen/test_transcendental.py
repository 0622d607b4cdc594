"""exp, log, tanh and their kin as arithmetic: within their bounds, exact where they must be."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from smelt.compiler.codegen.transcendental import TRANSCENDENTAL, expand
from smelt.dtypes import DType, float32, float64, int32
from smelt.errors import CompileError
from smelt.ir.interpret import run_kernel
from smelt.ir.loops import (
    Binary,
    Buffer,
    Expression,
    Kernel,
    Let,
    Load,
    Loop,
    Reduce,
    Store,
    Unary,
    Variable,
    index_variable,
    walk,
)
from smelt.ir.verify import verify
from tests.compiler.handmade import along, run_native

UNARY = sorted(TRANSCENDENTAL - {"atan2", "pow"})
NUMPY = {"atan2": np.arctan2, "pow": np.power} | {
    op: getattr(np, op) for op in UNARY if op != "erf"
}
# ulp; no function is further from the truth, in either dtype
BOUND = {
    "atan2": 1.7,
    "cos": 2.0,
    "erf": 2.6,
    "exp": 1.7,
    "exp2": 1.5,
    "expm1": 1.8,
    "log": 1.3,
    "log10": 2.0,
    "log1p": 1.6,
    "log2": 1.8,
    "pow": 1.2,
    "sin": 2.0,
    "tanh": 2.6,
}
TABLES = Path(np.__file__).parent / "_core" / "tests" / "data"
SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5]
SPECIAL += [2.5, -2.5, 1e-40, -1e-40, 5e-324, -5e-324, 3e38, -3e38, 1e300, -1e300, 16777217.0]
has_wide_floats = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant
needs_wide_floats = pytest.mark.skipif(
    not has_wide_floats, reason="this platform's long double is a double: no reference"
)

WITH_TRUTH = [float32, pytest.param(float64, marks=needs_wide_floats)]


def expanded(op: str, dtype: DType, size: int, lanes: int) -> Kernel:
    """`out[i] = op(in0[i], ...)`, written as arithmetic."""
    count = 2 if op in ("atan2", "pow") else 1
    inputs = tuple(Buffer(f"in{number}", (size,), dtype) for number in range(count))
    output, i = Buffer("out", (size,), dtype), index_variable("i")
    place = (along(i, lanes),)
    arguments = tuple(Variable(f"x{number}", dtype, lanes) for number in range(count))
    loads = (Let(part, Load(buffer, place)) for part, buffer in zip(arguments, inputs, strict=True))
    lets, result = expand(op, arguments)
    body = (*loads, *lets, Store(output, place, result))
    return Kernel(op, inputs, (output,), (Loop(i, 0, size, lanes, body),))


def compute(op: str, dtype: DType, *arguments: np.ndarray) -> np.ndarray:
    """Natively, in vectors as wide as the dtype fits into 64 bytes."""
    size, lanes = arguments[0].size, 64 // dtype.itemsize
    padded = [np.resize(part, -size % lanes + size).astype(dtype.storage) for part in arguments]
    result = np.empty_like(padded[0])
    run_native(expanded(op, dtype, result.size, lanes), [result, *padded])
    return result[:size]


def error(result: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The distance in ulp of the result's dtype; inf where one is finite or nan and one is not."""
    with np.errstate(over="ignore"):
        rounded = truth.astype(result.dtype)
    finite = np.isfinite(rounded) & np.isfinite(result)
    same = (rounded == result) | (np.isnan(rounded) & np.isnan(result))
    ulp = np.abs(np.spacing(np.where(finite, rounded, 1))).astype(truth.dtype)
    distance = np.abs(np.where(finite, result, 0) - np.where(finite, truth, 0)) / ulp
    return np.where(finite, distance, np.where(same, 0, np.inf))


def assert_within(bound: float, op: str, result: np.ndarray, truth: np.ndarray, *given) -> None:
    ulp = error(result, truth)
    worst = int(ulp.argmax())
    where = [float(part[worst]) for part in given]
    assert ulp[worst] <= bound, f"{op}{where}: {result[worst]!r}, {ulp[worst]} ulp off"


def truth_of(op: str, *arguments: np.ndarray) -> np.ndarray:
    """By NumPy, in a wider dtype; erf by the C library."""
    with np.errstate(all="ignore"):
        if op == "erf":
            return np.array([math.erf(x) for x in arguments[0].tolist()])
        wide = np.float64 if arguments[0].dtype == np.float32 else np.longdouble
        return NUMPY[op](*(part.astype(wide) for part in arguments))


def narrow(values: object, dtype: DType) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(dtype.storage)


# -------------------------------------------------------------------------------------------------
# what an expansion is made of
# -------------------------------------------------------------------------------------------------


def parts_of(lets: tuple[Let, ...], result: Expression) -> Iterator[Expression]:
    for root in (*(let.value for let in lets), result):
        yield from walk(root)


@pytest.mark.parametrize("dtype", [float32, float64], ids=repr)
@pytest.mark.parametrize("op", sorted(TRANSCENDENTAL))
def test_an_expansion_is_arithmetic_alone(op: str, dtype: DType) -> None:
    names = ("a", "b") if op in ("atan2", "pow") else ("a",)
    lets, result = expand(op, tuple(Variable(name, dtype, 4) for name in names))
    assert (result.dtype, result.lanes) == (dtype, 4)
    assert len({let.variable.name for let in lets}) == len(lets)
    for part in parts_of(lets, result):
        assert not isinstance(part, Load | Reduce)
        assert not isinstance(part, Unary | Binary) or part.op not in TRANSCENDENTAL


@pytest.mark.parametrize("op", sorted(TRANSCENDENTAL))
def test_nothing_is_computed_twice(op: str) -> None:
    """What is used more than once is a let, so that no object is reached on two ways."""
    names = ("a", "b") if op in ("atan2", "pow") else ("a",)
    lets, result = expand(op, tuple(Variable(name, float64, 4) for name in names))
    values = [part for part in parts_of(lets, result) if isinstance(part, Unary | Binary)]
    assert len({id(part) for part in values}) == len(values)


def test_names_come_from_the_arguments() -> None:
    lets, _ = expand("exp", (Variable("score", float32),))
    assert {let.variable.name for let in lets} == {
        f"exp_score_{number}" for number in range(1, len(lets) + 1)
    }


@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize("dtype", [float32, float64], ids=repr)
@pytest.mark.parametrize("op", sorted(TRANSCENDENTAL))
def test_machine_code_and_interpreter_give_the_same_bits(op: str, dtype: DType, lanes: int) -> None:
    random = np.random.default_rng(3)
    numbers = np.concatenate([SPECIAL, random.normal(0, 8, 16 - len(SPECIAL) % 16)])
    kernel = expanded(op, dtype, numbers.size, lanes)
    verify(kernel)
    arguments = [narrow(numbers, dtype), narrow(numbers[::-1].copy(), dtype)]
    arguments = arguments[: len(kernel.inputs)]
    native, meant = np.empty_like(arguments[0]), np.empty_like(arguments[0])
    run_native(kernel, [native, *arguments])
    run_kernel(kernel, [meant, *arguments])
    np.testing.assert_array_equal(native, meant)
    known = ~np.isnan(native)
    np.testing.assert_array_equal(np.signbit(native[known]), np.signbit(meant[known]))


@pytest.mark.parametrize(("op", "dtype"), [("sqrt", float32), ("exp", int32)])
def test_what_has_no_approximation_is_refused(op: str, dtype: DType) -> None:
    with pytest.raises(CompileError, match=rf"no approximation of {op}\({dtype.name} x\)"):
        expand(op, (Variable("x", dtype),))


# -------------------------------------------------------------------------------------------------
# accuracy
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [op for op in UNARY if op != "erf"])
def test_numpy_s_own_tables(op: str) -> None:
    path = TABLES / f"umath-validation-set-{op}.csv"
    if not path.exists():
        pytest.skip(f"this NumPy has no {path.name}")
    lines = [line for line in path.read_text().splitlines() if line.startswith("np.float")]
    for dtype, bits in ((float32, np.uint32), (float64, np.uint64)):
        rows = [row for row in csv.reader(lines) if row[0] == f"np.{dtype.name}"]
        given, expected = (
            np.array([int(row[column], 16) for row in rows], bits).view(dtype.storage)
            for column in (1, 2)
        )
        assert len(rows) > 100 or dtype is float64
        if rows:
            result = compute(op, dtype, given)
            assert_within(BOUND[op] + 0.5, op, result, expected, given)


@pytest.mark.parametrize("op", UNARY)
def test_float32_over_all_bit_patterns(op: str) -> None:
    stride = 65521 if op == "erf" else 4093
    x = np.arange(0, 2**32, stride, np.uint32).view(np.float32)
    result = compute(op, float32, x)
    assert_within(BOUND[op], op, result, truth_of(op, x), x)


@pytest.mark.parametrize("op", UNARY)
def test_float32_where_it_bends(op: str) -> None:
    random = np.random.default_rng(0)
    size = 20_000 if op == "erf" else 300_000
    for low, high in ((-1.5, 1.5), (-10, 10), (-105, 90), (0.5, 2)):
        x = random.uniform(low, high, size).astype(np.float32)
        assert_within(BOUND[op], op, compute(op, float32, x), truth_of(op, x), x)


@needs_wide_floats
@pytest.mark.parametrize("op", UNARY)
def test_float64(op: str) -> None:
    random = np.random.default_rng(1)
    size = 20_000
    bound = BOUND[op] + (1 if op == "erf" else 0)  # the C library's erf is a double itself
    for x in (
        random.uniform(-1.5, 1.5, size),
        random.uniform(-10, 10, size),
        random.uniform(-746, 710, size),
        np.exp(random.uniform(-745, 709.7, size)),
        -np.exp(random.uniform(-745, 709.7, size)),
        np.arange(size) * (np.pi / 2),
    ):
        assert_within(bound, op, compute(op, float64, x), truth_of(op, x), x)


@pytest.mark.parametrize(
    "dtype", [float32, pytest.param(float64, marks=needs_wide_floats)], ids=repr
)
def test_power(dtype: DType) -> None:
    random = np.random.default_rng(2)
    size = 20_000
    top = math.log(np.finfo(dtype.storage).max)
    for x in (
        np.exp(random.uniform(-top, top, size)),
        random.uniform(0.5, 2, size),
        1 + random.uniform(-0.01, 0.01, size),
        np.finfo(dtype.storage).tiny * random.uniform(0.001, 1, size),
    ):
        x = narrow(x, dtype)
        longest = top / np.maximum(np.abs(np.log(x)), 1e-12)
        y = narrow(random.uniform(-1, 1, size) * longest, dtype)
        assert_within(BOUND["pow"], "pow", compute("pow", dtype, x, y), truth_of("pow", x, y), x, y)


@pytest.mark.parametrize(
    "dtype", [float32, pytest.param(float64, marks=needs_wide_floats)], ids=repr
)
def test_atan2(dtype: DType) -> None:
    random = np.random.default_rng(4)
    size = 50_000
    for y, x in (
        random.normal(size=(2, size)),
        random.uniform(0.9, 1, (2, size)),
        np.exp(random.uniform(-80, 80, (2, size))) * [[1], [-1]],
    ):
        y, x = narrow(y, dtype), narrow(x, dtype)
        result = compute("atan2", dtype, y, x)
        assert_within(BOUND["atan2"], "atan2", result, truth_of("atan2", y, x), y, x)


@needs_wide_floats
@pytest.mark.parametrize("op", ["sin", "cos"])
def test_angles_next_to_a_multiple_of_half_pi(op: str) -> None:
    """6381956970095103 * 2^797 is nearest of all doubles to one: 61 bits cancel (Muller)."""
    random = np.random.default_rng(5)
    turns = np.rint(np.exp(random.uniform(0, 700, 20_000)))
    x = np.concatenate(
        [turns * (np.pi / 2), [6381956970095103 * 2.0**797, 1e22, 2.0**48, -(2.0**48)]]
    )
    assert_within(BOUND[op], op, compute(op, float64, x), truth_of(op, x), x)


# -------------------------------------------------------------------------------------------------
# exactness
# -------------------------------------------------------------------------------------------------


def assert_as_numpy(op: str, result: np.ndarray, expected: np.ndarray, *given: np.ndarray) -> None:
    """nan, inf and zeros with their signs are NumPy's."""
    special = ~np.isfinite(expected) | (expected == 0) | ~np.isfinite(result) | (result == 0)
    np.testing.assert_array_equal(result[special], expected[special], err_msg=op)
    signed = special & ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(result[signed]), np.signbit(expected[signed]))


@pytest.mark.parametrize("dtype", [float32, float64], ids=repr)
@pytest.mark.parametrize("op", UNARY)
def test_special_values(op: str, dtype: DType) -> None:
    x = narrow(SPECIAL, dtype)
    with np.errstate(all="ignore"):
        expected = narrow(truth_of(op, x) if op == "erf" else NUMPY[op](x), dtype)
    assert_as_numpy(op, compute(op, dtype, x), expected)


@pytest.mark.parametrize("dtype", [float32, float64], ids=repr)
@pytest.mark.parametrize("op", ["atan2", "pow"])
def test_pairs_of_special_values(op: str, dtype: DType) -> None:
    a, b = (part.ravel() for part in np.meshgrid(narrow(SPECIAL, dtype), narrow(SPECIAL, dtype)))
    with np.errstate(all="ignore"):
        expected = NUMPY[op](a, b)
    result = compute(op, dtype, a, b)
    assert_as_numpy(op, result, expected)
    assert_within(2, op, result, expected, a, b)


@pytest.mark.parametrize("dtype", [float32, float64], ids=repr)
@pytest.mark.parametrize("op", ["sin", "tanh", "expm1", "log1p"])
def test_tiny_numbers_are_their_own_value(op: str, dtype: DType) -> None:
    x = np.ldexp(np.finfo(dtype.storage).tiny, np.arange(-20, 20)).astype(dtype.storage)
    np.testing.assert_array_equal(compute(op, dtype, -x), -x)


@pytest.mark.parametrize("dtype", [float32, float64], ids=repr)
@pytest.mark.parametrize("op", ["tanh", "erf"])
def test_saturating_functions_stay_within_one(op: str, dtype: DType) -> None:
    x = np.linspace(-25, 25, 200_001).astype(dtype.storage)
    result = compute(op, dtype, x)
    assert np.abs(result).max() == 1
    assert (result[x > 20] == 1).all()


@pytest.mark.parametrize("dtype", [float32, float64], ids=repr)
def test_exact_powers(dtype: DType) -> None:
    y = narrow(np.arange(-126, 128), dtype)
    powers = compute("pow", dtype, np.full_like(y, 2), y)
    np.testing.assert_array_equal(powers, np.ldexp(np.ones_like(y), np.arange(-126, 128)))
    bases = narrow(np.arange(-40, 41), dtype)
    for exponent in (1, 2, 3, 4):
        exact = narrow(np.arange(-40, 41) ** exponent, dtype)
        result = compute("pow", dtype, bases, np.full_like(bases, exponent))
        np.testing.assert_array_equal(result, exact)


@pytest.mark.parametrize("dtype", [float32, float64], ids=repr)
def test_results_that_are_subnormal(dtype: DType) -> None:
    limits = np.finfo(dtype.storage)
    low, high = math.log(limits.smallest_subnormal) - 1, math.log(limits.tiny) + 1
    x = np.linspace(low, high, 4000).astype(dtype.storage)
    assert_within(BOUND["exp"], "exp", compute("exp", dtype, x), truth_of("exp", x), x)


@pytest.mark.parametrize("op", ["exp", "exp2"])
def test_what_is_zero_is_not_computed(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPUs take ten times as long where a product underflows, and masks are full of -inf."""
    x = np.array([-np.inf, -1e300, -1e4, -1100.0])  # the interpreter's Fma of float32 underflows
    plain = np.errstate
    monkeypatch.setattr(np, "errstate", lambda **settings: plain(**settings | {"under": "raise"}))
    result = np.ones_like(x)
    run_kernel(expanded(op, float64, x.size, 1), [result, x])
    np.testing.assert_array_equal(result, 0)
    with pytest.raises(FloatingPointError):  # so that this test can fail
        low = math.log2(np.finfo(x.dtype).smallest_subnormal) * (1 if op == "exp2" else math.log(2))
        run_kernel(expanded(op, float64, 1, 1), [result[:1], np.full(1, low + 2.3, x.dtype)])
