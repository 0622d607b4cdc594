"""The operators of Python on tensors: `+`, `@`, `<` and their kin, as a base class of Tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from smelt.ops import elementwise
from smelt.tensor.apply import as_tensor, promoted
from smelt.tensor.elementary import power
from smelt.tensor.products import matmul

if TYPE_CHECKING:
    from smelt.tensor import Tensor

Self = TypeVar("Self", bound="Operators")


class Operators:
    """Each operator is the elementwise operation of the same meaning, after promotion of dtypes."""

    __slots__ = ()

    def __add__(self, other: Any) -> Tensor:
        return promoted(elementwise.add, self, other)

    def __sub__(self, other: Any) -> Tensor:
        return promoted(elementwise.sub, self, other)

    def __mul__(self, other: Any) -> Tensor:
        return promoted(elementwise.mul, self, other)

    def __truediv__(self, other: Any) -> Tensor:
        return promoted(elementwise.div, self, other)

    def __floordiv__(self, other: Any) -> Tensor:
        return promoted(elementwise.floordiv, self, other)

    def __mod__(self, other: Any) -> Tensor:
        return promoted(elementwise.mod, self, other)

    def __pow__(self, other: Any) -> Tensor:
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
        return matmul(as_tensor(self), as_tensor(other))

    def __rmatmul__(self, other: Any) -> Tensor:
        return matmul(as_tensor(other), as_tensor(self))

    def __neg__(self) -> Tensor:
        return promoted(elementwise.neg, self)

    def __pos__(self: Self) -> Self:
        return self

    def __abs__(self) -> Tensor:
        return promoted(elementwise.abs, self)

    def __invert__(self) -> Tensor:
        return promoted(elementwise.bitwise_not, self)

    def __and__(self, other: Any) -> Tensor:
        return promoted(elementwise.bitwise_and, self, other)

    def __or__(self, other: Any) -> Tensor:
        return promoted(elementwise.bitwise_or, self, other)

    def __xor__(self, other: Any) -> Tensor:
        return promoted(elementwise.bitwise_xor, self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __eq__(self, other: object) -> Any:
        return promoted(elementwise.eq, self, other)

    def __ne__(self, other: object) -> Any:
        return promoted(elementwise.ne, self, other)

    def __lt__(self, other: Any) -> Tensor:
        return promoted(elementwise.lt, self, other)

    def __le__(self, other: Any) -> Tensor:
        return promoted(elementwise.le, self, other)

    def __gt__(self, other: Any) -> Tensor:
        return promoted(elementwise.gt, self, other)

    def __ge__(self, other: Any) -> Tensor:
        return promoted(elementwise.ge, self, other)

    __hash__ = object.__hash__
