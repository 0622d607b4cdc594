"""What operators do, by name: add(x, y) is x + y, ge(x, y) is x >= y. All are methods too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smelt.ops import elementwise
from smelt.tensor.apply import matched, promoted
from smelt.tensor.elementary import abs as absolute
from smelt.tensor.elementary import isfinite

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = ["add", "div", "eq", "ge", "gt", "isclose", "le", "lt", "mul", "ne", "neg", "sub"]


def add(x: Any, other: Any) -> Tensor:
    """Returns x + other."""
    return promoted(elementwise.add, x, other)


def sub(x: Any, other: Any) -> Tensor:
    """Returns x - other."""
    return promoted(elementwise.sub, x, other)


def mul(x: Any, other: Any) -> Tensor:
    """Returns x * other."""
    return promoted(elementwise.mul, x, other)


def div(x: Any, other: Any) -> Tensor:
    """Returns x / other; integers divide as float32."""
    return promoted(elementwise.div, x, other)


def neg(x: Any) -> Tensor:
    """Returns -x."""
    return promoted(elementwise.neg, x)


def eq(x: Any, other: Any) -> Tensor:
    """Returns whether each element is that of `other`; nan equals nothing."""
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
        rtol: what is borne in proportion to `other`.
        atol: what is borne besides.
        equal_nan: whether nan is close to nan.
    """
    x, other = matched(x, other)
    distance = absolute(x - other)
    borne = atol + rtol * absolute(other)
    close = (x == other) | ((distance <= borne) & isfinite(distance))
    return close | ((x != x) & (other != other)) if equal_nan else close
