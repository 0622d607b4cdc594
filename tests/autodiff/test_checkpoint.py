"""checkpoint: the same results and gradients, a second run instead of memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from smelt.autodiff import checkpoint, grad, gradcheck, hessian, jvp, vmap
from smelt.compiler.frontend.step import compile
from smelt.dtypes import float32
from smelt.errors import ArgumentError
from smelt.ops.random import random_bits
from smelt.tensor import Tensor, as_tensor
from smelt.tracing.engine import no_grad

random = np.random.default_rng(2)
X = as_tensor(random.standard_normal((4, 3)))
W = as_tensor(random.standard_normal((3, 3)))


def wave(x: Tensor) -> Tensor:
    return (x @ W).sin() * x


def both_ways(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Any]:
    return function(lambda f, *xs: f(*xs), *arguments), function(checkpoint, *arguments)


def test_gradients_of_every_kind_are_the_same() -> None:
    def through(run):
        return lambda x: (run(wave, run(wave, x)) ** 2).sum()

    for derivative in (grad, hessian, lambda f: lambda x: jvp(f, (x,), (X,))[1]):
        plain, again = both_ways(lambda run, d=derivative: d(through(run))(X))
        np.testing.assert_allclose(again.numpy(), plain.numpy(), rtol=1e-12)
    assert gradcheck(lambda x: checkpoint(wave, x), X, order=2)


def test_runs_once_forward_and_once_more_for_the_gradient() -> None:
    runs = []

    def counted(x: Tensor) -> tuple[Tensor, Tensor]:
        runs.append(x.shape)
        return x.sin(), x.exp()

    x = as_tensor(np.ones(3)).requires_grad_()
    a, b = checkpoint(counted, x)
    assert len(runs) == 1
    (a * b).sum().backward()
    assert len(runs) == 2
    np.testing.assert_allclose(x.grad.numpy(), np.exp(1) * (np.sin(1) + np.cos(1)) * np.ones(3))


def test_nothing_between_is_kept() -> None:
    x = as_tensor(np.ones(3)).requires_grad_()
    y = checkpoint(lambda x: x.sin().exp().cos(), x)
    assert y.tape_entry is not None
    assert y.tape_entry.inputs == (x,)


def test_captured_parameters_and_results_get_their_gradients() -> None:
    w = as_tensor(np.array([2.0, 3.0])).requires_grad_()
    between = w * 5.0  # captured too, and not a leaf
    y = checkpoint(lambda x: x * w * between, as_tensor(np.ones(2)))
    y.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 10 * w.numpy())
    slope = grad(lambda v: checkpoint(lambda x: x * v, as_tensor(3.0)))(2.0)
    assert slope.item() == 3.0


def test_trees_options_and_results_without_gradient() -> None:
    def function(p: dict, *, scale: float) -> dict:
        return {"y": p["a"] * scale, "z": [p["b"].exp(), p["a"] > 0.0], "x": p["b"]}

    p = {"a": as_tensor(np.array([1.0, -2.0])).requires_grad_(), "b": as_tensor(np.zeros((2, 2)))}
    result = checkpoint(function, p, scale=3.0)
    assert result["y"].tolist() == [3.0, -6.0]
    assert result["z"][1].tolist() == [True, False]
    assert result["x"] is p["b"]
    assert not result["z"][0].requires_grad
    result["y"].sum().backward()
    assert p["a"].grad.tolist() == [3.0, 3.0]


def noisy(state: Tensor, average: Tensor) -> Callable[[Tensor], Tensor]:
    """Multiplies by random numbers, as dropout does, and keeps a running average."""

    def function(x: Tensor) -> Tensor:
        noise = random_bits(state, shape=x.shape).to(x.dtype) * 2.0**-31
        with no_grad():
            state.copy_(state + as_tensor(np.array([0, 1])))
            average.copy_(average * 0.5 + x.detach().mean() * 0.5)
        return x * noise

    return function


@pytest.mark.parametrize("wrap", [lambda f: f, compile], ids=["eager", "compiled"])
def test_random_numbers_and_state_are_those_of_the_first_run(wrap) -> None:
    def outcome(run: Callable[..., Any]) -> list[np.ndarray]:
        state, average = as_tensor(np.array([3, 0])), as_tensor(np.array(8.0))
        draw = noisy(state, average)
        step = wrap(grad(lambda x: (run(draw, x) * run(draw, x)).sum()))
        return [step(X).numpy(), step(X).numpy(), state.numpy(), average.numpy()]

    plain, again = both_ways(outcome)
    for one, other in zip(plain, again, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-12)
    assert (plain[0] != plain[1]).all()
    assert plain[2][1] == 4


def test_under_vmap_and_in_segments_of_segments() -> None:
    plain, again = both_ways(lambda run: vmap(grad(lambda x: run(wave, x).sum()))(X))
    np.testing.assert_allclose(again.numpy(), plain.numpy(), rtol=1e-12)

    def nested(x):
        return checkpoint(lambda x: checkpoint(wave, x).exp(), x).sum()

    def flat(x):
        return wave(x).exp().sum()

    np.testing.assert_allclose(grad(nested)(X).numpy(), grad(flat)(X).numpy(), rtol=1e-12)


def test_a_compiled_step_needs_less_memory() -> None:
    x = as_tensor(random.standard_normal((256, 32)))
    weights = [as_tensor(random.standard_normal((32, 32)) * 0.1) for _ in range(12)]

    def block(x: Tensor, first: int) -> Tensor:
        for weight in weights[first : first + 3]:
            x = (x @ weight).tanh().sin()
        return x

    def loss(run: Callable[..., Any]) -> Callable[..., Tensor]:
        def function(x: Tensor) -> Tensor:
            for first in range(0, 12, 3):
                x = run(block, x, first)
            return (x * x).sum()

        return function

    plain, again = both_ways(lambda run: compile(grad(loss(run))))
    np.testing.assert_allclose(again(x).numpy(), plain(x).numpy(), rtol=1e-12, atol=1e-15)
    assert again.memory().arena < 0.7 * plain.memory().arena


def test_without_a_gradient_it_is_a_plain_call() -> None:
    assert checkpoint(lambda x: x * 2.0, X).tape_entry is None
    with no_grad():
        x = as_tensor(np.ones(2)).requires_grad_()
        assert checkpoint(lambda x: x * 2.0, x).tape_entry is None


def test_mistakes_are_explained() -> None:
    with pytest.raises(ArgumentError, match="same dtype, got float32, float64"):
        grad(lambda x: checkpoint(lambda x: (x * 2.0, x.to(float32)), x)[0].sum())(X)
