"""gradcheck finds wrong derivatives, in each mode and order, and says where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from smelt.autodiff import gradcheck
from smelt.errors import ArgumentError, GradientError
from smelt.ops import REGISTRY
from smelt.ops.elementwise import Elementwise
from smelt.tensor import Tensor, as_tensor

x = np.array([0.3, -1.2, 2.0])


def made(**changes: Any) -> Elementwise:
    """An operation `a ** 2` of its own, with a chosen rule broken."""
    return type("Square", (Elementwise,), changes)("square_", np.square, (lambda y, a: a * 2.0,))


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    yield
    REGISTRY.pop("square_", None)


def test_right_derivatives_pass() -> None:
    assert gradcheck(made(), x, order=2)
    assert gradcheck(lambda a, b: {"sum": a + b, "product": [a * b.sin()]}, x, x[:1], order=2)
    assert gradcheck(lambda a, k: a * k.to(a.dtype), x, np.array([1, 2, 3]))  # k stays fixed
    assert gradcheck(lambda a: a.exp(), 0.5)
    assert gradcheck(lambda a: a.exp(), as_tensor(x.astype(np.float32)).requires_grad_())
    assert gradcheck(lambda a: (a * 2.0, a > 0.0), x)


def test_a_wrong_rule_for_reverse_mode_is_found() -> None:
    square = made(vjp=lambda self, g, needs, y, a: (g * a,))
    with pytest.raises(GradientError, match=r"reverse mode, input 1: .* is -?[\d.]+, expected"):
        gradcheck(lambda a, b: a + square(b), x, x)
    with pytest.raises(GradientError, match="reverse mode"):
        gradcheck(square, x, modes=["reverse"])
    assert gradcheck(square, x, modes=["forward"])


def test_a_wrong_rule_for_forward_mode_is_found() -> None:
    square = made(jvp=lambda self, tangents, y, a: tangents[0] * a)
    with pytest.raises(GradientError, match=r"forward mode, input 0: .* at output element \(0,\)"):
        gradcheck(square, x)
    assert gradcheck(square, x, modes=["reverse"])


def test_a_wrong_second_derivative_is_found() -> None:
    class Cut(Elementwise):
        """The first derivative is right, but looks like a constant."""

        def vjp(self, g: Any, needs: Any, y: Any, a: Tensor, **attributes: Any) -> Any:
            return (g * a.detach() * 2.0,)

    square = Cut("square_", np.square, (lambda y, a: a * 2.0,))
    assert gradcheck(square, x)
    with pytest.raises(GradientError, match="of the reverse-mode derivative, input 0"):
        gradcheck(square, x, order=2)


def test_a_difference_smaller_than_the_tolerance_between_modes_is_found() -> None:
    square = made(vjp=lambda self, g, needs, y, a: (g * a * (2.0 + 1e-7),))
    with pytest.raises(GradientError, match="against <u, J v>"):
        gradcheck(square, x)


def test_a_kink_and_nan_are_found() -> None:
    with pytest.raises(GradientError, match="forward mode"):
        gradcheck(REGISTRY["relu"], np.array(0.0))
    with pytest.raises(GradientError, match="is nan"):
        gradcheck(lambda a: (a - a).sqrt(), x)


@pytest.mark.parametrize(
    ("settings", "inputs", "message"),
    [
        ({"modes": ["sideways"]}, (x,), "modes must be"),
        ({"modes": []}, (x,), "modes must be"),
        ({"order": 3}, (x,), "order must be 1 or 2"),
        ({}, (np.arange(3),), "none of the inputs is a float"),
    ],
)
def test_mistakes_are_explained(settings, inputs, message) -> None:
    with pytest.raises(ArgumentError, match=message):
        gradcheck(lambda a: a, *inputs, **settings)
