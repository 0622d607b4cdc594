"""Every primitive: eager, interpreted (as lowered and as scheduled) and compiled agree.

For each dtype that the operation takes, and for shapes with 0 and 1, broadcast and strided
operands. What IEEE defines agrees to the bit, the transcendental functions to a few units in the
last place.
"""

from __future__ import annotations

import numpy as np
import pytest

from smelt.compiler.approximate import TRANSCENDENTAL
from smelt.dtypes import ALL, DType, as_dtype, bool_, encode, float32, float64, int64
from smelt.errors import SmeltError
from smelt.ops import REGISTRY
from smelt.ops.elementwise import Elementwise
from smelt.ops.op import Op
from smelt.tensor import Tensor
from tests.compiler.engines import Case, Ran, numbers

SHAPES = [(), (1,), (0,), (3, 0), (7,), (2, 3, 5), (70,)]
PAIRS = [
    ((3, 1), (1, 4)),
    ((4,), (2, 4)),
    ((), (5,)),
    ((2, 1, 3), (4, 1)),
    ((0, 1), (3,)),
    ((70,), (1,)),
]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-30, -1e30, 100.0, -3e-5]
ULP = {"sigmoid": 4, **dict.fromkeys(TRANSCENDENTAL, 4)}
ZERO_SIGN_OPEN = {
    "maximum",
    "minimum",
    "max",
    "min",
    "relu",
}  # NumPy leaves open which zero it returns


def values(shape: tuple[int, ...], dtype: DType, seed: int) -> np.ndarray:
    """Returns numbers in storage form: small integers, or floats with what is special among
    them.
    """
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


def tensor(shape: tuple[int, ...], dtype: DType, seed: int) -> Tensor:
    return Tensor(values(shape, dtype, seed), dtype)


def elementwise_cases(op: Elementwise, dtype: DType) -> list[tuple[list[Tensor], dict]]:
    """Returns operands and attributes of calls with one dtype."""
    cases = []
    shapes = [(shape,) * op.arity for shape in SHAPES]
    if op.arity > 1:
        shapes += [(*pair, *pair[:1])[: op.arity] for pair in PAIRS]
    for seed, operand_shapes in enumerate(shapes):
        dtypes = [dtype] * op.arity if op.name != "where" else [bool_, dtype, dtype]
        cases.append([tensor(shape, kind, seed * 7 + number)
                      for number, (shape, kind)
                      in enumerate(zip(operand_shapes, dtypes, strict=True))])  # fmt: skip
    if op.name == "cast":
        return [(case, {"dtype": to, "source": dtype}) for case in cases for to in ALL]
    if op.name == "bitcast":
        same = [to for to in ALL if to.itemsize == dtype.itemsize and to is not dtype]
        return [(case, {"dtype": to}) for case in cases for to in same]
    return [(case, {}) for case in cases]


def other_cases(op: Op, dtype: DType) -> list[tuple[list[Tensor], dict]]:
    """Returns calls of the operations that are not elementwise."""

    def t(*shape, seed=0):
        return tensor(shape, dtype, seed)

    def index(*numbers):
        return Tensor(np.array(numbers, np.int64), int64)

    state = Tensor(np.array([12345, 2**32 - 2], np.int64), int64)
    table: dict[str, list[tuple[list[Tensor], dict]]] = {
        "reshape": [
            ([t(2, 6)], {"shape": shape}) for shape in ((12,), (3, 4), (2, 1, 6), (4, 3, 1))
        ]
        + [([t(0, 3)], {"shape": (3, 0, 2)}), ([t()], {"shape": (1, 1)}), ([t(1)], {"shape": ()})],
        "permute": [
            ([t(2, 3, 5)], {"axes": (2, 0, 1)}),
            ([t(33, 18)], {"axes": (1, 0)}),
            ([t()], {"axes": ()}),
            ([t(0, 2)], {"axes": (1, 0)}),
        ],
        "broadcast_to": [
            ([t(3, 1)], {"shape": (2, 3, 4)}),
            ([t()], {"shape": (5,)}),
            ([t(1)], {"shape": (0,)}),
        ],
        "slice": [
            ([t(9, 4)], {"start": (1, 0), "stop": (8, 3), "step": (3, 2)}),
            ([t(9)], {"start": (9,), "stop": (9,), "step": (1,)}),
        ],
        "pad": [
            ([t(3, 2)], {"low": (1, 0), "high": (0, 2), "step": (2, 1)}),
            ([t(0)], {"low": (2,), "high": (1,), "step": (1,)}),
            ([t()], {"low": (), "high": (), "step": ()}),
        ],
        "flip": [
            ([t(3, 4)], {"axes": (0, 1)}),
            ([t(70)], {"axes": (0,)}),
            ([t(0)], {"axes": (0,)}),
        ],
        "concatenate": [
            ([t(2, 3), t(2, 1, seed=1), t(2, 0)], {"axis": 1}),
            ([t(0), t(0)], {"axis": 0}),
            ([t(0), t(70)], {"axis": 0}),
        ],
        "matmul": [
            ([t(*a), t(*b, seed=1)], {})
            for a, b in (
                ((3, 4), (4, 5)),
                ((1, 1), (1, 1)),
                ((2, 3, 4), (4, 5)),
                ((2, 1, 3, 4), (3, 4, 2)),
                ((3, 0), (0, 2)),
                ((0, 3), (3, 2)),
                ((17, 9), (9, 35)),
            )
        ],
        "take": [
            ([t(5, 3), index(4, 0, 0)], {"axis": 0}),
            ([t(5, 3), Tensor(index(2, 0).data[:, None], int64)], {"axis": 1}),
            ([t(5), index()], {"axis": 0}),
        ],
        "scatter_add": [
            ([t(3, 2), index(4, 0, 4)], {"axis": 0, "extent": 5}),
            ([t(2, 70), index(1, 1)], {"axis": 0, "extent": 3}),
            ([t(2, 3), index(1, 0, 1)], {"axis": 1, "extent": 2}),
            ([t(0), index()], {"axis": 0, "extent": 2}),
        ],
        "argsort": [([t(3, 7)], {}), ([t(1)], {}), ([t(2, 0)], {}), ([t(33)], {})],
        "random_bits": [([state], {"shape": shape}) for shape in ((), (7,), (3, 5), (0,), (70,))],
        "after": [([t(3, 4), t(2, seed=1)], {}), ([t(), t()], {}), ([t(0), t()], {})],
        "iota": [
            ([], {"shape": (3, 4), "axis": 1}),
            ([], {"shape": (70,), "axis": 0}),
            ([], {"shape": (0,), "axis": 0}),
        ],
    }
    for name in ("cumsum", "cumprod"):
        table[name] = [
            ([t(5)], {"axis": 0}),
            ([t(3, 4)], {"axis": 0}),
            ([t(3, 4)], {"axis": 1}),
            ([t(0)], {"axis": 0}),
        ]
    reduced = [
        ((5,), (0,)),
        ((3, 4), (0,)),
        ((3, 4), (1,)),
        ((2, 3, 70), (0, 2)),
        ((4,), ()),
        ((1, 3), (0,)),
        ((0, 3), (1,)),
    ]
    for name in ("sum", "prod", "max", "min"):
        table[name] = [([t(*shape)], {"axes": axes}) for shape, axes in reduced]
    for name in ("sum", "prod"):
        table[name].append(([t(0, 3)], {"axes": (0,)}))
    return table[op.name]


