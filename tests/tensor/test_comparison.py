"""Integers compare exactly with numbers of every size and kind, as Python's do."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest

import smelt
from smelt.errors import DTypeError

COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
NUMBERS = [
    *(sign * number for number in (2**70, 10**400, 2**63, 2**63 - 1, 2**31, 5) for sign in (1, -1)),
    *(math.inf, -math.inf, math.nan, 2.5, -2.5, 2.0**63, -(2.0**63), 2.0**31, 1e30, 16777216.0),
    *(np.float64(0.5), np.uint64(2**64 - 1), np.int32(-1), np.float32(math.inf), True, 0.0),
]
ELEMENTS = {
    smelt.bool_: [False, True],
    smelt.int32: [0, 1, 2, 3, -3, 5, 16777217, 2**31 - 1, -(2**31)],
    smelt.int64: [0, 1, 2, 3, -3, 5, 16777217, 2**63 - 1, -(2**63), 2**31],
}
dtypes = pytest.mark.parametrize("dtype", ELEMENTS, ids=repr)


def plain(number: object) -> object:
    return number.item() if isinstance(number, np.generic) else number


@dtypes
@pytest.mark.parametrize("compare", COMPARISONS)
def test_tensors_beside_numbers(compare, dtype) -> None:
    x = smelt.tensor(ELEMENTS[dtype], dtype=dtype)
    for number in NUMBERS:
        expected = [compare(element, plain(number)) for element in ELEMENTS[dtype]]
        mirrored = [compare(plain(number), element) for element in ELEMENTS[dtype]]
        assert compare(x, number).tolist() == expected, number
        assert compare(number, x).tolist() == mirrored, number
        assert getattr(smelt, compare.__name__)(x, number).tolist() == expected, number


@dtypes
@pytest.mark.parametrize("compare", COMPARISONS)
def test_tensors_beside_lists(compare, dtype) -> None:
    x = smelt.tensor(ELEMENTS[dtype], dtype=dtype).unsqueeze(1)
    expected = [[compare(e, plain(n)) for n in NUMBERS] for e in ELEMENTS[dtype]]
    assert compare(x, NUMBERS).tolist() == expected
    nested = compare(x.unsqueeze(2), [NUMBERS[:4], NUMBERS[4:8]])
    assert nested.flatten(1).tolist() == [row[:8] for row in expected]


@dtypes
def test_compiled_and_batched(dtype) -> None:
    x = smelt.tensor(ELEMENTS[dtype], dtype=dtype)

    def every(x):
        return [compare(x, number) for compare in COMPARISONS for number in NUMBERS]

    expected = [y.tolist() for y in every(x)]
    assert [y.tolist() for y in smelt.compile(every)(x)] == expected
    assert [y.tolist() for y in smelt.vmap(every)(x)] == expected


def test_integers_of_two_dtypes() -> None:
    x = smelt.tensor([0, 1], dtype=smelt.int32)
    assert (x == smelt.tensor(2**32)).tolist() == [False, False]
    assert (x < smelt.tensor([2**32])).tolist() == [True, True]


def test_what_uses_comparisons() -> None:
    x = smelt.tensor([1, 2])
    assert 2**70 not in x
    assert smelt.where(x < 2**70, x, 0).tolist() == [1, 2]
    assert x[x == 2**70].tolist() == []
    assert np.less(x, 2**70).tolist() == [True, True]
    assert smelt.scan(lambda h, _: (h, x < 2**70), None, length=2)[1].shape == (2, 2)


def test_floats_beside_integers_beyond_int64() -> None:
    x = smelt.tensor([1.0, 2.0**70])
    assert (x == 2**70).tolist() == [False, True]
    assert (x - 2**70).tolist() == [-(2.0**70), 0.0]
    with pytest.raises(DTypeError, match="does not fit"):
        smelt.tensor([1]) + 2**70
