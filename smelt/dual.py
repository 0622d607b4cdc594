"""Dual numbers: forward-mode differentiation as one meets it first, a number that carries its
derivative.

    x + dx eps,  eps^2 = 0:   f(x + dx eps) = f(x) + f'(x) dx eps

A `Dual` holds a value and a derivative, both float64 tensors, and applies the same rules from the
cards in `smelt.ops` that `smelt.jvp` uses; there is no second table of derivatives.

    >>> y = Dual(3.0, 1.0) * cst(5.0)
    >>> y
    Dual(15.0, 5.0)
    >>> diff(lambda x: 3 * x**2 + 2 * x + 1, 2.0)
    tensor(14., smelt.float64)

Vectors and matrices of duals are lists, and lists of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smelt.dtypes import float64
from smelt.errors import ArgumentError, ShapeError
from smelt.ops import elementwise
from smelt.ops.elementwise import Elementwise
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor

__all__ = [
    "Dual", "abs", "atan2", "cos", "cst", "diff", "erf", "exp", "grad", "ln", "log", "log1p",
    "maximum", "minimum", "pow", "relu", "sigmoid", "sin", "sqrt", "tan", "tanh",
]  # fmt: skip

Number = Any  # a Dual, a Python or NumPy number, or a tensor of shape ()


class Dual:
    """A number `x` and the derivative `dx` that it carries.

    Comparisons look at the value alone, so `if x > 0` chooses a branch as plain numbers would.
    There is no `float(dual)`: that would lose the derivative without a word; take `.x`.
    """

    __slots__ = ("_dx", "_x")

    def __init__(self, x: Number, dx: Number = 0.0) -> None:
        """Makes the dual number `x + dx eps`; `dx` is 0 for a constant and 1 for the variable."""
        self._x = _scalar(x)
        self._dx: Tensor | None = _scalar(dx)  # None is the 0 of a constant

    @property
    def x(self) -> Tensor:
        """The value, a float64 tensor of shape ()."""
        return self._x

    @property
    def dx(self) -> Tensor:
        """The derivative, a float64 tensor of shape () (within `grad`, one per variable)."""
        return as_tensor(0.0, float64) if self._dx is None else self._dx

    def __repr__(self) -> str:
        return f"Dual({self.x.tolist()}, {self.dx.tolist()})"

    # --- arithmetic -------------------------------------------------------------------------------

    def __add__(self, other: Number) -> Dual:
        return applied(elementwise.add, self, other)

    def __radd__(self, other: Number) -> Dual:
        return applied(elementwise.add, other, self)

    def __sub__(self, other: Number) -> Dual:
        return applied(elementwise.sub, self, other)

    def __rsub__(self, other: Number) -> Dual:
        return applied(elementwise.sub, other, self)

    def __mul__(self, other: Number) -> Dual:
        return applied(elementwise.mul, self, other)

    def __rmul__(self, other: Number) -> Dual:
        return applied(elementwise.mul, other, self)

    def __truediv__(self, other: Number) -> Dual:
        return applied(elementwise.div, self, other)

    def __rtruediv__(self, other: Number) -> Dual:
        return applied(elementwise.div, other, self)

    def __mod__(self, other: Number) -> Dual:
        return applied(elementwise.mod, self, other)

    def __rmod__(self, other: Number) -> Dual:
        return applied(elementwise.mod, other, self)

    def __pow__(self, other: Number) -> Dual:
        return applied(elementwise.pow, self, other)

    def __rpow__(self, other: Number) -> Dual:
        return applied(elementwise.pow, other, self)

    def __neg__(self) -> Dual:
        return applied(elementwise.neg, self)

    def __pos__(self) -> Dual:
        return self

    def __abs__(self) -> Dual:
        return abs(self)

    # --- comparison, by the value alone -----------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Dual, Tensor, int, float, np.generic)):
            return NotImplemented
        return bool(self._x == _value(other))

    def __lt__(self, other: Number) -> bool:
        return bool(self._x < _value(other))

    def __le__(self, other: Number) -> bool:
        return bool(self._x <= _value(other))

    def __gt__(self, other: Number) -> bool:
        return bool(self._x > _value(other))

    def __ge__(self, other: Number) -> bool:
        return bool(self._x >= _value(other))

    def __hash__(self) -> int:
        return hash(self._x.item())

    # --- functions, also as methods ---------------------------------------------------------------

    def abs(self) -> Dual:
        """Returns |x|; its derivative at 0 is 0."""
        return abs(self)

    def cos(self) -> Dual:
        """Returns the cosine."""
        return cos(self)

    def exp(self) -> Dual:
        """Returns e ** x."""
        return exp(self)

    def ln(self) -> Dual:
        """Returns the natural logarithm."""
        return log(self)

    log = ln

    def pow(self, exponent: Number) -> Dual:
        """Returns x ** exponent."""
        return pow(self, exponent)

    def relu(self) -> Dual:
        """Returns x where it is positive, else the constant 0."""
        return relu(self)

    def sigmoid(self) -> Dual:
        """Returns 1 / (1 + e ** -x)."""
        return sigmoid(self)

    def sin(self) -> Dual:
        """Returns the sine."""
        return sin(self)

    def sqrt(self) -> Dual:
        """Returns the square root."""
        return sqrt(self)

    def tan(self) -> Dual:
        """Returns the tangent."""
        return tan(self)

    def tanh(self) -> Dual:
        """Returns the hyperbolic tangent."""
        return tanh(self)


def applied(op: Elementwise, *operands: Number) -> Dual:
    """Returns an operation on duals (and numbers): its value, and its tangent by its card."""
    duals = [operand if isinstance(operand, Dual) else cst(operand) for operand in operands]
    values = [dual._x for dual in duals]
    result = object.__new__(Dual)
    result._x = op(*values)
    tangents = tuple([dual._dx for dual in duals])
    still = all(tangent is None for tangent in tangents)
    result._dx = None if still else op.jvp(tangents, result._x, *values)
    return result


def _scalar(value: Number) -> Tensor:
    if isinstance(value, Dual):
        raise ArgumentError(
            "a Dual cannot hold a Dual; nest smelt.jvp or smelt.grad for higher derivatives"
        )
    tensor = as_tensor(value, None if isinstance(value, (Tensor, np.ndarray)) else float64)
    if tensor.shape:
        raise ShapeError(f"a Dual is one number, got shape {tensor.shape}; make a list of duals")
    return tensor.to(float64)


def _value(value: object) -> Any:
    return value._x if isinstance(value, Dual) else value


def cst(value: Number) -> Dual:
    """Returns a constant: the dual number with derivative 0."""
    result = object.__new__(Dual)
    result._x, result._dx = _scalar(value), None
    return result


def abs(x: Number) -> Dual:
    """Returns |x|; its derivative at 0 is 0."""
    return applied(elementwise.abs, x)


def atan2(y: Number, x: Number) -> Dual:
    """Returns the angle of the point (x, y)."""
    return applied(elementwise.atan2, y, x)


def cos(x: Number) -> Dual:
    """Returns the cosine."""
    return applied(elementwise.cos, x)


def erf(x: Number) -> Dual:
    """Returns the error function."""
    return applied(elementwise.erf, x)


def exp(x: Number) -> Dual:
    """Returns e ** x."""
    return applied(elementwise.exp, x)


def log(x: Number) -> Dual:
    """Returns the natural logarithm."""
    return applied(elementwise.log, x)


ln = log


def log1p(x: Number) -> Dual:
    """Returns log(1 + x), accurate near 0."""
    return applied(elementwise.log1p, x)


def maximum(a: Number, b: Number) -> Dual:
    """Returns the larger; a tie shares the derivative evenly."""
    return applied(elementwise.maximum, a, b)


def minimum(a: Number, b: Number) -> Dual:
    """Returns the smaller; a tie shares the derivative evenly."""
    return applied(elementwise.minimum, a, b)


def pow(x: Number, exponent: Number) -> Dual:
    """Returns x ** exponent."""
    return applied(elementwise.pow, x, exponent)


def relu(x: Number) -> Dual:
    """Returns x where it is positive, else 0; the derivative at 0 is 0."""
    return applied(elementwise.relu, x)


def sigmoid(x: Number) -> Dual:
    """Returns 1 / (1 + e ** -x)."""
    return applied(elementwise.sigmoid, x)


def sin(x: Number) -> Dual:
    """Returns the sine."""
    return applied(elementwise.sin, x)


def sqrt(x: Number) -> Dual:
    """Returns the square root."""
    return applied(elementwise.sqrt, x)


def tan(x: Number) -> Dual:
    """Returns the tangent."""
    return sin(x) / cos(x)


def tanh(x: Number) -> Dual:
    """Returns the hyperbolic tangent."""
    return applied(elementwise.tanh, x)


def diff(function: Callable[[Dual], Number], x: Number) -> Tensor:
    """Returns the derivative of a function of one number at `x`, a float64 tensor of shape ().

    Args:
        function: takes and returns a Dual (a plain number as result is a constant).
        x: the point, a number or a tensor of shape ().
    """
    result = function(Dual(x, 1.0))
    return (result if isinstance(result, Dual) else cst(result)).dx


def grad(function: Callable[[list[Dual]], Number], xs: Sequence[Number]) -> list[Tensor]:
    """Returns the partial derivatives of a function of several numbers at `xs`.

    One evaluation gives them all: each variable carries a unit vector as its derivative.

    Args:
        function: takes a list of Duals and returns one.
        xs: the point, a sequence of numbers.
    """
    if not len(xs):
        raise ArgumentError("dual.grad: a function of no variables has no gradient")
    seeds = np.eye(len(xs))
    variables = [cst(x) for x in xs]
    for variable, seed in zip(variables, seeds, strict=True):
        variable._dx = as_tensor(seed, float64)
    result = function(variables)
    partials = (result if isinstance(result, Dual) else cst(result)).dx.expand(len(xs))
    return [partials[index] for index in range(len(xs))]
