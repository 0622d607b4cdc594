"""Elementwise operations: each element of the result depends on one element of each operand.

A card gives the value (a NumPy function), the partial derivatives, and the scalar expression, if
that is not the loop-IR operation of the same name. A partial is a number, None (zero), or a
function of `(output, *inputs)`. Operands broadcast as in NumPy; it is the reverse walk that undoes
broadcasting, not the rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.dtypes import DType, bool_, decode, encode
from smelt.errors import DTypeError
from smelt.ir import arithmetic, loops
from smelt.ir.loops import COSTS, Binary, Expression, Select, Unary
from smelt.ir.operation import Pattern
from smelt.ir.select import select
from smelt.ops import expressions
from smelt.ops.movement import broadcast_batched, broadcast_shapes
from smelt.ops.op import (
    Gradients,
    Index,
    Mask,
    Needs,
    Op,
    Readers,
    Shape,
    Type,
    Typed,
    check_not_half,
)
from smelt.tracing.apply import apply, apply_directly

Partial = None | int | float | Callable[..., Any]
ANY, NUMBER, FLOAT, INTEGER, BITS = "any", "number", "float", "integer", "integer or bool"
_KINDS = {
    ANY: ("bool", "int", "float"),
    NUMBER: ("int", "float"),
    FLOAT: ("float",),
    INTEGER: ("int",),
    BITS: ("bool", "int"),
}


class Elementwise(Op):
    """The family: shapes broadcast, and the tangent is the sum of partial x tangent."""

    pattern = Pattern.POINTWISE

    def __init__(
        self,
        name: str,
        value: Callable[..., Any],
        partials: tuple[Partial, ...],
        *,
        accepts: str = NUMBER,
        to_bool: bool = False,
        expression: Callable[..., Expression] | None = None,
        domain: tuple[float, float] = (-2.0, 2.0),
        cost: int | None = None,
    ) -> None:
        """`domain` is an interval in which the operation is defined, and smooth for gradcheck.

        `cost` is per element, where an addition costs 1; by default it is taken from COSTS.
        """
        super().__init__(name)
        self.numpy = value
        self.partials = partials
        self.arity: int = len(partials)
        self.accepts = accepts
        self.to_bool = to_bool
        self.domain = domain
        self.cost: int = COSTS.get(name, 1) if cost is None else cost
        self.expression: Callable[..., Expression] = expression or _expression_named(
            name, self.arity
        )
        self.native: frozenset[DType] = frozenset(filter(self._is_native, dtypes.ALL))

    def __call__(self, *operands: Any, **attributes: Any) -> Any:
        if self.native and not attributes:
            result = apply_directly(self, *operands)
            if result is not None:
                return result
        return apply(self, operands, attributes)

    def _is_native(self, dtype: DType) -> bool:
        """Returns whether operands of this dtype are accepted and computed in it directly."""
        return dtype.kind in _KINDS[self.accepts] and dtype.compute is dtype

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        shape = broadcast_shapes(self.name, *(given.shape for given in types))
        return Type(shape, self.result_dtype(*types, **attributes))

    def result_dtype(self, *types: Typed, **attributes: Any) -> DType:
        """Returns the dtype of the result; raises DTypeError when the operands do not fit."""
        dtype = types[-1].dtype
        if dtype.kind not in _KINDS[self.accepts]:
            raise DTypeError(f"{self.name} needs {self.accepts} operands, got {dtype.name}")
        check_not_half(self.name, dtype)
        for given in types:
            if given.dtype is not dtype:
                names = ", ".join(given.dtype.name for given in types)
                raise DTypeError(f"{self.name}: operands must have the same dtype, got {names}")
        return bool_ if self.to_bool else dtype

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return self.numpy(*arrays, **attributes)

    def partial(self, number: int, output: Any, inputs: tuple[Any, ...]) -> Any:
        """Returns the derivative with respect to input `number`: None, a number or a Tensor."""
        rule = self.partials[number]
        return rule(output, *inputs) if callable(rule) else rule

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        total = None
        for number, tangent in enumerate(tangents):
            if tangent is not None:
                term = scaled(tangent, self.partial(number, output, inputs))
                total = term if total is None else total if term is None else add(total, term)
        return total

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return tuple(
            scaled(g, self.partial(number, output, inputs)) if needed else None
            for number, needed in enumerate(needs)
        )

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        return self(*broadcast_batched(inputs, batched), **attributes)

    def lower(self, readers: Readers, index: Index, node: Any, mask: Mask = None) -> Expression:
        """Returns the scalar expression of the operands' elements at `index`."""
        elements = (
            read(broadcast_index(index, operand.shape), mask)
            for read, operand in zip(readers, node.inputs, strict=True)
        )
        return self.express(*elements, **node.attributes)

    def express(self, *elements: Expression, **attributes: Any) -> Expression:
        """Returns the scalar expression of the given elements."""
        return self.expression(*elements, **attributes)


