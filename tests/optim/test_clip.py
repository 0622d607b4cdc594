"""Gradient clipping."""

from __future__ import annotations

import math

import numpy as np
import pytest

import smelt
from smelt import errors, nn, optim


def with_gradients(*gradients: list[float]) -> list[nn.Parameter]:
    parameters = [nn.Parameter(smelt.zeros(len(g), dtype="float64")) for g in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = smelt.tensor(gradient, dtype="float64")
    return parameters


@pytest.mark.parametrize(
    ("norm_type", "norm"), [(2.0, 13.0), (1.0, 19.0), (math.inf, 12.0), (3.0, 1819 ** (1 / 3))]
)
def test_norm_is_that_of_all_gradients_together(norm_type: float, norm: float) -> None:
    parameters = with_gradients([3.0, -4.0], [12.0])
    total = optim.clip_grad_norm_(parameters, 1.0, norm_type)
    assert total.item() == pytest.approx(norm)
    clipped = np.concatenate([p.grad.numpy() for p in parameters])
    expected = np.array([3.0, -4.0, 12.0]) / (norm + 1e-6)
    np.testing.assert_allclose(clipped, expected, rtol=1e-12)


def test_short_gradients_are_kept() -> None:
    (parameter,) = with_gradients([0.3, 0.4])
    optim.clip_grad_norm_(parameter, 1.0)
    assert parameter.grad is not None
    assert parameter.grad.tolist() == [0.3, 0.4]


def test_parameters_without_gradient_do_not_count() -> None:
    parameters = [*with_gradients([3.0, 4.0]), nn.Parameter(smelt.zeros(2))]
    assert optim.clip_grad_norm_(iter(parameters), 1.0).item() == pytest.approx(5.0)
    assert parameters[1].grad is None
    assert optim.clip_grad_norm_([], 1.0).item() == 0.0


def test_gradient_keeps_its_dtype() -> None:
    mixed = [nn.Parameter(smelt.ones(2, dtype=kind)) for kind in ("float32", "float64")]
    for parameter in mixed:
        (parameter * 3).sum().backward()
    optim.clip_grad_norm_(mixed, 1.0)
    assert [parameter.grad.dtype.name for parameter in mixed] == ["float32", "float64"]


def test_values_are_limited() -> None:
    (parameter,) = with_gradients([3.0, -0.5, -4.0])
    optim.clip_grad_value_([parameter], 1.0)
    assert parameter.grad is not None
    assert parameter.grad.tolist() == [1.0, -0.5, -1.0]


def test_clipping_inside_a_compiled_step() -> None:
    x = nn.Parameter(smelt.tensor([3.0, 4.0], dtype="float64"))
    optimizer = optim.SGD([x], lr=1.0)

    @smelt.compile
    def step() -> smelt.Tensor:
        optimizer.zero_grad()
        (x * x / 2).sum().backward()
        norm = optim.clip_grad_norm_([x], 1.0)
        optimizer.step()
        return norm

    assert step().item() == pytest.approx(5.0)
    np.testing.assert_allclose(x.numpy(), np.array([3.0, 4.0]) * (1 - 1 / (5 + 1e-6)), rtol=1e-12)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(errors.ArgumentError, match="max_norm"):
        optim.clip_grad_norm_([], -1.0)
    with pytest.raises(errors.ArgumentError, match="norm_type"):
        optim.clip_grad_norm_([], 1.0, 0.0)
    with pytest.raises(errors.ArgumentError, match="clip_value"):
        optim.clip_grad_value_([], -1.0)
