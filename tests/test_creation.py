"""Making tensors: values, dtypes, memory, and what a compiled step stores of them."""

import numpy as np
import pytest

from smelt import creation, dtypes
from smelt.creation import tensor
from smelt.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from smelt.tracing.engine import no_grad


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1, dtypes.int64),
        (1.5, dtypes.float32),
        (True, dtypes.bool_),
        ([1, 2.5], dtypes.float32),
        (np.float64(1), dtypes.float64),
        (np.zeros(2, np.float16), dtypes.float16),
        (np.zeros(2, np.uint8), dtypes.int32),
        ([[1], [2]], dtypes.int64),
        (range(3), dtypes.int64),
    ],
)
def test_the_dtype_follows_the_data(data, dtype):
    x = tensor(data)
    assert x.dtype is dtype
    assert (x.numpy() == np.asarray(data)).all()


def test_tensor_copies():
    array = np.arange(3.0)
    x = tensor(array)
    array[0] = 9
    y = tensor(x)
    with no_grad():
        x.copy_(x + 1)
    assert x.tolist() == [1, 2, 3]
    assert y.tolist() == [0, 1, 2]
    assert tensor(np.arange(6).reshape(2, 3).T).stored.flags.c_contiguous
    assert tensor([tensor(1.0), 2.0]).tolist() == [1, 2]
    assert tensor([1, 2], dtype="float64", requires_grad=True).requires_grad
    assert not tensor(tensor([1.0], requires_grad=True) * 2).requires_grad


def test_data_that_are_not_numbers():
    for data in ("word", [[1], [2, 3]], object(), np.array([1j])):
        with pytest.raises(DTypeError):
            tensor(data)
    with pytest.raises(DTypeError, match="only float"):
        tensor([1], requires_grad=True)


def test_from_numpy_shares_and_locks():
    array = np.arange(3.0)
    x = creation.from_numpy(array)
    assert np.shares_memory(x.numpy(), array)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(DTypeError, match="copies"):
        creation.from_numpy(np.zeros(2, np.uint8))
    with pytest.raises(DTypeError, match="list"):
        creation.from_numpy([1])


def test_from_dlpack():
    x = creation.from_dlpack(np.arange(3.0))
    assert x.tolist() == [0, 1, 2]
    assert creation.from_dlpack(tensor([1, 2])).tolist() == [1, 2]


def test_filled():
    assert creation.zeros(2, 3).shape == creation.zeros((2, 3)).shape == (2, 3)
    assert creation.ones(2, dtype="int32").dtype is dtypes.int32
    assert creation.full((2,), 2.5).tolist() == [2.5, 2.5]
    assert creation.full(2, 7).dtype is dtypes.int64
    assert creation.full((), True).item() is True
    assert creation.full((2,), tensor([1.5])).tolist() == [1.5, 1.5]
    assert creation.empty(3).tolist() == [0, 0, 0]
    x = tensor([[1.0, 2.0]]).to("float16")
    for make, value in (
        (creation.zeros_like, 0),
        (creation.ones_like, 1),
        (creation.empty_like, 0),
    ):
        assert make(x).dtype is dtypes.float16
        assert make(x, dtype="int64").tolist() == [[value, value]]
    assert creation.full_like(x, 3).tolist() == [[3, 3]]
    assert creation.full((2,), 1.5, "bfloat16").numpy().tolist() == [1.5, 1.5]
    with pytest.raises(ShapeError, match="negative"):
        creation.zeros(2, -1)


def test_filled_tensors_are_state_that_can_change():
    x = creation.zeros(3, requires_grad=True)
    with no_grad():
        x.copy_([1.0, 2.0, 3.0])
    assert x.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "given", [(5,), (2, 5), (5, 2, -1), (0, 10, 3), (0.0, 1.0, 0.25), (3, 3), (5, 2), (1.5, 4)]
)
def test_arange(given):
    found, expected = creation.arange(*given), np.arange(*given)
    assert found.dtype is (dtypes.int64 if expected.dtype.kind == "i" else dtypes.float32)
    assert found.tolist() == expected.tolist()


def test_arange_errors_and_dtype():
    assert creation.arange(3, dtype="float64").dtype is dtypes.float64
    with pytest.raises(ArgumentError, match="step"):
        creation.arange(0, 1, 0)


def test_ranges_that_a_dtype_lacks_are_refused():
    assert creation.arange(2**31 - 2, 2**31, dtype="int32").tolist() == [2**31 - 2, 2**31 - 1]
    with pytest.raises(DTypeError, match="does not fit int32"):
        creation.arange(2**31 - 1, 2**31 + 1, dtype="int32")
    with pytest.raises(DTypeError, match="does not fit int32"):
        creation.linspace(0, 2**40, 3, dtype="int32")


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 100])
def test_linspace(steps):
    found = creation.linspace(-0.3, 2.2, steps, dtype="float64").numpy()
    np.testing.assert_allclose(found, np.linspace(-0.3, 2.2, steps), rtol=1e-14, atol=1e-15)
    assert not steps or found[-1] == np.linspace(-0.3, 2.2, steps)[-1]


def test_eye_and_meshgrid():
    assert (creation.eye(3, 4).numpy() == np.eye(3, 4)).all()
    a, b = tensor([1, 2]), tensor([3, 4, 5])
    for indexing in ("ij", "xy"):
        expected = np.meshgrid([1, 2], [3, 4, 5], indexing=indexing)
        found = creation.meshgrid(a, b, indexing=indexing)
        assert all((x.numpy() == y).all() for x, y in zip(found, expected, strict=True))
    with pytest.raises(ArgumentError, match="indexing"):
        creation.meshgrid(a, b, indexing="ji")
    with pytest.raises(ArgumentError, match="negative"):
        creation.linspace(0, 1, -1)


def test_one_hot():
    assert creation.one_hot([0, 2], 3).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert creation.one_hot(tensor([[1]]), 2, dtype="float32").shape == (1, 1, 2)
    with pytest.raises(BoundsError, match="one_hot"):
        creation.one_hot([3], 3)
    with pytest.raises(DTypeError, match="one_hot"):
        creation.one_hot([0.5], 3)


def test_a_trace_stores_no_large_constants():
    trace = pytest.importorskip("smelt.compiler.frontend.tracer").trace
    made = lambda _: (  # noqa: E731
        [
            creation.zeros(1000, 1000) + creation.ones(1000, 1000),
            creation.eye(1000),
            creation.arange(1000000) * 2,
            creation.linspace(0, 1, 1000000),
            creation.one_hot(creation.arange(1000), 1000),
        ],
        None,
    )
    nodes = trace(made).graph.nodes()
    constants = [node for node in nodes if node.op.name == "constant"]
    assert constants
    assert all(node.size == 1 for node in constants)
    assert not any(node.op.name == "state" for node in nodes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a"], "of list that holds 'a'"),
        (np.array([1, 2], object), r"Python objects \(write array.astype"),
        (np.array([1, None], object), "with missing values"),
        (np.array(["2024-01-01"], "M8[D]"), r"of dates \(for days, write \(dates - first\)"),
        (np.array([2**70], object), f"the number {2**70} does not fit"),
    ],
)
def test_what_stands_in_the_place_of_numbers_is_said(given: object, message: str) -> None:
    with pytest.raises(DTypeError, match=message):
        creation.tensor(given)


def test_a_masked_array_is_not_shared() -> None:
    with pytest.raises(DTypeError, match="write array.filled"):
        creation.from_numpy(np.ma.array([1, 2], mask=[0, 1]))
