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
    AssignmentError,
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
    with pytest.raises(ExchangeError, match="cannot hold bfloat16"):
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
    with pytest.raises(ExchangeError, match="negative stride"):
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
        with pytest.raises(GradientError, match="would lose the gradient"):
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


@pytest.mark.parametrize(
    "other",
    [np.str_("a"), np.bytes_(b"a"), np.void(b"a"), np.timedelta64(1), np.datetime64("2020"), "a"],
)
def test_what_is_no_number_is_unequal_and_combines_with_nothing(other: Any) -> None:
    x = smelt.ones(2)
    assert (x == other) is (other in x) is False
    assert (x != other) is True
    if not isinstance(other, np.void):  # which NumPy compares with nothing
        assert (other == x) is (x in [other]) is False
        assert (other != x) is True
    for call in (lambda: x + other, lambda: x * other, lambda: x < other):
        with pytest.raises(DTypeError):
            call()


def test_an_imaginary_part_is_never_dropped() -> None:
    x = smelt.ones(2)
    for number in (1j, np.complex64(1j), np.complex128(2), np.array([1j])):
        for call in (
            lambda n: x + n,
            lambda n: n * x,
            lambda n: smelt.maximum(x, n),
            lambda n: smelt.where(x > 0, x, n),
            lambda n: smelt.tensor(n, dtype=smelt.float32),
            lambda n: x.at[0].set(n),
            lambda n: smelt.compile(lambda x: x * n)(x),
        ):
            with pytest.raises(DTypeError):
                call(number)


def test_masked_elements_are_never_read() -> None:
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    for call in (
        lambda: smelt.tensor(masked),
        lambda: smelt.ones(2) + masked,
        lambda: smelt.compile(lambda x: x * 2)(masked),
    ):
        with pytest.raises(ArgumentError, match="1 of 2 elements are masked"):
            call()
    assert smelt.tensor(np.ma.array([1.0, 2.0])).tolist() == [1, 2]


def test_operators_that_tensors_lack_say_what_to_write() -> None:
    x = smelt.tensor([1, 2])
    for call in (
        lambda: x << 1, lambda: x >> 1, lambda: 1 << x, lambda: 1 >> x, lambda: pow(x, 2, 3),
        lambda: round(x), lambda: round(x, 1),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=r"[Ww]rite x"):
            call()


def test_a_foreign_divmod_and_shift_are_asked() -> None:
    class Whole:
        def __rdivmod__(self, other: Any) -> str:
            return "divmod"

        def __rlshift__(self, other: Any) -> str:
            return "shift"

    assert divmod(smelt.ones(2), Whole()) == "divmod"
    assert smelt.ones(2) << Whole() == "shift"


def test_numpy_changes_no_tensor() -> None:
    x = smelt.eye(2)
    for call in (
        lambda: np.add.at(x, [0], 1),
        lambda: np.add(x, 1, out=x),
        lambda: np.sum(x, 0, out=x[0]),
        lambda: np.clip(np.ones((2, 2)), 0, 2, out=x),
        lambda: np.copyto(x, np.ones((2, 2))),
        lambda: np.put(x, [0], 5),
        lambda: np.place(x, np.eye(2) > 0, 9),
        lambda: np.putmask(x, np.eye(2) > 0, 9),
        lambda: np.fill_diagonal(x, 3),
        lambda: np.put_along_axis(x, np.zeros((1, 2), int), 7, 0),
    ):
        with pytest.raises(AssignmentError, match="tensors are values"):
            call()
    assert x.tolist() == [[1, 0], [0, 1]]
    sums = np.zeros(2)
    np.add.at(sums, [0, 1, 1], smelt.ones(3))
    np.copyto(sums[:1], smelt.zeros(1))
    assert sums.tolist() == [0, 2]


def test_dlpack_loses_no_gradient() -> None:
    x = smelt.ones(2, requires_grad=True)
    for tensor in (x, x * 2, smelt.nn.Parameter(smelt.ones(2))):
        with pytest.raises(ExchangeError, match="would lose the gradient; export x.detach"):
            np.from_dlpack(tensor)
        assert np.from_dlpack(tensor.detach()).shape == (2,)
        with smelt.no_grad():
            assert np.from_dlpack(tensor).shape == (2,)
    with pytest.raises(ArgumentError, match="would lose the gradient"):
        smelt.grad(lambda x: smelt.from_dlpack(x).sum())(smelt.ones(2))


@pytest.mark.parametrize(
    "options",
    [{"max_version": 1}, {"max_version": "a"}, {"dl_device": "cpu"}, {"dl_device": 1}],
)
def test_dlpack_says_what_it_does_not_understand(options: dict[str, Any]) -> None:
    with pytest.raises(ExchangeError, match="must be a pair of whole numbers"):
        smelt.ones(2).__dlpack__(**options)


def test_an_error_within_a_copy_names_the_users_line() -> None:
    computed = smelt.ones(2, requires_grad=True) * 2
    with pytest.raises(GradientError, match="test_exchange.py"):
        copy.deepcopy({"x": [computed]})
