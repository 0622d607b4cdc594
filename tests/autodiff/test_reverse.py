"""Reverse mode: gradients, of gradients too, and what happens to histories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt.autodiff import grad, jvp, value_and_grad, vjp
from smelt.errors import ArgumentError, DTypeError, GradientError, ShapeError
from smelt.tensor import Tensor, as_tensor
from smelt.tracing.engine import no_grad


def vector(*numbers: float) -> Tensor:
    return as_tensor(np.array(numbers))


def parameter(*numbers: float) -> Tensor:
    return vector(*numbers).requires_grad_()


def test_book_examples() -> None:
    assert grad(lambda x: x * x)(3.0).item() == 6.0  # E2.d
    assert grad(lambda x: x**3)(4.0).item() == 48.0


def test_backward_fills_and_accumulates() -> None:
    x = parameter(1.0, 2.0, 3.0)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]
    assert not x.grad.requires_grad
    (x * x).backward(vector(1.0, 0.0, 1.0))
    assert x.grad.tolist() == [4.0, 4.0, 12.0]


def test_backward_create_graph_gives_second_derivatives() -> None:
    x = parameter(1.0, 2.0)
    (x**3).sum().backward(create_graph=True)
    first, x.grad = x.grad, None
    first.sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]


def test_a_tensor_used_twice_collects_both_gradients() -> None:
    x = parameter(2.0)
    y = x * 3.0
    (y * y + y).sum().backward()
    assert x.grad.tolist() == [3 * (2 * 6.0 + 1)]


def test_broadcasting_is_undone_once() -> None:
    a, b = (
        as_tensor(np.ones((2, 1, 3))).requires_grad_(),
        as_tensor(np.ones((4, 1))).requires_grad_(),
    )
    (a * b * 2.0).sum().backward()
    assert a.grad.shape == (2, 1, 3)
    assert b.grad.shape == (4, 1)
    assert a.grad.tolist() == [[[8.0] * 3]] * 2
    assert b.grad.tolist() == [[12.0]] * 4


def test_argnums_and_trees() -> None:
    def loss(p: dict, x: Tensor, y: tuple) -> Tensor:
        return (p["w"] * x).sum() * y[0] + p["b"] * y[1]

    p = {"w": vector(1.0, 2.0), "b": as_tensor(5.0)}
    value, (gp, gy) = value_and_grad(loss, (0, 2))(p, vector(3.0, 4.0), (2.0, 10.0))
    assert value.item() == 72.0
    assert gp["w"].tolist() == [6.0, 8.0]
    assert gp["b"].item() == 10.0
    assert [part.item() for part in gy] == [11.0, 5.0]


def test_aux() -> None:
    def function(x):
        return ((x * x).sum(), {"twice": x * 2.0, "name": "seen"})

    gradient, aux = grad(function, has_aux=True)(vector(1.0, 2.0))
    assert gradient.tolist() == [2.0, 4.0]
    assert aux["twice"].tolist() == [2.0, 4.0]
    assert not aux["twice"].requires_grad
    assert aux["name"] == "seen"


def test_an_input_without_influence_has_gradient_zero() -> None:
    function = grad(lambda x, y: (x * 2.0).sum(), (0, 1))
    with pytest.warns(UserWarning, match=r"input 2 of 2, float64 \(2, 2\), is unused"):
        gradient = function(vector(1.0), as_tensor(np.ones((2, 2))))
    assert gradient[1].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def under_no_grad(x):
    with smelt.no_grad():
        return (x * 2.0).sum()


CUTS: dict[str, Callable[..., Any]] = {
    "detach": lambda x: (x.detach() ** 2).sum(),
    "data": lambda x: x.data.sum(),
    "no_grad": under_no_grad,
    "cast": lambda x: x.long().sum().double(),
    "comparison": lambda x: (x > 0).double().mean(),
    "condition": lambda x: smelt.where(x > 0, 1.0, 0.0).sum(),
    "argmax": lambda x: x.argmax().double(),
    "cond": lambda x: smelt.cond(x.sum() > 0, lambda: as_tensor(1.0), lambda: as_tensor(2.0)),
}


@pytest.mark.parametrize("function", CUTS.values(), ids=CUTS)
def test_an_input_that_is_used_only_where_no_derivative_passes(function) -> None:
    x, y = vector(1.0, 2.0), vector(3.0)
    both = grad(lambda y, x: y.sum() * function(x), (0, 1))
    for derivative in (both, smelt.compile(both)):
        with pytest.warns(UserWarning, match=r"input 2 of 2, float64 \(2,\), is used only where"):
            assert derivative(y, x)[1].tolist() == [0.0, 0.0]
    with pytest.warns(UserWarning, match="jvp: input 1 of 1, .* is used only where"):
        jvp(function, (x,), (x,))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.floor().sum(),  # a derivative that is zero, by its rule
        lambda x: x.detach().sum() * x[0],
        lambda x: grad(lambda x: (3.0 * x).sum())(x).sum(),
        lambda x: grad(lambda x: F.relu(x).sum())(x).sum(),
        lambda x: x[0],
    ],
)
def test_derivatives_that_are_zero_for_another_reason_are_not_warned_of(function) -> None:
    grad(function)(vector(1.0, 2.0))
    jvp(function, (vector(1.0, 2.0),), (vector(1.0, 2.0),))


def test_gradients_of_gradients() -> None:
    fourth = grad(grad(grad(grad(lambda x: x.sin()))))(0.7)
    np.testing.assert_allclose(fourth.item(), np.sin(0.7), rtol=1e-6)


def test_nested_derivatives_are_not_confused() -> None:
    # d/dx [x * d/dy (x + y)] = 1, not 2
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0).item() == 1.0
    # d/dx [x * d/dy (x * y)^2 at y = x] = d/dx [2 x^4] = 8 x^3
    assert grad(lambda x: x * grad(lambda y: (x * y) ** 2)(x))(2.0).item() == 64.0


def test_the_outermost_result_has_no_history() -> None:
    value, gradient = value_and_grad(lambda x: (x * x).sum())(vector(1.0, 2.0))
    for result in (value, gradient):
        assert result.tape_entry is None
        assert not result.requires_grad


def test_gradient_penalty_reaches_captured_parameters() -> None:
    w = parameter(2.0, 3.0)
    slope = grad(lambda x: (w * x * x).sum())(vector(1.0, 1.0))
    (slope * slope).sum().backward()  # slope = 2 w x, penalty = 4 w^2, its gradient 8 w
    assert w.grad.tolist() == [16.0, 24.0]


def test_no_grad_outside_keeps_no_history_and_still_differentiates() -> None:
    w = parameter(2.0)
    with no_grad():
        value, slope = value_and_grad(lambda x: (w * x * x).sum())(vector(3.0))
        assert grad(lambda v: v * 2.0)(w).tolist() == [2.0]
    assert slope.tolist() == [12.0]
    assert not slope.requires_grad
    assert not value.requires_grad


def test_detach_stops_the_gradient() -> None:
    assert grad(lambda x: x * x.detach())(3.0).item() == 3.0


def test_what_nobody_wants_is_not_walked() -> None:
    w = parameter(1.0)
    log = w.log()
    with no_grad():
        w.copy_(vector(5.0))  # from here on a walk through log would raise
    assert grad(lambda x: (x * log).sum())(vector(5.0)).tolist() == [0.0]
    assert w.grad is None


def test_vjp() -> None:
    value, pull = vjp(
        lambda a, b: {"sum": a + b, "product": a * b}, vector(2.0, 3.0), vector(4.0, 5.0)
    )
    assert value["product"].tolist() == [8.0, 15.0]
    ga, gb = pull({"sum": vector(1.0, 0.0), "product": vector(0.0, 1.0)})
    assert ga.tolist() == [1.0, 5.0]
    assert gb.tolist() == [1.0, 3.0]
    assert pull({"sum": vector(0.0, 0.0), "product": vector(1.0, 1.0)})[0].tolist() == [4.0, 5.0]


def test_the_pull_of_vjp_is_linear_and_differentiable() -> None:
    # the transpose of the transpose: J v from two reverse passes
    x, v = vector(1.0, 2.0), vector(0.5, -1.0)
    _, pull = vjp(lambda x: x**3, x)
    _, push = vjp(lambda u: pull(u)[0], vector(0.0, 0.0))
    assert push(v)[0].tolist() == [1.5, -12.0]


def test_a_history_of_fifty_thousand_operations() -> None:
    x = parameter(1.0)
    y = x
    for _ in range(50_000):
        y = y + 1.0
    y.sum().backward()
    assert x.grad.tolist() == [1.0]
    del y


def test_a_change_in_place_is_noticed() -> None:
    w, x = parameter(2.0), parameter(3.0)
    y = (w * x).sum()
    with no_grad():
        w.copy_(vector(5.0))
    with pytest.raises(
        GradientError, match=r"mul: an operand of shape \(1,\) was changed in place"
    ):
        y.backward()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: vector(1.0).sum().backward(), GradientError, "not computed from anything"),
        (lambda: parameter(1.0, 2.0).backward(), ShapeError, r"one number, got shape \(2,\)"),
        (
            lambda: (parameter(1.0) * 2.0).backward(vector(1.0, 1.0)),
            ShapeError,
            r"the gradient must have .* got \(2,\)",
        ),
        (
            lambda: grad(lambda x: x)(vector(1.0, 2.0)),
            ShapeError,
            r"one number as a tensor, got shape",
        ),
        (lambda: grad(lambda x: 3.0)(1.0), ShapeError, "got a float"),
        (lambda: grad(lambda x: x > 0.0)(1.0), DTypeError, "must return a float, got bool"),
        (
            lambda: grad(lambda x: x)(3),
            DTypeError,
            "only float tensors have derivatives, got int64",
        ),
        (lambda: grad(lambda x: x, 1)(1.0), ArgumentError, "argnums names argument 1"),
        (lambda: grad(lambda x: x, has_aux=True)(1.0), ArgumentError, "return a pair"),
        (
            lambda: vjp(lambda x: x, vector(1.0))[1](vector(1.0, 2.0)),
            ShapeError,
            r"got shape \(2,\)",
        ),
        (lambda: vjp(lambda x: x, vector(1.0))[1]((1.0, 2.0)), ArgumentError, "same tree"),
        (
            lambda: vjp(lambda x: x, vector(1.0))[1](as_tensor(np.ones(1, np.float32))),
            DTypeError,
            "float32 for a value of float64",
        ),
    ],
)
def test_mistakes_are_explained(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
