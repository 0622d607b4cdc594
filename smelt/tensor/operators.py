"""The operators of Python on tensors: `+`, `@`, `<` and their kin, as a base class of Tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from smelt.errors import ArgumentError
from smelt.ops import elementwise
from smelt.tensor.apply import apply_directly, as_tensor, promoted
from smelt.tensor.elementary import power
from smelt.tensor.products import matmul

if TYPE_CHECKING:
    from smelt.tensor import Tensor

Self = TypeVar("Self", bound="Operators")


def _binary(op: elementwise.Elementwise, reflected: str) -> Callable[[Any, Any], Tensor]:
    """Returns the method of an operator; `reflected` is that of the operator from the other
    side.
    """

    def operator(self: Any, other: Any) -> Tensor:
        result = apply_directly(op, self, other)
        if result is not None:
            return result
        if _leaves_to(other, reflected):
            return NotImplemented
        return promoted(op, self, other)

    return operator


def _reflected(op: elementwise.Elementwise) -> Callable[[Any, Any], Tensor]:
    """Returns the method of an operator whose left operand has left the pair to the tensor."""
    return lambda self, other: promoted(op, other, self)


def _shift(operator: str, reflected: str) -> Callable[[Any, Any], Any]:
    instead = {"<<": "x * 2**n", ">>": "x // 2**n"}[operator]

    def unsupported(self: Any, other: Any) -> Any:
        if reflected and _leaves_to(other, reflected):
            return NotImplemented
        raise ArgumentError(f"tensors have no operator {operator}; write {instead}")

    return unsupported


class Operators:
    """Each operator is the elementwise operation of the same meaning, after promotion of dtypes.

    An operand that is neither a tensor nor numbers may know what to do with a tensor: where its
    class has the operator from the other side, ours leaves the pair to it (`NotImplemented`).
    Nothing but tensors and numbers is equal to a tensor: `x == None` is False.
    """

    __slots__ = ()

    __add__: Final = _binary(elementwise.add, "__radd__")
    __sub__: Final = _binary(elementwise.sub, "__rsub__")
    __mul__: Final = _binary(elementwise.mul, "__rmul__")
    __truediv__: Final = _binary(elementwise.div, "__rtruediv__")
    __floordiv__: Final = _binary(elementwise.floordiv, "__rfloordiv__")
    __mod__: Final = _binary(elementwise.mod, "__rmod__")
    __and__: Final = _binary(elementwise.bitwise_and, "__rand__")
    __or__: Final = _binary(elementwise.bitwise_or, "__ror__")
    __xor__: Final = _binary(elementwise.bitwise_xor, "__rxor__")
    __lt__: Final = _binary(elementwise.lt, "__gt__")
    __le__: Final = _binary(elementwise.le, "__ge__")
    __gt__: Final = _binary(elementwise.gt, "__lt__")
    __ge__: Final = _binary(elementwise.ge, "__le__")
    __radd__: Final = _reflected(elementwise.add)
    __rsub__: Final = _reflected(elementwise.sub)
    __rmul__: Final = _reflected(elementwise.mul)
    __rtruediv__: Final = _reflected(elementwise.div)
    __rfloordiv__: Final = _reflected(elementwise.floordiv)
    __rmod__: Final = _reflected(elementwise.mod)
    __rpow__: Final = _reflected(elementwise.pow)

    def __pow__(self, other: Any, modulus: Any = None) -> Tensor:
        if _leaves_to(other, "__rpow__"):
            return NotImplemented
        if modulus is not None:
            raise ArgumentError("pow of a tensor takes no modulus; write x**y % modulus")
        return power(as_tensor(self), other)

    def __matmul__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__rmatmul__"):
            return NotImplemented
        return matmul(as_tensor(self), as_tensor(other))

    def __rmatmul__(self, other: Any) -> Tensor:
        return matmul(as_tensor(other), as_tensor(self))

    # `x += y` makes a new tensor, except where the old one is a variable (`Tensor.updated`)

    def __iadd__(self, other: Any) -> Any:
        return self.updated("+=", self + other)

    def __isub__(self, other: Any) -> Any:
        return self.updated("-=", self - other)

    def __imul__(self, other: Any) -> Any:
        return self.updated("*=", self * other)

    def __itruediv__(self, other: Any) -> Any:
        return self.updated("/=", self / other)

    def __ifloordiv__(self, other: Any) -> Any:
        return self.updated("//=", self // other)

    def __imod__(self, other: Any) -> Any:
        return self.updated("%=", self % other)

    def __ipow__(self, other: Any) -> Any:  # type: ignore[misc]  # without a modulus
        return self.updated("**=", self**other)

    def __imatmul__(self, other: Any) -> Any:
        return self.updated("@=", self @ other)

    def updated(self, operator: str, result: Any) -> Any:
        """Returns what `x += y` leaves under the name x, given the `result` of `x + y`."""
        raise NotImplementedError

    def __neg__(self) -> Tensor:
        return promoted(elementwise.neg, self)

    def __pos__(self: Self) -> Self:
        return self

    def __abs__(self) -> Tensor:
        return promoted(elementwise.abs, self)

    def __invert__(self) -> Tensor:
        return promoted(elementwise.bitwise_not, self)

    __rand__: Final = __and__
    __ror__: Final = __or__
    __rxor__: Final = __xor__

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        if _leaves_to(other, "__rdivmod__"):
            return NotImplemented
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return other // self, other % self

    __lshift__: Final = _shift("<<", "__rlshift__")
    __rshift__: Final = _shift(">>", "__rrshift__")
    __rlshift__: Final = _shift("<<", "")
    __rrshift__: Final = _shift(">>", "")

    def __eq__(self, other: object) -> Any:
        if not is_operand(other):
            return False if isinstance(other, np.generic) else NotImplemented
        return promoted(elementwise.eq, self, other)

    def __ne__(self, other: object) -> Any:
        if not is_operand(other):
            return True if isinstance(other, np.generic) else NotImplemented
        return promoted(elementwise.ne, self, other)

    def __contains__(self, element: object) -> bool:
        return is_operand(element) and bool((self == element).any())

    __hash__: Final = object.__hash__


_OPERANDS = (Operators, bool, int, float, np.number, np.bool_, np.ndarray, list, tuple)


def is_operand(value: object) -> bool:
    """Returns whether a value is a tensor, a number, or an array or a list, perhaps of these."""
    return isinstance(value, _OPERANDS) and not isinstance(value, np.timedelta64)


def _leaves_to(other: Any, reflected: str) -> bool:
    """Returns whether an operand is foreign and its class has an operator for the pair."""
    if isinstance(other, (*_OPERANDS, np.generic)):
        return False
    kind = type(other)
    own = getattr(kind, reflected, None)
    inherited = own is getattr(object, reflected, None)  # None, or a comparison of identities
    return not inherited and kind.__module__ != "builtins"
