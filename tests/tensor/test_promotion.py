"""The dtype of a result, against a second implementation of the text in docs/dtypes.md."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt import dtypes
from smelt.errors import DTypeError
from smelt.tensor import Tensor

PAGE = Path(__file__).parents[2] / "docs" / "dtypes.md"
NAMES = ["bool", "int8", "int32", "int64", "float16", "bfloat16", "float32", "float64"]
NUMBERS = {"bool": True, "int64": 2, "float32": 2.5}
x64 = smelt.tensor([0.3, 0.7], dtype=smelt.float64)


def table() -> dict[tuple[str, str], str]:
    """What the page's table says of two names."""
    rows = [
        [cell.strip(" *") for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| **")
    ]
    return {(row[0], name): cell for row in rows for name, cell in zip(NAMES, row[1:], strict=True)}


TABLE = table()


def kind(name: str) -> int:
    return 0 if name == "bool" else 1 if name.startswith("int") else 2


def expected(operands: list[tuple[int, str]]) -> str:
    """The page's text: pairs of a standing (1 to 3) and the name of a dtype."""
    result = ""
    for standing in (1, 2, 3):
        together = ""
        for name in (name for given, name in operands if given == standing):
            together = TABLE[together, name] if together else name
        if together and (not result or kind(together) > kind(result)):
            result = together
    return result


def test_the_table_is_complete_and_symmetric() -> None:
    assert len(TABLE) == len(NAMES) ** 2
    assert all(TABLE[a, b] == TABLE[b, a] for a, b in TABLE)


def operand(standing: int, name: str) -> object:
    if standing == 3:
        return NUMBERS[name]
    value = smelt.ones(2) if standing == 1 else smelt.ones(())
    return value.to(dtypes.as_dtype(name))


OPERANDS = [(standing, name) for standing in (1, 2) for name in NAMES]
OPERANDS += [(3, name) for name in NUMBERS]


@pytest.mark.parametrize("first", OPERANDS, ids=str)
def test_two_operands(first: tuple[int, str]) -> None:
    for second in OPERANDS:
        if first[0] == second[0] == 3:
            continue
        a, b = operand(*first), operand(*second)
        name = expected([first, second])
        assert (a + b).dtype.name == (b + a).dtype.name == name
        assert smelt.where(smelt.tensor(True), a, b).dtype.name == name
        assert smelt.maximum(a, b).dtype.name == name
        assert (a == b).dtype is smelt.bool_


@pytest.mark.parametrize("kept", ["bool", "int64", "float16", "float32"])
def test_three_operands(kept: str) -> None:
    for standings in itertools.product((1, 2), repeat=2):
        for names in itertools.product(NAMES, repeat=2):
            given = [(1, kept), *zip(standings, names, strict=True)]
            joined = smelt.stack([part.expand(2) for part in (operand(*g) for g in given)])
            assert joined.dtype.name == expected([(1, name) for _, name in given])
            x, low, high = (operand(*pair) for pair in given)
            assert x.clamp(low, high).dtype.name == expected(given)


def test_compiled_code_promotes_alike() -> None:
    half, one = smelt.ones(2).half(), smelt.tensor(2.0, dtype=smelt.float64)
    step = smelt.compile(lambda x, n: (x * n, smelt.lerp(x, n, 0.5), x.long() * n))
    assert [y.dtype.name for y in step(half, one)] == ["float16", "float16", "float64"]


WEAK = {
    "add": lambda x, n: x + n,
    "pow": lambda x, n: smelt.pow(n, x),
    "exponent": lambda x, n: x**n,
    "lerp": lambda x, n: smelt.lerp(x, n, 0.5),
    "weight": lambda x, n: smelt.lerp(x, x + 1, n),
    "start": lambda x, n: smelt.lerp(n, x, 0.5),
    "maximum": smelt.maximum,
    "atan2": lambda x, n: smelt.atan2(n, x),
    "where": lambda x, n: smelt.where(x > 0.5, x, n),
    "clamp": lambda x, n: x.clamp(n, n),
    "isclose": lambda x, n: smelt.isclose(n, smelt.full_like(x, n), 0.0, 0.0),
    "masked_fill": lambda x, n: x.masked_fill(x > 0.5, n),
    "at": lambda x, n: x.at[0].set(n),
    "stack": lambda x, n: smelt.stack([x[0], n]),
    "list": lambda x, n: smelt.add(x, [n, n]),
    "product": lambda x, n: x @ [n, n],
    "mse_loss": lambda x, n: smelt.nn.functional.mse_loss(x, [n, n]),
    "cross_entropy": lambda x, n: smelt.nn.functional.cross_entropy(x, [n, 1 - n]),
}


@pytest.mark.parametrize("name", WEAK)
@pytest.mark.parametrize("number", [float, np.float64], ids=["python", "numpy"])
def test_numbers_are_not_rounded_before_they_meet_float64(name: str, number: type) -> None:
    if name in ("list", "product", "mse_loss", "cross_entropy") and number is np.float64:
        pytest.skip("such a list is an array")
    got = WEAK[name](x64, number(0.1))
    exact = smelt.tensor(0.1, dtype=smelt.float64)
    listed = name in ("list", "product", "mse_loss", "cross_entropy")
    want = WEAK[name](x64, exact.item() if listed else exact)
    assert got.dtype is want.dtype
    if not listed:
        assert got.tolist() == want.tolist()
    if name == "mse_loss":
        assert got.item() == ((0.3 - 0.1) ** 2 + (0.7 - 0.1) ** 2) / 2
    if name == "list":
        assert got.tolist() == [0.3 + 0.1, 0.7 + 0.1]


def test_data_keep_numpy_s_dtypes() -> None:
    assert smelt.tensor([np.float64(1e-300)]).tolist() == [1e-300]
    assert smelt.tensor([[1, np.float64(0.1)], [0.1, 2]]).tolist() == [[1, 0.1], [0.1, 2]]
    assert smelt.tensor([smelt.tensor(0.1, dtype=smelt.float64)]).tolist() == [0.1]
    assert smelt.tensor([np.float32(1), 0.5]).dtype is smelt.float32
    assert smelt.tensor([1, True, 0.5]).dtype is smelt.float32
    assert smelt.tensor([True, 2]).dtype is smelt.int64
    assert smelt.tensor([]).dtype is smelt.float32


@pytest.mark.parametrize(
    "call",
    [
        lambda: smelt.tensor(2**40, dtype=smelt.int32),
        lambda: smelt.tensor([1, -(2**31) - 1], dtype=smelt.int32),
        lambda: smelt.tensor(np.int64(2**40), dtype=smelt.int32),
        lambda: smelt.tensor(float("nan"), dtype=smelt.int64),
        lambda: smelt.tensor(2.0**63, dtype=smelt.int64),
        lambda: smelt.tensor(2**63),
        lambda: smelt.tensor(2**70),
        lambda: smelt.full((2,), 2**31, dtype=smelt.int32),
        lambda: smelt.ones(2).int() + 2**31,
        lambda: smelt.ones(2).int().masked_fill(smelt.tensor(True), 2**31),
        lambda: smelt.ones(2).int().at[0].set(2**31),
        lambda: smelt.compile(lambda x: x * 2**31)(smelt.ones(2).int()),
        lambda: smelt.nn.functional.pad(smelt.ones(2).int(), (1, 1), value=2**31),
    ],
)
def test_numbers_that_do_not_fit_are_refused(call) -> None:
    with pytest.raises(DTypeError, match="does not fit|dtype uint64"):
        call()


def test_bounds_saturate_and_comparisons_are_exact() -> None:
    x: Tensor = smelt.tensor([1, -5], dtype=smelt.int32)
    assert x.clamp(-(2**40), 2**40).tolist() == [1, -5]
    assert x.clamp(min=2**40).tolist() == [2**31 - 1] * 2
    assert x.clamp(max=2**40).dtype is smelt.int32
    assert (x < 2**40).tolist() == (x != 2**40).tolist() == [True, True]
    assert (x > -(2**40)).tolist() == [True, True]
    assert smelt.compile(lambda x: x < 2**40)(x).tolist() == [True, True]


@pytest.mark.parametrize("names", [("float64", "bfloat16", "float32"), ("bfloat16",) * 3])
def test_three_operands_take_one_dtype_and_are_rounded_once(names) -> None:
    rng = np.random.default_rng(0)
    given = [smelt.tensor(rng.normal(size=50)).to(name) for name in names]
    x, a, b = (operand.to("float64").numpy() for operand in given)
    for function, want in ((smelt.addcmul, x + 3 * (a * b)), (smelt.addcdiv, x + 3 * (a / b))):
        rounded = smelt.tensor(want.astype(np.float32) if names[0] == "bfloat16" else want)
        call = lambda *given, f=function: f(*given, value=3)  # noqa: E731
        for got in (call(*given), smelt.compile(call)(*given)):
            assert got.dtype.name == names[0]
            np.testing.assert_allclose(
                got.to("float64").numpy(),
                rounded.to(names[0]).to("float64").numpy(),
                rtol=1e-14 if names[0] == "float64" else 0,
            )


@pytest.mark.parametrize(
    ("asked", "wider"),
    [
        ("uint8", "int32"),
        (np.uint8, "int32"),
        ("int16", "int32"),
        (np.int16, "int32"),
        ("uint32", "int64"),
    ],
)
def test_a_dtype_that_is_asked_for_must_be_there(asked: object, wider: str) -> None:
    for call in (
        lambda: smelt.zeros(2, dtype=asked),
        lambda: smelt.tensor([1], dtype=asked),
        lambda: smelt.ones(1).to(asked),
        lambda: smelt.arange(3, dtype=asked),
    ):
        with pytest.raises(DTypeError, match=f"is not supported: use {wider}, which can hold all"):
            call()
    assert smelt.tensor(np.ones(2, asked)).dtype.name == wider  # type: ignore[call-overload]