def broadcast_index(index: tuple[Expression, ...], shape: Shape) -> tuple[Expression, ...]:
    """Returns the index of an operand of `shape` for the result's element at `index`."""
    own = index[len(index) - len(shape) :]
    return tuple(
        loops.constant(0) if extent == 1 else part for part, extent in zip(own, shape, strict=True)
    )


def scaled(tangent: Any, partial: Any) -> Any:
    """Returns tangent x partial, without arithmetic for 0, 1 and -1."""
    if partial is None:
        return None
    if isinstance(partial, (int, float)):
        return tangent if partial == 1 else neg(tangent) if partial == -1 else tangent * partial
    return mul(tangent, partial)


def _expression_named(name: str, arity: int) -> Callable[..., Expression]:
    if arity == 1:
        return lambda x: Unary(name, x, bool_ if name in ("isnan", "isinf") else x.dtype)
    return lambda a, b: Binary(name, a, b)


def as_float(condition: Any, like: Any) -> Any:
    """Returns a bool Tensor as 0 and 1 in the dtype of `like`."""
    return cast(condition, dtype=like.dtype)


def _side(loses: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """Returns the partial of maximum or minimum for one side: 0 where it loses, 1/2 at a tie.

    If either side is nan, it is 1 for both, as in PyTorch.
    """
    return lambda y, a, b: (1.0 - as_float(loses(a, b), a)) - 0.5 * as_float(eq(a, b), a)


def _sigmoid_value(x: np.ndarray) -> np.ndarray:
    one = x.dtype.type(1)
    below = np.exp(np.copysign(x, -one)) + one  # 1 + e^-|x|, which never overflows
    return np.asarray(np.exp(np.minimum(x, x.dtype.type(0))) / below)  # 1, or e^x below 0


def _log10_value(x: np.ndarray) -> np.ndarray:
    # with AVX-512, NumPy's float32 version gives 2.0000002 for 100
    return np.log10(x, dtype=np.float64).astype(x.dtype, copy=False)


def _relu_value(x: np.ndarray) -> np.ndarray:
    return select(x < 0, np.zeros((), x.dtype), x)  # -0 and nan stay, as in native code


def _power_value(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return arithmetic.power(a, b) if a.dtype.kind == "f" else arithmetic.whole_power(a, b)


def _power_by_base(y: Any, a: Any, b: Any) -> Any:
    """Returns b a ** (b - 1): 0 for b = 0, also at a = 0, in derivatives of every order."""
    return b * pow(where(eq(b, 0.0), where(gt(abs(a), 0.0), a, 1.0), a), b - 1.0)


def _power_by_exponent(y: Any, a: Any, b: Any) -> Any:
    """Returns a ** b * log(a), which is 0 at base 0 unless the power itself is infinite."""
    still = bitwise_and(eq(a, 0.0), ge(b, 0.0))
    return where(still, 0.0, y * log(where(still, 1.0, a)))


def _square_radius(a: Any, b: Any) -> Any:
    """Returns a^2 + b^2; 1 at the origin, so that the derivatives of the angle are 0 there."""
    square = a * a + b * b
    return where(eq(square, 0.0), 1.0, square)


# --- arithmetic -----------------------------------------------------------------------------------

add: Final = Elementwise("add", np.add, (1, 1))
sub: Final = Elementwise("sub", np.subtract, (1, -1))
mul: Final = Elementwise("mul", np.multiply, (lambda y, a, b: b, lambda y, a, b: a))
div: Final = Elementwise(
    "div",
    np.divide,
    (lambda y, a, b: 1.0 / b, lambda y, a, b: -(y / b)),
    accepts=FLOAT,
    domain=(0.5, 2.0),
)
floordiv: Final = Elementwise("floordiv", np.floor_divide, (None, None), domain=(0.5, 2.0))
mod: Final = Elementwise("mod", np.mod, (1, lambda y, a, b: -floordiv(a, b)), domain=(0.6, 0.9))
pow: Elementwise = Elementwise(
    "pow",
    _power_value,
    (
        lambda y, a, b: _power_by_base(y, a, b),
        lambda y, a, b: _power_by_exponent(y, a, b),
    ),
    domain=(0.5, 2.0),
)
neg: Final = Elementwise("neg", np.negative, (-1,))
abs: Final = Elementwise("abs", np.abs, (lambda y, x: sign(x),), domain=(0.1, 2.0))
sign: Elementwise = Elementwise("sign", np.sign, (None,), domain=(0.1, 2.0))
maximum: Final = Elementwise(
    "maximum", np.maximum, (_side(lambda a, b: lt(a, b)), _side(lambda a, b: gt(a, b)))
)
minimum: Final = Elementwise(
    "minimum", np.minimum, (_side(lambda a, b: gt(a, b)), _side(lambda a, b: lt(a, b)))
)

# --- functions of one number ----------------------------------------------------------------------

exp: Final = Elementwise("exp", np.exp, (lambda y, x: y,), accepts=FLOAT)
exp2: Final = Elementwise("exp2", np.exp2, (lambda y, x: y * math.log(2),), accepts=FLOAT)
expm1: Final = Elementwise("expm1", np.expm1, (lambda y, x: exp(x),), accepts=FLOAT)
log: Final = Elementwise("log", np.log, (lambda y, x: 1.0 / x,), accepts=FLOAT, domain=(0.5, 3.0))
log2: Final = Elementwise(
    "log2",
    np.log2,
    (lambda y, x: (1 / math.log(2)) / x,),
    accepts=FLOAT,
    domain=(0.5, 3.0),
)
log10: Final = Elementwise(
    "log10",
    _log10_value,
    (lambda y, x: (1 / math.log(10)) / x,),
    accepts=FLOAT,
    domain=(0.5, 3.0),
)
log1p: Final = Elementwise(
    "log1p", np.log1p, (lambda y, x: 1.0 / (1.0 + x),), accepts=FLOAT, domain=(-0.5, 3.0)
)
sqrt: Final = Elementwise(
    "sqrt", np.sqrt, (lambda y, x: 0.5 / y,), accepts=FLOAT, domain=(0.5, 3.0)
)
sin: Final = Elementwise("sin", np.sin, (lambda y, x: cos(x),), accepts=FLOAT)
cos: Elementwise = Elementwise("cos", np.cos, (lambda y, x: -sin(x),), accepts=FLOAT)
# cos(asin(x)); an operation of its own, so that asin has a second derivative at 1
cos_asin: Final = Elementwise(
    "cos_asin",
    lambda x: np.sqrt((1.0 - x) * (1.0 + x)),
    (lambda y, x: -x / y,),
    accepts=FLOAT,
    expression=expressions.cos_asin,
    cost=8,
    domain=(-0.9, 0.9),
)
asin: Final = Elementwise(
    "asin",
    np.arcsin,
    (lambda y, x: 1.0 / cos_asin(x),),
    accepts=FLOAT,
    expression=expressions.asin,
    cost=34,
    domain=(-0.9, 0.9),
)
acos: Final = Elementwise(
    "acos",
    np.arccos,
    (lambda y, x: -1.0 / cos_asin(x),),
    accepts=FLOAT,
    expression=expressions.acos,
    cost=34,
    domain=(-0.9, 0.9),
)
sinh: Elementwise = Elementwise(
    "sinh",
    np.sinh,
    (lambda y, x: cosh(x),),
    accepts=FLOAT,
    expression=expressions.sinh,
    cost=36,
)
cosh: Elementwise = Elementwise(
    "cosh",
    np.cosh,
    (lambda y, x: sinh(x),),
    accepts=FLOAT,
    expression=expressions.cosh,
    cost=20,
)
tanh: Final = Elementwise("tanh", np.tanh, (lambda y, x: 1.0 - y * y,), accepts=FLOAT)
sigmoid: Final = Elementwise(
    "sigmoid",
    _sigmoid_value,
    (lambda y, x: y * (1.0 - y),),
    accepts=FLOAT,
    expression=expressions.sigmoid,
    cost=16,
)
relu: Final = Elementwise(
    "relu",
    _relu_value,
    (lambda y, x: as_float(gt(y, 0.0), x),),  # 0 at 0, as in other libraries
    expression=expressions.relu,
    domain=(0.1, 2.0),
)
SLOPE = 2.0 / math.sqrt(math.pi)  # of erf at 0
erf: Final = Elementwise(
    "erf", arithmetic.erf, (lambda y, x: SLOPE * exp(-(x * x)),), accepts=FLOAT
)
atan2: Final = Elementwise(
    "atan2",
    np.arctan2,
    (lambda y, a, b: b / _square_radius(a, b), lambda y, a, b: -(a / _square_radius(a, b))),
    accepts=FLOAT,
    domain=(0.5, 2.0),
)
floor: Final = Elementwise("floor", np.floor, (None,), accepts=FLOAT, domain=(0.1, 0.9))
ceil: Final = Elementwise("ceil", np.ceil, (None,), accepts=FLOAT, domain=(0.1, 0.9))
round: Final = Elementwise("round", np.rint, (None,), accepts=FLOAT, domain=(0.1, 0.4))
trunc: Final = Elementwise("trunc", np.trunc, (None,), accepts=FLOAT, domain=(0.1, 0.9))

# --- comparisons ----------------------------------------------------------------------------------

eq: Elementwise = Elementwise("eq", np.equal, (None, None), accepts=ANY, to_bool=True)
ne: Final = Elementwise("ne", np.not_equal, (None, None), accepts=ANY, to_bool=True)
lt: Elementwise = Elementwise("lt", np.less, (None, None), accepts=ANY, to_bool=True)
le: Final = Elementwise("le", np.less_equal, (None, None), accepts=ANY, to_bool=True)
gt: Elementwise = Elementwise("gt", np.greater, (None, None), accepts=ANY, to_bool=True)
ge: Final = Elementwise("ge", np.greater_equal, (None, None), accepts=ANY, to_bool=True)
isnan: Final = Elementwise("isnan", np.isnan, (None,), accepts=FLOAT, to_bool=True)
isinf: Final = Elementwise("isinf", np.isinf, (None,), accepts=FLOAT, to_bool=True)

# --- bits; on bool they are logic -----------------------------------------------------------------

bitwise_and: Final = Elementwise("bitwise_and", np.bitwise_and, (None, None), accepts=BITS)
bitwise_or: Final = Elementwise("bitwise_or", np.bitwise_or, (None, None), accepts=BITS)
bitwise_xor: Final = Elementwise("bitwise_xor", np.bitwise_xor, (None, None), accepts=BITS)
bitwise_not: Final = Elementwise("bitwise_not", np.bitwise_not, (None,), accepts=BITS)
shl: Final = Elementwise("shl", arithmetic.shift_left, (None, None), accepts=INTEGER)
shr: Final = Elementwise("shr", arithmetic.shift_right_logical, (None, None), accepts=INTEGER)


class Where(Elementwise):
    """`yes` where the condition (bool) holds, else `no`; the gradient goes to the chosen side."""

    def _is_native(self, dtype: DType) -> bool:
        return False  # the operands differ in dtype

    def result_dtype(self, *types: Typed, **attributes: Any) -> DType:
        condition, yes, no = types
        if condition.dtype is not bool_:
            raise DTypeError(f"where needs a bool condition, got {condition.dtype.name}")
        return super().result_dtype(yes, no)

    # selected, not multiplied by 0 and 1: an inf on the other side must not become nan

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        _, yes, no = (0.0 if tangent is None else tangent for tangent in tangents)
        return where(inputs[0], yes, no)

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        condition = inputs[0]
        return (
            None,
            where(condition, g, 0.0) if needs[1] else None,
            where(condition, 0.0, g) if needs[2] else None,
        )


where: Where = Where("where", select, (None, None, None), accepts=ANY, expression=Select)


class Cast(Elementwise):
    """The same numbers in another dtype; the gradient is cast back.

    It is called as `cast(x, dtype=...)` and records the original dtype.
    """

    def _is_native(self, dtype: DType) -> bool:
        return False  # it has attributes

    def __call__(self, *operands: Any, **attributes: Any) -> Any:
        (x,), dtype = operands, attributes["dtype"]
        return x if x.dtype is dtype else super().__call__(x, dtype=dtype, source=x.dtype)

    def result_dtype(self, *types: Typed, **attributes: Any) -> DType:
        return attributes["dtype"]

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return encode(decode(arrays[0], attributes["source"]), attributes["dtype"])

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        return self._convert(tangents[0], attributes["dtype"], inputs[0].dtype)

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return (self._convert(g, inputs[0].dtype, inputs[0].dtype),)

    def _convert(self, tangent: Any, dtype: DType, source: DType) -> Any:
        both_float = dtype.is_float and source.is_float
        return cast(tangent, dtype=dtype) if both_float and tangent is not None else None

    def express(self, *elements: Expression, **attributes: Any) -> Expression:
        return loops.Cast(elements[0], attributes["dtype"])


cast: Final = Cast("cast", encode, (1,), accepts=ANY)


class Bitcast(Elementwise):
    """The same bits read as another dtype of the same width; it has no derivative."""

    def _is_native(self, dtype: DType) -> bool:
        return False  # it has attributes

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        return arrays[0].view(attributes["dtype"].storage)

    def result_dtype(self, *types: Typed, **attributes: Any) -> DType:
        given, wanted = types[0].dtype, attributes["dtype"]
        if given.itemsize != wanted.itemsize:
            raise DTypeError(
                f"bitcast: {given.name} and {wanted.name} differ in width; both dtypes must have "
                "the same number of bits"
            )
        return wanted

    def express(self, *elements: Expression, **attributes: Any) -> Expression:
        return Unary("bitcast", elements[0], attributes["dtype"])


bitcast: Final = Bitcast("bitcast", np.ndarray.view, (None,), accepts=ANY)
