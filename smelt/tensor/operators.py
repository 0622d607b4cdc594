"""The operators of Python on tensors: `+`, `@`, `<` and their kin, as a base class of Tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from smelt.ops import elementwise
from smelt.tensor.apply import as_tensor, promoted
from smelt.tensor.elementary import power
from smelt.tensor.products import matmul

if TYPE_CHECKING:
    from smelt.tensor import Tensor

Self = TypeVar("Self", bound="Operators")


class Operators:
    """Each operator is the elementwise operation of the same meaning, after promotion of dtypes.

    An operand that is neither a tensor nor numbers may know what to do with a tensor: where its
    class has the operator from the other side, ours leaves the pair to it (`NotImplemented`).
    Nothing but tensors and numbers is equal to a tensor: `x == None` is False.
    """

    __slots__ = ()

    def __add__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__radd__"):
            return NotImplemented
        return promoted(elementwise.add, self, other)

    def __sub__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__rsub__"):
            return NotImplemented
        return promoted(elementwise.sub, self, other)

    def __mul__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__rmul__"):
            return NotImplemented
        return promoted(elementwise.mul, self, other)

    def __truediv__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__rtruediv__"):
            return NotImplemented
        return promoted(elementwise.div, self, other)

    def __floordiv__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__rfloordiv__"):
            return NotImplemented
        return promoted(elementwise.floordiv, self, other)

    def __mod__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__rmod__"):
            return NotImplemented
        return promoted(elementwise.mod, self, other)

    def __pow__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__rpow__"):
            return NotImplemented
        return power(as_tensor(self), other)

    def __radd__(self, other: Any) -> Tensor:
        return promoted(elementwise.add, other, self)

    def __rsub__(self, other: Any) -> Tensor:
        return promoted(elementwise.sub, other, self)

    def __rmul__(self, other: Any) -> Tensor:
        return promoted(elementwise.mul, other, self)

    def __rtruediv__(self, other: Any) -> Tensor:
        return promoted(elementwise.div, other, self)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return promoted(elementwise.floordiv, other, self)

    def __rmod__(self, other: Any) -> Tensor:
        return promoted(elementwise.mod, other, self)

    def __rpow__(self, other: Any) -> Tensor:
        return promoted(elementwise.pow, other, self)

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

    def __ipow__(self, other: Any) -> Any:
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

    def __and__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__rand__"):
            return NotImplemented
        return promoted(elementwise.bitwise_and, self, other)

    def __or__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__ror__"):
            return NotImplemented
        return promoted(elementwise.bitwise_or, self, other)

    def __xor__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__rxor__"):
            return NotImplemented
        return promoted(elementwise.bitwise_xor, self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return other // self, other % self

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, _OPERANDS):
            return NotImplemented
        return promoted(elementwise.eq, self, other)

    def __ne__(self, other: object) -> Any:
        if not isinstance(other, _OPERANDS):
            return NotImplemented
        return promoted(elementwise.ne, self, other)

    def __lt__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__gt__"):
            return NotImplemented
        return promoted(elementwise.lt, self, other)

    def __le__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__ge__"):
            return NotImplemented
        return promoted(elementwise.le, self, other)

    def __gt__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__lt__"):
            return NotImplemented
        return promoted(elementwise.gt, self, other)

    def __ge__(self, other: Any) -> Tensor:
        if _leaves_to(other, "__le__"):
            return NotImplemented
        return promoted(elementwise.ge, self, other)

    def __contains__(self, element: object) -> bool:
        return isinstance(element, _OPERANDS) and bool((self == element).any())

    __hash__ = object.__hash__


_OPERANDS = (Operators, bool, int, float, np.generic, np.ndarray, list, tuple)


def _leaves_to(other: Any, reflected: str) -> bool:
    """Returns whether an operand is foreign and its class has an operator for the pair."""
    if isinstance(other, _OPERANDS):
        return False
    kind = type(other)
    own = getattr(kind, reflected, None)
    inherited = own is getattr(object, reflected, None)  # None, or a comparison of identities
    return not inherited and kind.__module__ != "builtins"
