"""Dual numbers: forward-mode differentiation in its simplest form, a number that carries its
derivative.

    x + dx eps,  eps^2 = 0:   f(x + dx eps) = f(x) + f'(x) dx eps

A `Dual` holds a value and a derivative, both float64 tensors, and applies the same rules from the
cards in `smelt.ops` that `smelt.jvp` uses; there is no second table of derivatives.

    >>> y = Dual(3.0, 1.0) * cst(5.0)
    >>> y
    Dual(15.0, 5.0)
    >>> diff(lambda x: 3 * x**2 + 2 * x + 1, 2.0)
    tensor(14., dtype=smelt.float64)

Vectors and matrices of duals are lists, and lists of rows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np

from smelt.block import Block
from smelt.dtypes import float64
from smelt.errors import ArgumentError, ShapeError
from smelt.ops import elementwise
from smelt.ops.elementwise import Elementwise
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor
from smelt.tracing.engine import enable_grad
from smelt.tracing.walk import forward_walk

__all__ = [
    "Dual", "abs", "atan2", "cos", "cst", "diff", "erf", "exp", "grad", "ln", "log", "log1p",
    "maximum", "minimum", "pow", "relu", "sigmoid", "sin", "sqrt", "tan", "tanh",
]  # fmt: skip

Part = Union[Tensor, "Dual"]
Number = Any  # a Dual, a Python or NumPy number, or a tensor of shape ()


class Dual:
    """A number `x` and the derivative `dx` that it carries.

    Comparisons use only the value, so `if x > 0` chooses a branch as for plain numbers. There is no
    `float(dual)`, which would silently lose the derivative; use `.x`.

    Each running `diff` and `grad` has its own perturbation, identified by its level: the number of
    those around it. Within an inner one, a dual of an outer one is a constant, and a value may
    itself be such a dual.
    """

    __slots__ = ("_dx", "_level", "_x")

    def __init__(self, x: Number, dx: Number = 0.0) -> None:
        """Makes the dual number `x + dx eps`; `dx` is 0 for a constant and 1 for the variable."""
        self._x: Part = _scalar(x)
        is_constant = isinstance(dx, (int, float)) and dx == 0
        self._dx: Part | None = None if is_constant else _scalar(dx)  # None is the 0 of a constant
        self._level = 0

    @property
    def x(self) -> Any:
        """The value, a float64 tensor of shape (); in nested calls a Dual of the outer `diff`."""
        return self._x

    @property
    def dx(self) -> Any:
        """The derivative, like the value (within `grad`, one per variable)."""
        return as_tensor(0.0, float64) if self._dx is None else self._dx

    def __repr__(self) -> str:
        return f"Dual({_written(self.x)}, {_written(self.dx)})"

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
        return bool(_value(self) == _value(other))

    def __lt__(self, other: Number) -> bool:
        return bool(_value(self) < _value(other))

    def __le__(self, other: Number) -> bool:
        return bool(_value(self) <= _value(other))

    def __gt__(self, other: Number) -> bool:
        return bool(_value(self) > _value(other))

    def __ge__(self, other: Number) -> bool:
        return bool(_value(self) >= _value(other))

    def __hash__(self) -> int:
        return hash(_value(self).item())

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
    result = _lifted(op, [part if isinstance(part, Dual) else _scalar(part) for part in operands])
    return result if isinstance(result, Dual) else cst(result)


def _lifted(function: Callable[..., Tensor], operands: Sequence[Part]) -> Part:
    """Returns a function of tensors applied to duals, which are constants beside duals of a higher
    level:  f(x + dx eps) = f(x) + f'(x) dx eps,  x and dx numbers of the lower levels.
    """
    level = max((part._level for part in operands if isinstance(part, Dual)), default=None)
    if level is None:
        return function(*operands)
    values, tangents = _parts(level, operands)
    count = len(values)

    def moved(*parts: Tensor) -> Tensor:
        return _jvp(function, parts[:count], dict(zip(tangents, parts[count:], strict=True)))

    value = _lifted(function, values)
    if not tangents:
        return _made(level, value, None)
    return _made(level, value, _lifted(moved, [*values, *tangents.values()]))


def _parts(level: int, operands: Sequence[Part]) -> tuple[list[Part], dict[int, Part]]:
    """Returns the values of operands, and the derivatives, by place, of those that have one."""
    values, tangents = list(operands), {}
    for place, part in enumerate(operands):
        if isinstance(part, Dual) and part._level == level:
            values[place] = part._x
            if part._dx is not None:
                tangents[place] = part._dx
    return values, tangents


def _jvp(
    function: Callable[..., Tensor], points: Sequence[Tensor], tangents: dict[int, Tensor]
) -> Tensor:
    """Returns how a function of tensors moves when the points of some places do."""
    given = tuple(tangents.get(place) for place in range(len(points)))
    if isinstance(function, Elementwise):
        result = function.jvp(given, function(*points), *points)
    else:
        shape = np.broadcast_shapes(*(tangent.shape for tangent in tangents.values()))
        with enable_grad():
            fresh = [_tracked(point, shape) for point in points]
            output = function(*fresh)
        moves = {id(fresh[place]): tangent.expand(shape) for place, tangent in tangents.items()}
        (result,) = forward_walk((output,), moves)
        if result is not None and not any(
            part.requires_grad for part in (*points, *tangents.values())
        ):
            result = result.detach()
    return as_tensor(0.0, float64) if result is None else result


def _tracked(point: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Returns a copy that leaves a history, of the point where that has one itself."""
    shape = np.broadcast_shapes(point.shape, shape)
    if point.requires_grad:
        return point.clone().expand(shape).clone()
    return point.detach().expand(shape).clone().requires_grad_()


