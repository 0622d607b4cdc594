"""int8 is storage: it is computed in int32, and wraps around where a result is int8 again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt import export
from smelt.errors import DTypeError
from smelt.ops import elementwise
from tests.export.c_targets import TARGETS

needs_gcc = pytest.mark.skipif(bool(TARGETS["gcc"].missing), reason="there is no gcc here")
X = np.array([-128, -100, -1, 0, 1, 99, 127], np.int8)


def test_arrays_keep_the_dtype() -> None:
    x = smelt.tensor(X)
    assert x.dtype is smelt.int8
    assert x.numpy().dtype == np.int8
    assert x.type() == "smelt.CharTensor"
    assert x.element_size() == 1
    assert smelt.zeros(3, dtype="int8").dtype is smelt.int8
    assert smelt.tensor([1, 2], dtype=np.int8).dtype is smelt.int8


@pytest.mark.parametrize("compiled", [False, True])
def test_arithmetic_wraps_as_in_numpy(compiled: bool) -> None:
    def function(x: smelt.Tensor, y: smelt.Tensor) -> list[smelt.Tensor]:
        results = [x + y, x * y, x - y, -x, abs(x), smelt.maximum(x, y), x // 3, x % 5, x & y, ~x]
        return [*results, smelt.relu(x), x.clamp(-5, 5), smelt.cat([x, y]), x.flip(0), x[1:3]]

    call = smelt.compile(function) if compiled else function
    y = X[::-1].copy()
    with np.errstate(over="ignore"):
        wanted = [X + y, X * y, X - y, -X, abs(X), np.maximum(X, y), X // 3, X % 5, X & y, ~X]
    wanted += [np.maximum(X, 0), X.clip(-5, 5), np.concatenate([X, y]), X[::-1], X[1:3]]
    for got, want in zip(call(smelt.tensor(X), smelt.tensor(y)), wanted, strict=True):
        assert got.dtype is smelt.int8
        np.testing.assert_array_equal(got.numpy(), want)


def test_other_dtypes_come_out_where_int8_has_no_room() -> None:
    x = smelt.tensor(X)
    assert (x.sum().item(), x.sum().dtype) == (int(X.sum()), smelt.int64)
    assert x.cumsum(0).dtype is smelt.int64
    assert (x / 2).dtype is x.float().mean().dtype is smelt.float32
    assert (x + smelt.tensor([1], dtype=smelt.int32)).dtype is smelt.int32
    assert (x < 1000).all()
    assert (x == -1).sum() == 1
    assert x.argmax().item() == 6
    with pytest.raises(DTypeError, match="does not fit int8"):
        x + 200


def test_operations_say_that_it_is_storage() -> None:
    with pytest.raises(DTypeError, match=r"int8 is for storage only, .* int32; cast with .to"):
        elementwise.add(smelt.tensor(X), smelt.tensor(X))


@needs_gcc
def test_floats_saturate_and_integers_wrap(tmp_path: Path) -> None:
    def function(x: smelt.Tensor, n: smelt.Tensor) -> list[smelt.Tensor]:
        return [x.to(smelt.int8), x.double().to(smelt.int8), n.to(smelt.int8), (x > 0).to("int8")]

    x = np.array([np.nan, np.inf, -np.inf, 127.9, -129.0, 1e20, -3.7, 3.7], np.float32)
    n = np.arange(-300, 301, 75)[:8]
    floats, integers = np.array([0, 127, -128, 127, -128, 127, -3, 3]), n.astype(np.int8)
    wanted = [floats, floats, integers, x > 0]
    eager = function(smelt.tensor(x), smelt.tensor(n))
    native = smelt.compile(function)(x, n)
    made = export.to_c(function, tmp_path, x, n)
    _, results, _ = TARGETS["gcc sanitized"].program(made)([(x, n)])
    for got in (
        [one.numpy() for one in eager],
        [one.numpy() for one in native],
        results[0],
    ):
        for array, want in zip(got, wanted, strict=True):
            assert array.dtype == np.int8
            np.testing.assert_array_equal(array, want)


def test_it_is_widened_where_it_is_read(tmp_path: Path) -> None:
    x, w = (smelt.tensor(np.ones((8, 64), np.int8)) for _ in range(2))
    step = smelt.compile(lambda x: x.to(smelt.int32) @ w.to(smelt.int32).T)
    assert (step(x) == 64).all()
    made = export.to_c(step, tmp_path, x)
    assert not made.ram  # nothing is stored as int32
    assert made.flash == {"other": 8 * 64}
