"""Every primitive: eager, interpreted (as lowered and as scheduled) and compiled agree.

On the cases of `cases.py`, for each dtype that the operation takes, with nan, infinities and the
ends of the integers among the numbers, and on strided operands. What IEEE defines agrees to the
bit; what is made of transcendental functions to a few units in the last place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from smelt.compiler.codegen.transcendental import TRANSCENDENTAL
from smelt.dtypes import ALL, DType, bfloat16, bool_, encode, float16, float32, float64
from smelt.errors import SmeltError
from smelt.ir.loops import Binary, Unary, Variable, walk
from smelt.ops import REGISTRY
from smelt.ops.elementwise import FLOAT, NUMBER, Elementwise, bitcast
from smelt.ops.op import Op
from smelt.tensor import Tensor, as_tensor
from tests.compiler.engines import Case, Ran, numbers
from tests.ops import cases

Call = tuple[list[Tensor], dict[str, Any]]  # operands and attributes
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-30, -1e30, 100.0, -3e-5]
SUMS = {
    "sum",
    "prod",
    "matmul",
    "convolution",
    "cumsum",
    "cumprod",
    "scatter_add",
    "window_put",
}  # in an order of their own
ULP = 4  # where a transcendental function is involved
# with a target that is no probability two logarithms are subtracted
ULPS = {"binary_cross_entropy": 64}
# NumPy leaves open which zero it returns
ZERO_SIGN_OPEN = {"maximum", "minimum", "max", "min", "relu"}


def values(shape: tuple[int, ...], dtype: DType, seed: int) -> np.ndarray:
    """Returns storage: small integers, or floats, with what is special of each among them."""
    draw = np.random.default_rng(seed)
    if dtype is bool_:
        return np.asarray(draw.random(shape) < 0.5)
    if dtype.kind == "int":
        array = draw.integers(-9, 10, shape)
        extremes = np.iinfo(dtype.storage)
        return np.where(
            draw.random(shape) < 0.1, draw.choice([extremes.min, extremes.max], shape), array
        ).astype(dtype.storage)
    array = draw.standard_normal(shape) * 3
    array = np.where(draw.random(shape) < 0.4, draw.choice(SPECIAL, shape), array)
    with np.errstate(all="ignore"):
        return np.asarray(
            encode(array.astype(np.float64 if dtype is float64 else np.float32), dtype)
        )


def calls(op: Op, dtype: DType) -> list[Call]:
    """Returns the operation's cases with operands of one dtype, but those that it refuses."""
    own = [case for case in cases.CASES if case.name == op.name]
    every = [(operands(case, dtype, seed), case.attributes) for seed, case in enumerate(own)]
    return [call for call in every if takes(op, call)]


def takes(op: Op, call: Call) -> bool:
    given, attributes = call
    try:
        op.infer(*given, **attributes)
    except SmeltError:
        return False
    return True


def operands(case: cases.Case, dtype: DType, seed: int) -> list[Tensor]:
    """Returns the operands of a case: what it fixes, a condition, or numbers of the dtype."""
    made = []
    for place, shape in enumerate(case.shapes):
        kind = bool_ if case.condition and place == 0 else dtype
        drawn = Tensor(values(shape, kind, seed * 7 + place), kind)
        made.append(as_tensor(case.fixed[place]) if place in case.fixed else drawn)
    return made


@pytest.mark.parametrize("dtype", ALL, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_engines_agree(name: str, dtype: DType) -> None:
    op = REGISTRY[name]
    tried = calls(op, dtype)
    if not tried:
        pytest.skip(f"{name} does not take {dtype.name}")
    arguments = [operand for given, _ in tried for operand in given]

    def function(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
        pending = iter(given)
        results = []
        for called, attributes in tried:
            own = [next(pending) for _ in called]
            results.append(op(*own, **attributes))
            results += strided(op, own, attributes)
        return results

    case = Case(function, [], arguments)
    wanted = case.eager()
    for ran in (
        case.interpreted(case.stages.lowered),
        case.interpreted(case.stages.program),
        case.native(),
    ):
        compare(op, case, ran, wanted)


def strided(op: Op, given: list[Tensor], attributes: dict[str, Any]) -> list[Tensor]:
    """The same on operands with their axes turned round, and every second element left out."""
    alike = len({x.shape for x in given}) == 1 and given[0].ndim == 3
    if not isinstance(op, Elementwise) or not alike:
        return []
    turned = [x.permute(2, 0, 1) for x in given]
    return [op(*turned, **attributes), op(*[x[:, ::2] for x in given], **attributes)]


def compare(op: Op, case: Case, ran: Ran, wanted: Ran) -> None:
    outputs = zip(ran.outputs, wanted.outputs, case.traced.graph.outputs, strict=True)
    for got, want, node in outputs:
        got, want = numbers(got, node.dtype), numbers(want, node.dtype)
        assert got.shape == want.shape
        if op.name in SUMS and node.dtype.is_float:
            close_sums(got, want)
        elif node.dtype.is_float and is_transcendental(op, node.dtype):
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
            assert ulps(got, want) <= ULPS.get(op.name, ULP)
        else:
            np.testing.assert_array_equal(got, want)
            if node.dtype.is_float and op.name not in ZERO_SIGN_OPEN:
                known = ~np.isnan(want)
                np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(want[known]))


def is_transcendental(op: Op, dtype: DType) -> bool:
    """Whether one of the functions that are approximated stands in the card's expression."""
    if not isinstance(op, Elementwise) or op.accepts not in (FLOAT, NUMBER) or not dtype.is_float:
        return False
    expression = op.express(*[Variable(f"x{place}", dtype) for place in range(op.arity)])
    parts = [part for part in walk(expression) if isinstance(part, (Unary, Binary))]
    return not TRANSCENDENTAL.isdisjoint(part.op for part in parts)


def close_sums(got: np.ndarray, want: np.ndarray) -> None:
    """In another order the small numbers may vanish beside the huge ones."""
    largest = np.abs(want[np.isfinite(want)]).max(initial=0.0)
    rtol = 100 * np.finfo(want.dtype).eps
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * largest)


def ulps(got: np.ndarray, want: np.ndarray) -> float:
    """Returns the largest distance in units in the last place of what is wanted."""
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite & ~np.isnan(want)], want[~finite & ~np.isnan(want)])
    spacing = np.spacing(np.maximum(np.abs(want[finite]), np.finfo(want.dtype).tiny))
    return float((np.abs(got[finite] - want[finite]) / spacing).max(initial=0.0))


def test_each_family_was_tried_with_some_dtype() -> None:
    for op in REGISTRY.values():
        assert any(calls(op, dtype) for dtype in ALL), op


def test_half_floats_are_stored_and_computed_wide() -> None:
    x = Tensor(values((70,), float16, 3), float16)
    case = Case(lambda states, given: [(given[0] * 2 + 1).sum(), given[0] + 1], [], [x])
    same_bits(case)
    assert {node.dtype for node in case.traced.graph.nodes()} >= {float16, float32}


def test_half_floats_can_be_read_as_each_other() -> None:
    x = Tensor(values((70,), float16, 3), float16)
    y = Tensor(values((70,), bfloat16, 4), bfloat16)
    same_bits(
        Case(
            lambda states, given: [
                bitcast(given[0], dtype=bfloat16),
                bitcast(given[1], dtype=float16),
            ],
            [],
            [x, y],
        )
    )


def same_bits(case: Case) -> None:
    for got, want in zip(case.native().outputs, case.eager().outputs, strict=True):
        np.testing.assert_array_equal(got, want)
