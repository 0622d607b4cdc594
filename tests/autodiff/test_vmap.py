"""vmap: equal to a loop over the examples, nested with itself and with derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from smelt.autodiff import grad, jvp, value_and_grad, vmap
from smelt.errors import ArgumentError, BoundsError, GradientError, ShapeError, TraceError
from smelt.ops import random as random_ops
from smelt.tensor import Tensor, as_tensor
from smelt.tracing.engine import context, no_grad

random = np.random.default_rng(5)


def numbers(*shape: int) -> Tensor:
    return as_tensor(random.standard_normal(shape))


def loop(function, *batches: Tensor) -> np.ndarray:
    columns = zip(*(batch.numpy() for batch in batches), strict=True)
    return np.stack([function(*map(as_tensor, column)).numpy() for column in columns])


def test_is_a_loop_over_examples() -> None:
    A, x = numbers(5, 4, 3), numbers(5, 3)

    def f(A, x):
        return (A @ x).tanh().sum() * x

    np.testing.assert_allclose(vmap(f)(A, x).numpy(), loop(f, A, x), rtol=1e-12)


def test_inside_a_tensor_has_the_shape_of_one_example() -> None:
    seen = []

    def f(x: Tensor) -> Tensor:
        seen.append((x.shape, x.ndim, x.dtype.name))
        return x.sum()

    assert vmap(f)(numbers(5, 2, 3)).shape == (5,)
    assert seen == [((2, 3), 2, "float64")]


def test_axes() -> None:
    X, y = numbers(3, 5), numbers(3)
    result = vmap(lambda x, y: (x * y, x.sum()), in_axes=(1, None), out_axes=(-1, 0))(X, y)
    np.testing.assert_allclose(result[0].numpy(), X.numpy() * y.numpy()[:, None])
    np.testing.assert_allclose(result[1].numpy(), X.numpy().sum(0))


def test_axes_of_trees() -> None:
    p = {"w": numbers(4, 2), "b": numbers(2)}
    result = vmap(lambda p, x: p["w"] * x + p["b"], in_axes=({"w": 0, "b": None}, None))(p, 2.0)
    np.testing.assert_allclose(result.numpy(), p["w"].numpy() * 2 + p["b"].numpy())


def test_options_and_results_that_all_examples_share() -> None:
    x = numbers(3, 2)
    same = as_tensor(np.array([1.0, 2.0]))
    repeated = vmap(lambda x, *, scale: (same * scale, x), out_axes=(1, 0))(x, scale=10.0)[0]
    assert repeated.tolist() == [[10.0] * 3, [20.0] * 3]
    shared = vmap(lambda x: (same, x), out_axes=(None, 0))(x)[0]
    assert shared.tolist() == [1.0, 2.0]


def test_nested() -> None:
    a, b = numbers(3), numbers(4)
    outer = vmap(vmap(lambda x, y: x * y, in_axes=(None, 0)), in_axes=(0, None))(a, b)
    np.testing.assert_allclose(outer.numpy(), np.outer(a.numpy(), b.numpy()))
    table = vmap(vmap(lambda x, y: x - y + a.sum(), (0, None)), (None, 0))(a, b)
    np.testing.assert_allclose(
        table.numpy(), (a.numpy()[None] - b.numpy()[:, None]) + a.numpy().sum()
    )


def test_an_empty_batch() -> None:
    assert vmap(lambda x: x.sum() * 2.0)(as_tensor(np.zeros((0, 3)))).shape == (0,)


def test_gradients_per_example() -> None:
    w, X, y = numbers(3), numbers(6, 3), numbers(6)

    def loss(w, x, y):
        return (w @ x - y) ** 2

    each = vmap(grad(loss), in_axes=(None, 0, 0))(w, X, y)
    expected = 2 * (X.numpy() @ w.numpy() - y.numpy())[:, None] * X.numpy()
    np.testing.assert_allclose(each.numpy(), expected, rtol=1e-12)
    assert not each.requires_grad


def test_gradient_of_vmap_and_of_vmap_of_gradient() -> None:
    X = numbers(4, 3)

    def cubes(x):
        return (x**3).sum()

    np.testing.assert_allclose(grad(lambda X: vmap(cubes)(X).sum())(X).numpy(), 3 * X.numpy() ** 2)
    twice = grad(lambda X: vmap(grad(cubes))(X).sum())(X)
    np.testing.assert_allclose(twice.numpy(), 6 * X.numpy())
    moved = jvp(vmap(grad(cubes)), (X,), (as_tensor(np.ones((4, 3))),))[1]
    np.testing.assert_allclose(moved.numpy(), 6 * X.numpy())


def test_backward_outside_reaches_captured_parameters() -> None:
    w = numbers(3).requires_grad_()
    X = numbers(5, 3)
    vmap(lambda x: (w * x * x).sum())(X).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), (X.numpy() ** 2).sum(0))
    w.grad = None
    # a gradient penalty: the gradient by x inside, by w outside
    slopes = vmap(grad(lambda x: (w * x * x).sum()))(X)
    (slopes * slopes).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 8 * w.numpy() * (X.numpy() ** 2).sum(0))


def test_detach_and_no_grad_inside_hold_outside() -> None:
    X = numbers(4)
    slope = grad(lambda X: vmap(lambda x: x * x.detach())(X).sum())(X)
    np.testing.assert_allclose(slope.numpy(), X.numpy())

    def half(x: Tensor) -> Tensor:
        with no_grad():
            fixed = x * 2.0
        return fixed * x

    slope = grad(lambda X: vmap(half)(X).sum())(X)
    np.testing.assert_allclose(slope.numpy(), 2 * X.numpy())


def test_under_no_grad_nothing_keeps_a_history() -> None:
    X = numbers(4, 2).requires_grad_()
    with no_grad():
        values, slopes = vmap(value_and_grad(lambda x: (x * x).sum()))(X)
    assert not values.requires_grad
    assert not slopes.requires_grad


def test_state_is_changed_once_and_the_same_for_all() -> None:
    count = as_tensor(np.array(0.0))

    def f(x: Tensor) -> Tensor:
        count.copy_(count + 1.0)
        return x * count

    assert vmap(f)(as_tensor(np.array([1.0, 2.0]))).tolist() == [1.0, 2.0]
    assert count.item() == 1.0


def test_random_bits_are_the_same_for_every_example() -> None:
    state = as_tensor(np.array([7, 0]))

    def draw(x):
        return x + random_ops.random_bits(state, shape=(2,)).to(x.dtype)

    result = vmap(draw)(as_tensor(np.zeros((3, 2)))).numpy()
    assert (result == result[0]).all()
    assert result[0, 0] != result[0, 1]


def test_requirements_hold_for_every_example() -> None:
    def f(x: Tensor) -> Tensor:
        context.engine.require((x < 0).sum(), "must not be negative", BoundsError)
        return x.sqrt()

    assert vmap(f)(as_tensor(np.array([4.0, 9.0]))).tolist() == [2.0, 3.0]
    with pytest.raises(BoundsError, match="must not be negative"):
        vmap(f)(as_tensor(np.array([4.0, -9.0])))


def test_a_leaf_inside_may_have_its_own_backward() -> None:
    def slope(x: Tensor) -> Tensor:
        own = x.detach().requires_grad_()
        (own * own).sum().backward()
        return own.grad

    X = numbers(3, 2)
    np.testing.assert_allclose(vmap(slope)(X).numpy(), 2 * X.numpy())


def leak() -> Tensor:
    kept = []
    vmap(lambda x: kept.append(x) or x)(numbers(3, 2))
    return kept[0] + 1.0


def backward_inside() -> None:
    w = numbers(2).requires_grad_()
    vmap(lambda x: (w * x).sum().backward() or x)(numbers(3, 2))


def copy_inside() -> None:
    state = numbers(2)
    vmap(lambda x: state.copy_(x))(numbers(3, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: vmap(lambda x: x)(1.0), ArgumentError, r"shape \(\), which has no axis 0"),
        (
            lambda: vmap(lambda x: x, in_axes=None)(numbers(2)),
            ArgumentError,
            "no argument has a batch",
        ),
        (
            lambda: vmap(lambda x, y: x)(numbers(2), numbers(3)),
            ShapeError,
            "differ in size: 2 .* and 3",
        ),
        (
            lambda: vmap(lambda x: x, in_axes=(0, 0))(numbers(2)),
            ArgumentError,
            "does not fit a tuple of 1",
        ),
        (lambda: vmap(lambda x: x, out_axes=None)(numbers(2)), ArgumentError, "out_axes is None"),
        (lambda: vmap(lambda x: x, out_axes=3)(numbers(2)), ArgumentError, "axis 3 does not exist"),
        (lambda: vmap(lambda x: x @ x)(numbers(2, 3, 4)), ShapeError, r"\(3, 4\) and \(3, 4\)"),
        (
            lambda: vmap(lambda x: x if x.sum() > 0 else -x)(numbers(2, 3)),
            TraceError,
            "inside vmap: there is one value",
        ),
        (leak, TraceError, "made inside vmap was used outside"),
        (backward_inside, GradientError, "use smelt.grad inside vmap"),
        (copy_inside, ShapeError, "one value per example"),
    ],
)
def test_mistakes_are_explained(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
