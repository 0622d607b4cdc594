"""Every derivative also works inside a compiled step, and gives what it gives eagerly."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
from smelt.autodiff import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from smelt.compiler.frontend.step import compile
from smelt.tensor import Tensor, as_tensor
from smelt.tracing.engine import no_grad

X = as_tensor(np.random.default_rng(0).standard_normal((5, 3)))
w = as_tensor(np.array([1.0, -2.0, 0.5])).requires_grad_()


def cubes(x: Tensor) -> Tensor:
    return (x**3).sum()


def products(X: Tensor) -> Tensor:
    return (X @ X.T).tanh()


def penalty(X: Tensor) -> Tensor:
    """A gradient by x inside, by a captured parameter outside."""
    slopes = vmap(grad(lambda x: (w * x * x).sum()))(X)
    w.grad = None
    (slopes * slopes).sum().backward()
    gradient, w.grad = w.grad, None
    return gradient


STEPS = {
    "vmap of grad": vmap(grad(cubes)),
    "grad of vmap of grad": grad(lambda X: (vmap(grad(cubes))(X) ** 2).sum()),
    "jvp": lambda X: jvp(products, (X,), (X,))[1],
    "vjp": lambda X: vjp(products, X)[1](products(X))[0],
    "jacfwd": jacfwd(products),
    "jacrev": jacrev(products),
    "hessian": hessian(lambda x: (x.sin() * x).sum()),
    "vmap of jacrev": vmap(jacrev(lambda x: x.exp() * x.sum())),
    "gradient penalty": penalty,
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_agrees_with_eager(step) -> None:
    eager = step(X).numpy()
    compiled = compile(step)(X).numpy()
    np.testing.assert_allclose(compiled, eager, rtol=1e-12, atol=1e-14)


def test_state_changed_inside_vmap_is_changed_by_the_compiled_step() -> None:
    count = as_tensor(np.zeros(()))

    def step(X: Tensor) -> Tensor:
        def one(x: Tensor) -> Tensor:
            with no_grad():
                count.copy_(count + 1.0)
            return x.sum() * count

        return vmap(one)(X)

    compiled = compile(step)
    np.testing.assert_allclose(compiled(X).numpy(), X.numpy().sum(1))
    np.testing.assert_allclose(compiled(X).numpy(), 2 * X.numpy().sum(1))
    assert count.item() == 2.0


def test_a_module_in_vmap_is_one_whose_settings_the_step_depends_on() -> None:
    dropout = smelt.nn.Dropout(0.5)
    step = smelt.compile(smelt.vmap(lambda row: dropout(row)))
    x = smelt.ones(4, 8)
    assert not (step(x).numpy() == 1).all()
    dropout.eval()
    assert (step(x).numpy() == 1).all()