def _made(level: int, x: Part, dx: Part | None) -> Dual:
    result = object.__new__(Dual)
    result._level, result._x, result._dx = level, x, dx
    return result


def _scalar(value: Number) -> Tensor:
    if isinstance(value, Dual):
        raise ArgumentError("a Dual cannot hold a Dual; nest dual.diff or dual.grad instead")
    tensor = as_tensor(value, None if isinstance(value, (Tensor, np.ndarray)) else float64)
    if tensor.shape:
        raise ShapeError(
            f"a Dual must be one number, got shape {tensor.shape}; make a list of duals"
        )
    return tensor.to(float64)


def _value(value: object) -> Any:
    """Returns the number at the bottom of a dual."""
    while isinstance(value, Dual):
        value = value._x
    return value


def _written(part: Part) -> Any:
    return part if isinstance(part, Dual) else part.tolist()


def cst(value: Number) -> Dual:
    """Returns a constant: the dual number with derivative 0."""
    return _made(0, _scalar(value), None)


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
    with _running.entered(0):
        level = _running.level
        return _derivative(function(_variable(level, x, as_tensor(1.0, float64))), level)


def _variable(level: int, x: Number, dx: Tensor) -> Dual:
    return _made(level, x if isinstance(x, Dual) else _scalar(x), dx)


def _derivative(result: Number, level: int) -> Any:
    if isinstance(result, Dual) and result._level == level:
        return result.dx
    return as_tensor(0.0, float64)


class _Running(threading.local):
    """The `diff` and `grad` that this thread is in: how many, and how many of the latter.

    Each `grad` has an axis of its own in the derivatives, before those of the ones around it.
    """

    level = 0
    axes = 0

    def entered(self, axes: int) -> Block:
        """Within the block there is one more, on the next level."""
        return Block(self, level=self.level + 1, axes=self.axes + axes)


_running = _Running()


def grad(function: Callable[[list[Dual]], Number], xs: Sequence[Number]) -> list[Tensor]:
    """Returns the partial derivatives of a function of several numbers at `xs`.

    One evaluation gives them all: each variable carries a unit vector as its derivative.

    Args:
        function: takes a list of Duals and returns one.
        xs: the point, a sequence of numbers.
    """
    if not len(xs):
        raise ArgumentError("dual.grad: needs at least one variable")
    axes = _running.axes
    seeds = np.eye(len(xs)).reshape(len(xs), len(xs), *(1,) * axes)
    with _running.entered(1):
        level = _running.level
        variables = [
            _variable(level, x, as_tensor(seed, float64)) for x, seed in zip(xs, seeds, strict=True)
        ]
        slopes = _derivative(function(variables), level)
    return [_along(slopes, index, axes) for index in range(len(xs))]


def _along(slopes: Part, index: int, axes: int) -> Any:
    """Returns the derivative by one variable, without the axis of the variables, before which
    `axes` others stand.
    """
    if isinstance(slopes, Dual):
        dx = None if slopes._dx is None else _along(slopes._dx, index, axes)
        return _made(slopes._level, _along(slopes._x, index, axes), dx)
    if slopes.ndim <= axes:
        return slopes
    own = slopes[index if len(slopes) > 1 else 0]
    return own.reshape(own.shape[next((n for n, k in enumerate(own.shape) if k > 1), own.ndim) :])
