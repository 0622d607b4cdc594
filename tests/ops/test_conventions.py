"""Corners where a derivative is a convention: ours are PyTorch's, whose numbers stand here.

The same in both modes, and no nan where a finite number is right.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from smelt import dtypes
from smelt.autodiff import grad, gradcheck, jvp
from smelt.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from smelt.ops import contraction, elementwise, indexing, movement, reduction, sorting
from smelt.tensor import Tensor, as_tensor

inf, nan = np.inf, np.nan


def vector(*numbers: float) -> Tensor:
    return as_tensor(np.array(numbers, np.float64))


CORNERS: list[tuple[str, Callable[..., Tensor], tuple[Tensor, ...], list[list[float]]]] = [
    ("maximum tie", elementwise.maximum, (vector(1, 2), vector(1, 3)), [[0.5, 0], [0.5, 1]]),
    ("minimum tie", elementwise.minimum, (vector(1, 2), vector(1, 3)), [[0.5, 1], [0.5, 0]]),
    ("relu at 0", elementwise.relu, (vector(0, 1),), [[0, 1]]),
    ("abs at 0", elementwise.abs, (vector(0),), [[0]]),
    ("max tie", lambda x: reduction.max(x, axes=(0,)), (vector(2, 2, 1),), [[0.5, 0.5, 0]]),
    ("min tie", lambda x: reduction.min(x, axes=(0,)), (vector(1, 1, 1, 1),), [[0.25] * 4]),
    (
        "pow at 0",
        elementwise.pow,
        (vector(0, 0, 0, 0), vector(0, 2, -1, 1)),
        [[0, 0, -inf, 1], [0, 0, -inf, 0]],
    ),
    ("pow of a negative", elementwise.pow, (vector(-2), vector(2)), [[-4], [nan]]),
    ("atan2 at the origin", elementwise.atan2, (vector(0), vector(0)), [[0], [0]]),
    (
        "prod with two zeros",
        lambda x: reduction.prod(x, axes=(0,)),
        (vector(0, 2, 0),),
        [[0, 0, 0]],
    ),
    ("prod with one zero", lambda x: reduction.prod(x, axes=(0,)), (vector(0, 2, 3),), [[6, 0, 0]]),
    (
        "cumprod with zeros",
        lambda x: reduction.cumprod(x, axis=0),
        (vector(0, 2, 0, 3),),
        [[3, 0, 0, 0]],
    ),
    ("sqrt at 0", elementwise.sqrt, (vector(0),), [[inf]]),
    ("mod", elementwise.mod, (vector(5.5, -5.5), vector(2, 2)), [[1, 1], [-2, 3]]),
    ("div by 0", elementwise.div, (vector(1), vector(0)), [[inf], [-inf]]),
    ("round", elementwise.round, (vector(0.5),), [[0]]),
]
corners = pytest.mark.parametrize(
    ("function", "inputs", "expected"), [c[1:] for c in CORNERS], ids=[c[0] for c in CORNERS]
)


@corners
def test_reverse(function, inputs, expected) -> None:
    places = tuple(range(len(inputs)))
    slopes = grad(lambda *xs: function(*xs).sum(), places)(*inputs)
    for slope, numbers in zip(slopes, expected, strict=True):
        np.testing.assert_array_equal(slope.numpy(), numbers)


@corners
def test_forward(function, inputs, expected) -> None:
    for place, numbers in enumerate(expected):
        for element, number in enumerate(numbers):

            def only(x, at=place):
                return function(*inputs[:at], x, *inputs[at + 1 :])

            tangent = np.eye(len(numbers))[element]
            moved = jvp(only, (inputs[place],), (as_tensor(tangent),))[1].numpy()
            alone = isinstance(function, elementwise.Elementwise)
            np.testing.assert_array_equal(moved[element] if alone else moved.sum(), number)


def test_second_derivatives_of_products_with_zeros() -> None:
    x = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 4.0], [1.0, 5.0, 2.0]])
    gradcheck(lambda x: reduction.prod(x, axes=(1,)), x, order=2)
    gradcheck(lambda x: reduction.prod(x, axes=(0, 1)), x, order=2)
    gradcheck(lambda x: reduction.cumprod(x, axis=1), x, order=2)


def test_infinities_beside_the_point_do_not_make_nan() -> None:
    chosen = grad(lambda x: elementwise.where(x > 0.0, x, 1.0 / x).sum())(vector(2.0, 4.0))
    assert chosen.tolist() == [1.0, 1.0]
    joined = jvp(
        lambda x: movement.concatenate(x, vector(inf), axis=0), (vector(1.0),), (vector(2.0),)
    )
    assert joined[1].tolist() == [2.0, 0.0]
    top = jvp(lambda x: reduction.max(x, axes=(0,)), (vector(1.0, inf),), (vector(3.0, 5.0),))
    assert top[1].item() == 5.0


@pytest.mark.parametrize("dtype", [dtypes.float16, dtypes.bfloat16], ids=repr)
def test_gradients_of_half_floats_are_sums_of_numbers_not_bits(dtype) -> None:
    x = vector(1.5, -2.0).to(dtype)
    stretched = grad(lambda x: x.broadcast_to((3, 2)).to(dtypes.float64).sum())(x)
    assert stretched.dtype is dtype
    assert stretched.tolist() == [3.0, 3.0]
    rows = as_tensor(np.array([1, 1, 0]))
    taken = grad(lambda x: indexing.take(x, rows, axis=0).to(dtypes.float32).sum())(x)
    assert taken.dtype is dtype
    assert taken.tolist() == [1.0, 2.0]


def test_a_cast_passes_the_gradient_on_in_the_source_dtype() -> None:
    slope = grad(lambda x: (x.to(dtypes.float32) * 2.0).sum())(vector(1.0, 2.0))
    assert slope.dtype is dtypes.float64
    assert slope.tolist() == [2.0, 2.0]
    moved = jvp(lambda x: x.to(dtypes.float32), (vector(1.0),), (vector(3.0),))[1]
    assert moved.dtype is dtypes.float32
    assert (
        grad(lambda x: (x.to(dtypes.int64).to(dtypes.float64) * x).sum())(vector(2.5)).item() == 2.0
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: elementwise.add(vector(1, 2), vector(1, 2, 3)), ShapeError, r"\(2,\) and \(3,\)"),
        (
            lambda: elementwise.add(vector(1), as_tensor(np.ones(1, np.float32))),
            DTypeError,
            "the same dtype",
        ),
        (lambda: contraction.matmul(vector(1), vector(1)), ShapeError, "must be matrices"),
        (lambda: reduction.max(vector(), axes=(0,)), ArgumentError, "extent 0"),
        (
            lambda: indexing.take(vector(1), as_tensor(np.array([1])), axis=0),
            BoundsError,
            "index 1",
        ),
        (lambda: indexing.take(vector(1), vector(0), axis=0), DTypeError, "int32 or int64"),
        (lambda: sorting.argsort(as_tensor(1.0)), ShapeError, "no axis"),
        (lambda: movement.reshape(vector(1, 2), shape=(3,)), ShapeError, "2 elements"),
    ],
)
def test_mistakes_are_explained(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
