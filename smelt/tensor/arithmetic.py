"""Operators as functions: add(x, y) is x + y, ge(x, y) is x >= y. All are methods too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smelt.errors import ArgumentError
from smelt.ops import elementwise
from smelt.tensor.apply import common_dtype, matched, promoted
from smelt.tensor.elementary import abs as absolute
from smelt.tensor.elementary import isfinite, trunc, where

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = [
    "add", "div", "eq", "floor_divide", "fmod", "ge", "gt", "isclose", "le", "lt", "mul", "ne",
    "neg", "remainder", "sub",
]  # fmt: skip


def add(x: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """Returns x + alpha * other."""
    return promoted(elementwise.add, x, _scaled(other, alpha))


def sub(x: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """Returns x - alpha * other."""
    return promoted(elementwise.sub, x, _scaled(other, alpha))


def _scaled(x: Any, factor: Any) -> Any:
    return x if isinstance(factor, int) and factor == 1 else promoted(elementwise.mul, x, factor)


def mul(x: Any, other: Any) -> Tensor:
    """Returns x * other."""
    return promoted(elementwise.mul, x, other)


def div(x: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """Returns x / other; integers divide as float32.

    Args:
        x: any shape.
        other: broadcasts with x.
        rounding_mode: None, "floor" (as x // other) or "trunc" (toward 0); with a mode integers
            stay integers.

    Raises:
        ArgumentError: an unknown mode.
    """
    if rounding_mode is None:
        return promoted(elementwise.div, x, other)
    if rounding_mode == "floor":
        return floor_divide(x, other)
    if rounding_mode != "trunc":
        raise ArgumentError(
            f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}"
        )
    if common_dtype((x, other)).is_float:
        return trunc(promoted(elementwise.div, x, other))
    below = floor_divide(x, other)
    inexact = (below < 0) & (promoted(elementwise.mul, below, other) != x)
    return below + inexact.to(below.dtype)


def floor_divide(x: Any, other: Any) -> Tensor:
    """Returns x // other: the quotient rounded down."""
    return promoted(elementwise.floordiv, x, other)


def remainder(x: Any, other: Any) -> Tensor:
    """Returns x % other: the remainder x - other * (x // other), with the sign of `other`."""
    return promoted(elementwise.mod, x, other)


def fmod(x: Any, other: Any) -> Tensor:
    """Returns the remainder x - other * trunc(x / other), exactly, with the sign of x."""
    x, other = matched(x, other)
    size = absolute(other)
    return where(x < 0, neg(remainder(neg(x), size)), remainder(x, size))


def neg(x: Any) -> Tensor:
    """Returns -x."""
    return promoted(elementwise.neg, x)


def eq(x: Any, other: Any) -> Tensor:
    """Returns whether each element equals that of `other`; nan equals nothing."""
    return promoted(elementwise.eq, x, other)


def ne(x: Any, other: Any) -> Tensor:
    """Returns whether each element differs from that of `other`."""
    return promoted(elementwise.ne, x, other)


def lt(x: Any, other: Any) -> Tensor:
    """Returns whether each element is less than that of `other`."""
    return promoted(elementwise.lt, x, other)


def le(x: Any, other: Any) -> Tensor:
    """Returns whether each element is at most that of `other`."""
    return promoted(elementwise.le, x, other)


def gt(x: Any, other: Any) -> Tensor:
    """Returns whether each element is greater than that of `other`."""
    return promoted(elementwise.gt, x, other)


def ge(x: Any, other: Any) -> Tensor:
    """Returns whether each element is at least that of `other`."""
    return promoted(elementwise.ge, x, other)


def isclose(
    x: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Returns whether |x - other| <= atol + rtol * |other|, or both are equal, for each element.

    Args:
        x: any shape.
        other: broadcasts with x.
        rtol: relative tolerance.
        atol: absolute tolerance.
        equal_nan: whether nan is close to nan.

    Raises:
        ArgumentError: a negative rtol or atol, or nan.
    """
    if not (rtol >= 0 and atol >= 0):
        raise ArgumentError(f"isclose: rtol and atol must not be negative, got {rtol} and {atol}")
    x, other = matched(x, other)
    distance = absolute(x - other)
    borne = atol + rtol * absolute(other)
    close = (x == other) | ((distance <= borne) & isfinite(distance))
    return close | ((x != x) & (other != other)) if equal_nan else close