def accepted(op: Op, dtype: DType) -> list[tuple[list[Tensor], dict]]:
    """Returns the calls that the operation takes; those that it refuses are none of ours."""
    cases = elementwise_cases(op, dtype) if isinstance(op, Elementwise) else other_cases(op, dtype)
    try:
        for operands, attributes in cases:
            op.infer(*operands, **attributes)
    except SmeltError:
        return []
    return cases


@pytest.mark.parametrize("dtype", ALL, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_engines_agree(name: str, dtype: DType) -> None:
    op = REGISTRY[name]
    cases = accepted(op, dtype)
    if not cases:
        pytest.skip(f"{name} does not take {dtype.name}")
    arguments = [operand for operands, _ in cases for operand in operands]

    def function(states: list[Tensor], given: list[Tensor]) -> list[Tensor]:
        pending = iter(given)
        results = []
        for operands, attributes in cases:
            own = [next(pending) for _ in operands]
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


def strided(op: Op, operands: list[Tensor], attributes: dict) -> list[Tensor]:
    """The same on operands with their elements turned round and every second one left out."""
    if (
        not isinstance(op, Elementwise)
        or len({x.shape for x in operands}) > 1
        or operands[0].ndim != 3
    ):
        return []
    turned = [x.permute(2, 0, 1) for x in operands]
    return [op(*turned, **attributes), op(*[x[:, ::2] for x in operands], **attributes)]


def compare(op: Op, case: Case, ran: Ran, wanted: Ran) -> None:
    outputs = zip(ran.outputs, wanted.outputs, case.traced.graph.outputs, strict=True)
    for got, want, node in outputs:
        got, want = numbers(got, node.dtype), numbers(want, node.dtype)
        assert got.shape == want.shape
        if (
            op.name in ("sum", "prod", "matmul", "cumsum", "cumprod", "scatter_add")
            and node.dtype.is_float
        ):
            close_sums(got, want)
        elif op.name in ULP:
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
            assert ulps(got, want) <= ULP[op.name]
        else:
            np.testing.assert_array_equal(got, want)
            if node.dtype.is_float and op.name not in ZERO_SIGN_OPEN:
                known = ~np.isnan(want)
                np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(want[known]))


def close_sums(got: np.ndarray, want: np.ndarray) -> None:
    """Sums of few numbers in another order; huge numbers among them may leave nothing of the
    small.
    """
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
        assert any(accepted(op, dtype) for dtype in ALL), op


def test_half_floats_are_stored_and_computed_wide() -> None:
    half = as_dtype("float16")
    x = Tensor(values((70,), half, 3), half)
    case = Case(lambda states, given: [(given[0] * 2 + 1).sum(), given[0] + 1], [], [x])
    wanted, got = case.eager(), case.native()
    for a, b in zip(got.outputs, wanted.outputs, strict=True):
        np.testing.assert_array_equal(a, b)
    assert {node.dtype for node in case.traced.graph.nodes()} >= {half, float32}
