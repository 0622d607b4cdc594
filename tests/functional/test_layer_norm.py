"""Layer normalization in one operation: the numbers and derivatives of the composition."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt.autodiff import gradcheck

SHAPES = [((3, 4), (4,)), ((2, 3, 4), (3, 4)), ((5,), (5,)), ((0, 4), (4,)), ((2, 1), (1,))]
GIVEN = [(True, True), (True, False), (False, True), (False, False)]


def drawn(shape, inner, given, dtype) -> list[smelt.Tensor | None]:
    smelt.manual_seed(1)
    wanted = [shape, *(inner if there else None for there in given)]
    return [None if s is None else smelt.randn(*s, dtype=dtype) for s in wanted]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize(("shape", "inner"), SHAPES)
def test_numbers_and_gradients(shape, inner, given, dtype) -> None:
    def found(watched: bool) -> list[np.ndarray]:
        leaves = [x if x is None else x.requires_grad_() for x in drawn(shape, inner, given, dtype)]
        with smelt.settings(check_nan=watched):  # which wants the single operations
            y = F.layer_norm(leaves[0], inner, leaves[1], leaves[2])
            assert (y.tape_entry.op.name == "layer_norm") is not watched
            (y * smelt.cos(smelt.arange(y.size)).reshape(y.shape)).sum().backward()
        return [y.numpy(), *(x.grad.numpy() for x in leaves if x is not None)]

    tolerance = {"float32": 2e-5, "float64": 1e-12}[dtype]
    for one, other in zip(found(False), found(True), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("given", GIVEN)
def test_derivatives_of_both_modes_and_orders(given) -> None:
    tensors = drawn((3, 4), (4,), given, "float64")

    def function(*present: smelt.Tensor) -> smelt.Tensor:
        pending = iter(present)
        x, w, b = (None if x is None else next(pending) for x in tensors)
        return F.layer_norm(x, 4, w, b) ** 3

    gradcheck(function, *(x for x in tensors if x is not None), order=2)


def test_operands_of_other_kinds() -> None:
    x = smelt.randn(3, 4)
    wanted = F.layer_norm(x, 4)
    np.testing.assert_allclose(F.layer_norm(x, 4, np.ones(4, np.float32)).numpy(), wanted.numpy())
    assert F.layer_norm(x.half(), 4).dtype is smelt.float16
    assert F.layer_norm(x, 4, smelt.ones(4, dtype="float64")).dtype is smelt.float32
