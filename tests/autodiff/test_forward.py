"""Forward mode, its nesting with itself and with reverse mode."""

from __future__ import annotations

import numpy as np
import pytest

from smelt.autodiff import grad, jvp
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.tensor import Tensor, as_tensor


def vector(*numbers: float) -> Tensor:
    return as_tensor(np.array(numbers))


def test_value_and_tangent() -> None:
    value, tangent = jvp(
        lambda x, y: x * y.sin(), (vector(2.0), vector(3.0)), (vector(1.0), vector(10.0))
    )
    np.testing.assert_allclose(value.numpy(), 2 * np.sin([3.0]))
    np.testing.assert_allclose(tangent.numpy(), np.sin([3.0]) + 20 * np.cos([3.0]))
    assert not tangent.requires_grad
    assert not value.requires_grad


def test_trees_and_aux() -> None:
    def function(p: dict) -> tuple:
        return {"double": p["a"] * 2.0, "same": [p["b"]]}, "note"

    primals, tangents = {"a": vector(1.0), "b": vector(2.0)}, {"a": vector(3.0), "b": vector(4.0)}
    value, tangent, aux = jvp(function, (primals,), (tangents,), has_aux=True)
    assert value["double"].tolist() == [2.0]
    assert tangent["double"].tolist() == [6.0]
    assert tangent["same"][0].tolist() == [4.0]
    assert aux == "note"


def test_results_that_do_not_move_have_tangent_zero() -> None:
    _, tangent = jvp(lambda x: (x > 0.0, vector(7.0), x.floor()), (vector(1.5),), (vector(1.0),))
    assert tangent[0].tolist() == [False]
    assert tangent[1].tolist() == [0.0]
    assert tangent[2].tolist() == [0.0]


def test_broadcasting_only_the_primal_keeps_the_shape_of_the_tangent() -> None:
    _, tangent = jvp(
        lambda x: x + as_tensor(np.ones((3, 2))), (vector(1.0, 2.0),), (vector(5.0, 6.0),)
    )
    assert tangent.tolist() == [[5.0, 6.0]] * 3


def test_perturbations_are_not_confused() -> None:
    """The classic: d/dx [x * d/dy (x + y)] is 1; mixing the two perturbations up gives 2."""

    def inner(x: Tensor) -> Tensor:
        return jvp(lambda y: x + y, (as_tensor(1.0),), (as_tensor(1.0),))[1]

    assert jvp(lambda x: x * inner(x), (1.0,), (1.0,))[1].item() == 1.0
    assert grad(lambda x: x * inner(x))(1.0).item() == 1.0


def test_forward_and_reverse_nest_in_every_order() -> None:
    def f(x):
        return x.sin() * x

    one = as_tensor(np.array(1.0))

    def forward(g):
        return lambda x: jvp(g, (x,), (one,))[1]

    x = as_tensor(np.array(0.8))
    expected = 2 * np.cos(0.8) - 0.8 * np.sin(0.8)
    for outer in (grad, forward):
        for inner in (grad, forward):
            np.testing.assert_allclose(outer(inner(f))(x).item(), expected, rtol=1e-12)


def test_a_moving_tangent_is_differentiated_too() -> None:
    # d/da of the tangent of x^2 along a is 2 x
    slope = grad(lambda a: jvp(lambda x: x * x, (as_tensor(3.0),), (a,))[1])(1.0)
    assert slope.item() == 6.0


@pytest.mark.parametrize(
    ("primals", "tangents", "error", "message"),
    [
        (vector(1.0), vector(1.0), ArgumentError, r"jvp\(f, \(x,\), \(dx,\)\)"),
        (
            (vector(1.0),),
            (vector(1.0, 2.0),),
            ShapeError,
            r"got shape \(2,\) for a value of shape \(1,\)",
        ),
        ((vector(1.0),), (vector(1.0), vector(1.0)), ArgumentError, "same tree"),
        (
            (vector(1.0),),
            (as_tensor(np.ones(1, np.float32)),),
            DTypeError,
            "float32 for a value of float64",
        ),
        (
            (as_tensor(np.arange(2)),),
            (vector(1.0, 1.0),),
            DTypeError,
            "only float tensors have derivatives",
        ),
    ],
)
def test_mistakes_are_explained(primals, tangents, error, message) -> None:
    with pytest.raises(error, match=message):
        jvp(lambda *xs: xs[0], primals, tangents)
