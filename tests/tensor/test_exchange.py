"""Tensors and other libraries: NumPy's protocols, DLPack, operands of other classes, copies."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import dtypes
from smelt.errors import (
    ArgumentError,
    DimensionError,
    DTypeError,
    ExchangeError,
    GradientError,
    MissingExtra,
    SmeltError,
    TraceError,
)


def tensors() -> list[smelt.Tensor]:
    x = smelt.arange(6).reshape(2, 3)
    return [
        x,
        x[::-1, ::-2],
        smelt.tensor(3.0),
        smelt.zeros(0, 3),
        smelt.ones(3).expand(2, 3),
        smelt.tensor([True, False]),
        smelt.ones(2, dtype=smelt.float16),
        smelt.tensor([1.0, -2.5, np.inf], dtype=smelt.bfloat16),
    ]


def test_bytes_are_those_of_the_elements_row_by_row() -> None:
    for x in tensors():
        if x.dtype is not smelt.bfloat16:
            assert bytes(x) == x.numpy().tobytes()
            shared = memoryview(x.__buffer__(0))
            assert shared.readonly
            assert np.asarray(shared).tolist() == x.tolist()
    assert len(bytes(smelt.tensor(3))) == 8  # and not three zeros


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python asks for buffers from 3.12 on")
def test_what_takes_bytes_takes_tensors() -> None:
    x = smelt.tensor([1.0, 2.0])
    assert memoryview(x).tolist() == [1.0, 2.0]
    assert bytearray(x) == bytes(x)
    assert np.frombuffer(x, np.float32).tolist() == [1.0, 2.0]


def test_buffers_that_there_are_not() -> None:
    with pytest.raises(ExchangeError, match="no bfloat16"):
        bytes(smelt.ones(2, dtype=smelt.bfloat16))
    with pytest.raises(ExchangeError, match="read-only"):
        smelt.ones(2).__buffer__(1)
    with pytest.raises(TraceError, match="bytes"):
        smelt.compile(bytes)(smelt.ones(2))
    with pytest.raises(SmeltError):
        bytearray(smelt.tensor([1, 2]))


@pytest.mark.parametrize("copy", [None, True])
@pytest.mark.parametrize("number", range(len(tensors())))
def test_dlpack_both_ways(number: int, copy: bool | None) -> None:
    x = tensors()[number]
    again = smelt.from_dlpack(x, copy=copy)
    assert again.dtype is x.dtype
    assert again.tolist() == x.tolist()
    if x.dtype is not dtypes.bfloat16:
        assert np.from_dlpack(x).tolist() == x.tolist()


def test_what_leaves_by_dlpack_cannot_change_the_tensor() -> None:
    x = smelt.tensor([1.0, 2.0])
    taken = np.from_dlpack(x, copy=True)
    taken[0] = 5
    shared = np.from_dlpack(x, copy=False)
    assert np.shares_memory(shared, x.stored)
    assert not shared.flags.writeable
    assert not np.shares_memory(np.from_dlpack(x), x.stored)
    assert x.tolist() == [1, 2]


@pytest.mark.parametrize(
    "options",
    [
        {"stream": 1},
        {"dl_device": (2, 0)},
        {"copy": False},
        {"copy": False, "max_version": (0, 8)},
    ],
)
def test_dlpack_says_what_it_cannot_share(options: dict[str, Any]) -> None:
    with pytest.raises(ExchangeError) as caught:
        smelt.ones(2).__dlpack__(**options)
    assert isinstance(caught.value, BufferError)
    with pytest.raises(ExchangeError, match="backward"):
        smelt.ones(3)[::-1].__dlpack__(copy=False, max_version=(1, 0))


def test_from_dlpack_widens_or_says_that_it_would() -> None:
    small = np.array([1, 2], np.uint8)
    assert smelt.from_dlpack(small).dtype is smelt.int32
    with pytest.raises(DTypeError, match="leave copy out"):
        smelt.from_dlpack(small, copy=False)
    with pytest.raises(DTypeError):
        smelt.from_dlpack(np.ones(2, np.complex64))
    with pytest.raises(ArgumentError, match="needs an object with __dlpack__"):
        smelt.from_dlpack([1.0])
    with pytest.raises(ArgumentError):
        smelt.from_dlpack(small, device="cuda")
    source = np.array([1.0, 2.0])
    assert np.shares_memory(smelt.from_dlpack(source, device="cpu").stored, source)
    assert not np.shares_memory(smelt.from_dlpack(source, copy=True).stored, source)


def test_asarray_copies_when_asked_and_says_when_it_must() -> None:
    x = smelt.tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(x), x.stored)
    assert not np.shares_memory(np.array(x), x.stored)
    assert np.array(x).flags.writeable
    assert np.asarray(x, copy=False) is not None
    for given, dtype in ((x, np.float64), (x.to(smelt.bfloat16), None)):
        with pytest.raises(ArgumentError, match="copy=False"):
            np.asarray(given, dtype, copy=False)
        assert np.asarray(given, dtype).tolist() == [1, 2]


@pytest.mark.parametrize("kind", [">f4", ">f8", ">i2", ">i4", ">i8", ">u2"])
def test_big_endian_arrays(kind: str) -> None:
    array = np.array([1, 2, 3], kind)
    assert smelt.tensor(array).tolist() == [1, 2, 3]
    assert (smelt.ones(3) + array).tolist() == [2, 3, 4]
    assert smelt.compile(lambda x: x * 2)(array).tolist() == [2, 4, 6]


def test_ufuncs_of_numpy_are_those_of_smelt() -> None:
    x = smelt.tensor([1.0, 2.0], requires_grad=True)
    y = np.sin(x) + np.float64(2) * x + np.array([1, 2], np.float32) * x
    assert isinstance(y, smelt.Tensor)
    assert y.dtype is smelt.float32
    y.sum().backward()
    np.testing.assert_allclose(x.grad, np.cos([1, 2]) + 2 + np.array([1, 2]), rtol=1e-6)
    with smelt.no_grad():
        compiled = smelt.compile(lambda x: np.exp(x) * np.float32(2))(x)
    np.testing.assert_allclose(compiled, 2 * np.exp([1, 2]), rtol=1e-6)


def test_other_functions_of_numpy_work_on_values_and_lose_no_gradient() -> None:
    x = smelt.tensor([1.0, 2.0])
    assert np.mean(x) == 1.5
    assert np.concatenate([x, x]).tolist() == [1, 2, 1, 2]
    array = np.ones(2)
    array += x
    assert array.tolist() == [2, 3]
    x.requires_grad_()
    assert np.allclose(x, x)
    assert np.shape(x) == (2,)
    for call in (lambda: np.mean(x), lambda: np.add.reduce(x), lambda: np.add(x, 1, out=array)):
        with pytest.raises(GradientError, match="would lose it"):
            call()
    assert array.tolist() == [2, 3]
    with pytest.raises(TraceError, match="NumPy's mean"):
        smelt.compile(lambda x: np.mean(x))(x)


class Foreign:
    def __radd__(self, other: Any) -> str:
        return "sum"

    def __rmatmul__(self, other: Any) -> str:
        return "product"

    def __gt__(self, other: Any) -> str:
        return "order"


def test_operators_leave_foreign_operands_to_their_class() -> None:
    x = smelt.ones(2)
    assert (x + Foreign(), x @ Foreign(), x < Foreign()) == ("sum", "product", "order")
    assert (x is None) is False
    assert (x is not None) is True
    assert (x == "a") is False
    assert x in [None, x]
    assert x not in [None, "a"]
    assert 1 in x
    assert 2 not in x
    assert None not in x
    for call in (lambda: x + None, lambda: None - x, lambda: x < "a", lambda: x - Foreign()):
        with pytest.raises(DTypeError):
            call()
    assert [part.tolist() for part in divmod(smelt.tensor([7]), 2)] == [[3], [1]]


def test_numbers_leave_as_python_expects() -> None:
    assert f"{smelt.tensor(1.5)} {smelt.tensor(1.5):.3f} {smelt.tensor(3):04d}" == "1.5 1.500 0003"
    assert f"{smelt.tensor([1, 2])}" == "tensor([1, 2])"
    with pytest.raises(ArgumentError, match="format"):
        format(smelt.tensor(1.5), "q")
    for call in (len, iter):
        with pytest.raises(DimensionError) as caught:
            call(smelt.tensor(1.0))
        assert isinstance(caught.value, TypeError)
    for value in (np.nan, np.inf):
        with pytest.raises(ArgumentError, match="finite"):
            int(smelt.tensor(value))


def test_copies_keep_gradients() -> None:
    x = smelt.tensor([1.0], requires_grad=True)
    (x * 2).sum().backward()
    for again in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert again.grad.tolist() == [2]
        assert again.requires_grad
        again.grad.copy_([3.0])
    assert x.grad.tolist() == [2]


def test_errors_can_be_pickled() -> None:
    kinds = [SmeltError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        arguments = ("a feature", "files") if kind is MissingExtra else ("what is wrong",)
        error = kind(*arguments)
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is kind
        assert str(again) == str(error)
