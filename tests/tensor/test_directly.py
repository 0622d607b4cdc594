"""The direct way from an operator to NumPy: the same results, checks and histories as any other."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import Tensor, errors
from smelt.ops import elementwise, movement
from smelt.tensor.apply import promoted
from smelt.tracing.apply import apply, apply_directly
from smelt.tracing.engine import quietly

KINDS: tuple[Any, ...] = ("float32", "float64", "int32", "int64", "bool", "float16", "bfloat16")
NUMBERS = (2, 0, -3, 0.5, 0.0, -0.0, True, float("nan"), float("inf"), 2**40)
BINARY = [op for op in vars(elementwise).values() if getattr(op, "arity", 0) == 2]
UNARY = [op for op in vars(elementwise).values() if getattr(op, "arity", 0) == 1 and op.native]


def outcome(function: Any, *operands: Any) -> Any:
    """What a call gives, or the error that it raises."""
    try:
        result = function(*operands)
    except errors.SmeltError as error:
        return type(error), error.message
    return result.dtype, result.shape, result.numpy().tobytes()


def slowly(op: Any, *operands: Any) -> Tensor:
    """`promoted` on the way that a tracer takes."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (sys.modules["smelt.tensor.apply"], elementwise):
            patch.setattr(module, "apply_directly", lambda *_: None)
        return promoted(op, *operands)


@pytest.mark.parametrize("op", BINARY, ids=lambda op: op.name)
def test_two_operands_directly_are_the_same(op: Any) -> None:
    values = np.array([[1, 2, 0], [3, 1, 1]])
    tensors = [smelt.tensor(values).to(getattr(smelt, kind)) for kind in KINDS if kind != "bool"]
    tensors += [smelt.tensor(values > 1), smelt.tensor(3.0), smelt.tensor([1.0, 2.0])]
    for a in tensors:
        for b in (*tensors, *NUMBERS):
            assert outcome(promoted, op, a, b) == outcome(slowly, op, a, b), (a, b)
            assert outcome(promoted, op, b, a) == outcome(slowly, op, b, a), (b, a)


@pytest.mark.parametrize("op", UNARY, ids=lambda op: op.name)
def test_one_operand_directly_is_the_same(op: Any) -> None:
    for kind in (smelt.float32, smelt.float64, smelt.int64):
        x = smelt.tensor([[0.25, 0.5], [-0.5, 0.0]]).to(kind)
        assert outcome(promoted, op, x) == outcome(slowly, op, x)


def test_it_is_taken_where_there_is_nothing_to_decide() -> None:
    x, mask = smelt.ones(2), smelt.ones(2) > 0
    assert apply_directly(elementwise.add, x, x) is not None
    assert apply_directly(elementwise.add, x, 2) is not None
    assert apply_directly(elementwise.add, 2.0, x) is not None
    assert apply_directly(elementwise.add, x, x.to(smelt.float64)) is None
    assert apply_directly(elementwise.add, mask, mask) is None
    assert apply_directly(elementwise.add, 1, 2) is None
    assert apply_directly(elementwise.add, x, np.float64(2)) is None


def test_shapes_that_do_not_fit_are_told_as_ever() -> None:
    with pytest.raises(errors.ShapeError, match=r"add: shapes \(2,\) and \(3,\)"):
        smelt.ones(2) + smelt.ones(3)


def test_the_history_is_kept() -> None:
    x = smelt.tensor([1.0, 2.0]).requires_grad_()
    y = x * x + 3.0
    assert y.requires_grad
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 4.0]
    with smelt.no_grad():
        assert not (x * 2).requires_grad
    assert not (x > 1).requires_grad


def test_an_operand_that_was_changed_is_noticed() -> None:
    x, y = smelt.ones(2).requires_grad_(), smelt.ones(2)
    product = (x * y).sum()
    y.copy_([2.0, 2.0])
    with pytest.raises(errors.GradientError, match="changed in place"):
        product.backward()


def test_a_moved_tensor_is_refused() -> None:
    x = smelt.ones(3)
    smelt.compile(lambda x: x + 1, donate=0)(x)
    with pytest.raises(errors.MovedError):
        x + 1.0


def test_a_leaked_value_is_refused() -> None:
    leaked = []
    smelt.compile(lambda x: (leaked.append(x * 2), x)[1])(smelt.ones(2))
    with pytest.raises(errors.TraceError):
        leaked[0] + 1.0


def test_numbers_are_constants_that_nobody_changes() -> None:
    x = smelt.ones(2)
    assert (x * 0.1).tolist() == (x * 0.1).tolist()
    assert np.signbit((x * 0.0 + -0.0).numpy()).tolist() == [False, False]
    assert np.signbit((x * -0.0).numpy()).all()
    assert (x + 1).dtype is (x + 1.0).dtype is smelt.float32
    assert (smelt.tensor([1]) + 1).dtype is smelt.int64


def test_numpy_warns_as_the_user_wishes() -> None:
    zero = np.zeros(2, np.float32)
    x = smelt.tensor(zero)
    with np.errstate(all="raise"):
        assert np.isnan((x / x).numpy()).all()
        with pytest.raises(FloatingPointError):
            zero / zero
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (1.0 / x).tolist() == [float("inf")] * 2
        with np.errstate(all="warn"), pytest.raises(RuntimeWarning):
            zero / zero


def test_quiet_calls_may_stand_in_each_other() -> None:
    assert quietly(lambda: quietly(lambda: np.float32(1) / np.float32(0))) == np.inf
    with pytest.raises(ZeroDivisionError):
        quietly(lambda: 1 // 0)
    assert quietly(np.log, np.float32(0)) == -np.inf


def test_what_shapes_make_is_kept_apart_by_attributes() -> None:
    x = smelt.ones(4)
    slice_ = movement.slice_
    assert slice_(x, start=(0,), stop=(4,), step=(1,)).shape == (4,)
    assert slice_(x, stop=(1,), start=(0,), step=(4,)).shape == (1,)
    with pytest.raises(errors.ArgumentError):
        apply(slice_, (x,), {"start": (0,), "stop": (9,), "step": (1,)})


def test_kinds_kept_in_mind_are_few() -> None:
    op = elementwise.where
    for extent in range(5000):
        condition = smelt.tensor(np.ones(extent, bool))
        op(condition, smelt.tensor(np.ones(extent)), smelt.tensor(np.ones(extent)))
    assert len(op._types) <= 4096
