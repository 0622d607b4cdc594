"""Jacobians and Hessians against matrices worked out by hand, as trees, nested, and under vmap."""

from __future__ import annotations

import numpy as np
import pytest

from smelt.autodiff import grad, hessian, jacfwd, jacrev, vmap
from smelt.tensor import Tensor, as_tensor

random = np.random.default_rng(3)
A = random.standard_normal((4, 3))
x = as_tensor(random.standard_normal(3))
BOTH = pytest.mark.parametrize("jacobian", [jacfwd, jacrev])


@BOTH
def test_of_a_linear_map(jacobian) -> None:
    result = jacobian(lambda x: as_tensor(A) @ x)(x)
    np.testing.assert_allclose(result.numpy(), A)
    assert not result.requires_grad


@BOTH
def test_shapes_of_output_and_input_follow_each_other(jacobian) -> None:
    X = as_tensor(random.standard_normal((2, 3)))
    result = jacobian(lambda X: (X * X).T)(X)  # (3, 2) by (2, 3)
    expected = np.zeros((3, 2, 2, 3))
    for i in range(2):
        for j in range(3):
            expected[j, i, i, j] = 2 * X.numpy()[i, j]
    np.testing.assert_allclose(result.numpy(), expected)


@BOTH
def test_of_a_scalar_is_the_gradient(jacobian) -> None:
    def f(x):
        return (x**3).sum()

    np.testing.assert_allclose(jacobian(f)(x).numpy(), grad(f)(x).numpy())
    np.testing.assert_allclose(jacobian(lambda t: t.sin())(0.5).item(), np.cos(0.5), rtol=1e-6)


@BOTH
def test_trees_and_argnums(jacobian) -> None:
    def function(p: dict, y: Tensor) -> dict:
        return {"product": p["a"] * y.sum(), "pair": (p["b"] * 2.0, y)}

    p = {"a": as_tensor(np.ones(2)), "b": as_tensor(np.ones(()))}
    result = jacobian(function, (0, 1))(p, x)
    total = x.numpy().sum()
    np.testing.assert_allclose(result["product"][0]["a"].numpy(), np.eye(2) * total)
    np.testing.assert_allclose(result["product"][0]["b"].numpy(), np.zeros(2))
    np.testing.assert_allclose(result["product"][1].numpy(), np.ones((2, 3)))
    assert result["pair"][0][0]["b"].item() == 2.0
    np.testing.assert_allclose(result["pair"][1][1].numpy(), np.eye(3))
    np.testing.assert_allclose(jacobian(function, 1)(p, x)["pair"][1].numpy(), np.eye(3))


@BOTH
def test_of_nothing(jacobian) -> None:
    empty = as_tensor(np.zeros(0))
    assert jacobian(lambda e: e * 2.0)(empty).shape == (0, 0)
    assert jacobian(lambda e: x)(empty).shape == (3, 0)


def test_hessian_of_a_quadratic_form() -> None:
    Q = random.standard_normal((3, 3))
    result = hessian(lambda x: x @ as_tensor(Q) @ x)(x)
    np.testing.assert_allclose(result.numpy(), Q + Q.T)


def test_hessian_of_a_tree() -> None:
    def f(p):
        return p["a"] * p["a"] * p["b"]

    result = hessian(f)({"a": as_tensor(2.0), "b": as_tensor(3.0)})
    assert result["a"]["a"].item() == 6.0
    assert result["a"]["b"].item() == 4.0
    assert result["b"]["b"].item() == 0.0


@BOTH
def test_jacobian_of_vmap_and_vmap_of_jacobian(jacobian) -> None:
    X = as_tensor(random.standard_normal((5, 3)))

    def f(x):
        return (x * x).sum() * x

    each = vmap(jacobian(f))(X).numpy()
    whole = jacobian(vmap(f))(X).numpy()
    for row in range(5):
        v = X.numpy()[row]
        np.testing.assert_allclose(each[row], (v @ v) * np.eye(3) + 2 * np.outer(v, v))
        np.testing.assert_allclose(whole[row, :, row], each[row])
    assert not whole[0, :, 1].any()


def test_vmap_of_hessian() -> None:
    X = as_tensor(random.standard_normal((5, 3)))
    result = vmap(hessian(lambda x: (x**3).sum()))(X).numpy()
    np.testing.assert_allclose(result, 6 * X.numpy()[:, :, None] * np.eye(3))


def test_one_run_serves_all_rows() -> None:
    runs = []

    def function(x: Tensor) -> Tensor:
        runs.append(x.shape)
        return x * x

    jacrev(function)(x)
    jacfwd(function)(x)
    assert runs == [(3,), (3,)]
