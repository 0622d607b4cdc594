"""Elementwise operations in ONNX. Most are one node; the rest are written with a few.

An operation that has no rule here is written as its card's expression, whose operators have one.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from smelt.dtypes import DType, bool_, int32
from smelt.export.onnx.writer import Rule, Rules, Writer
from smelt.ir.graph import ARGUMENT, Node, constant_node, scalar_value
from smelt.ir.loops import Binary, Cast, Constant, Expression, Select, Unary, Variable
from smelt.ops import elementwise as cards
from smelt.ops.elementwise import Elementwise
from smelt.ops.op import REGISTRY

MOST_FACTORS = 64  # of a power of integers


def one(op_type: str) -> Rule:
    """Returns the rule that writes one node of the operands."""
    return lambda w, node, *operands: w.add(op_type, *operands)


def _compared(op_type: str) -> Rule:
    """Returns the rule of a comparison; ONNX compares numbers only, so bools become numbers."""

    def rule(w: Writer, node: Node, *operands: str) -> str:
        if node.inputs[0].dtype is bool_:
            operands = tuple([w.cast(operand, int32) for operand in operands])
        return w.add(op_type, *operands)

    return rule


def _different(w: Writer, node: Node, a: str, b: str) -> str:
    return w.add("Not", w.add("Equal", a, b))


def _bits(logical: str, bitwise: str) -> Rule:
    """Returns the rule of logic on bools, and of bits on integers."""

    def rule(w: Writer, node: Node, *operands: str) -> str:
        if node.dtype is bool_:
            return w.add(logical, *operands)
        w.needs_opset(node, 18)
        return w.add(bitwise, *operands)

    return rule


def _where(w: Writer, node: Node, condition: str, yes: str, no: str) -> str:
    """Of bools it is logic: onnxruntime has no Where for them."""
    if node.dtype is not bool_:
        return w.add("Where", condition, yes, no)
    rest = w.add("And", w.add("Not", condition), no)
    return w.add("Or", w.add("And", condition, yes), rest)


def _relu(w: Writer, node: Node, x: str) -> str:
    """Of integers it is Max: onnxruntime has no Relu for them."""
    return w.add("Relu", x) if node.dtype.is_float else w.add("Max", x, w.scalar(0, node.dtype))


def _cast(w: Writer, node: Node, x: str) -> str:
    return w.cast(x, node.dtype)


def _trunc(w: Writer, node: Node, x: str) -> str:
    below = w.add("Less", x, w.scalar(0, node.dtype))
    return w.add("Where", below, w.add("Ceil", x), w.add("Floor", x))


# --- division -------------------------------------------------------------------------------------


def _mod(w: Writer, node: Node, a: str, b: str) -> str:
    """Returns what is left over, with the sign of the divisor; by the integer 0 that is 0."""
    if node.dtype.is_float:
        left = w.add("Mod", a, b, fmod=1)  # has the sign of a
        zero = w.scalar(0, node.dtype)
        wrong = w.add("Xor", w.add("Less", left, zero), w.add("Less", b, zero))
        moved = w.add("And", wrong, w.add("Not", w.add("Equal", left, zero)))
        return w.add("Where", moved, w.add("Add", left, b), left)
    nothing, divisor = _divisor(w, node, b)
    left = w.add("Mod", a, divisor)
    return w.add("Where", nothing, w.scalar(0, node.dtype), left) if nothing else left


def _floordiv(w: Writer, node: Node, a: str, b: str) -> str:
    """Returns (a - a mod b) / b, a whole number; by the integer 0 that is 0."""
    if node.dtype.is_float:
        whole = w.add("Div", w.add("Sub", a, _mod(w, node, a, b)), b)
        quotient = w.add("Div", a, b)
        by_zero = w.add("Equal", b, w.scalar(0, node.dtype))
        return w.add("Where", by_zero, quotient, w.add("Round", whole))
    nothing, divisor = _divisor(w, node, b)
    quotient = w.add("Div", w.add("Sub", a, w.add("Mod", a, divisor)), divisor)
    return w.add("Where", nothing, w.scalar(0, node.dtype), quotient) if nothing else quotient


def _divisor(w: Writer, node: Node, b: str) -> tuple[str, str]:
    """Returns where a divisor is 0 ("" if nowhere), and one that is 1 there."""
    if scalar_value(node.inputs[1]):
        return "", b
    nothing = w.add("Equal", b, w.scalar(0, node.dtype))
    return nothing, w.add("Where", nothing, w.scalar(1, node.dtype), b)


# --- powers, exponentials, logarithms -------------------------------------------------------------


def _power(w: Writer, node: Node, a: str, b: str) -> str:
    if node.dtype.is_float:
        return w.add("Pow", a, b)
    exponent = scalar_value(node.inputs[1])
    if exponent is None or not 1 <= exponent <= MOST_FACTORS:
        raise w.refuse(
            node,
            "powers of integers wrap around, which ONNX does not guarantee for Pow; only constant "
            f"exponents from 1 to {MOST_FACTORS} are supported",
        )
    result, square, left = "", a, int(exponent)
    while left:
        if left & 1:
            result = w.add("Mul", result, square) if result else square
        left >>= 1
        square = w.add("Mul", square, square) if left else square
    return result


def _exp2(w: Writer, node: Node, x: str) -> str:
    return w.add("Pow", w.scalar(2, node.dtype), x)


def _expm1(w: Writer, node: Node, x: str) -> str:
    """Returns (u - 1) x / log(u), where u = exp(x): exact near 0 (Kahan; Higham, 2002, 1.14.1)."""
    one_, infinite = w.scalar(1, node.dtype), w.scalar(math.inf, node.dtype)
    u = w.add("Exp", x)
    less = w.add("Sub", u, one_)
    near = w.add("Div", w.add("Mul", less, x), w.add("Log", u))
    far = w.add("Or", w.add("Equal", u, infinite), w.add("Equal", less, w.scalar(-1, node.dtype)))
    return w.add("Where", w.add("Equal", u, one_), x, w.add("Where", far, less, near))


def _log1p(w: Writer, node: Node, x: str) -> str:
    """Returns log(u) x / (u - 1), where u = 1 + x: exact near 0 (Kahan; Higham, 2002, 1.14.1)."""
    one_, infinite = w.scalar(1, node.dtype), w.scalar(math.inf, node.dtype)
    u = w.add("Add", x, one_)
    logarithm = w.add("Log", u)
    near = w.add("Div", w.add("Mul", logarithm, x), w.add("Sub", u, one_))
    far = w.add("Equal", u, infinite)
    return w.add("Where", w.add("Equal", u, one_), x, w.add("Where", far, logarithm, near))


def _logarithm(base: float) -> Rule:
    def rule(w: Writer, node: Node, x: str) -> str:
        return w.add("Div", w.add("Log", x), w.scalar(math.log(base), node.dtype))

    return rule


# --- angles ---------------------------------------------------------------------------------------


def _atan2(w: Writer, node: Node, a: str, b: str) -> str:
    """Returns the angle of the point (b, a): atan(a / b), moved by pi where b is negative.

    Zeros have a sign, which 1 / x tells; of two infinities the angle is nan.
    """
    zero, pi = w.scalar(0, node.dtype), w.scalar(math.pi, node.dtype)
    half, one_ = w.scalar(math.pi / 2, node.dtype), w.scalar(1, node.dtype)

    def is_negative(x: str) -> str:
        below = w.add("Less", w.add("Div", one_, x), zero)
        return w.add("Or", w.add("Less", x, zero), below)

    down, left = is_negative(a), is_negative(b)
    angle = w.add("Atan", w.add("Div", a, b))
    around = w.add("Where", down, w.add("Neg", pi), pi)
    on_axis = w.add("Where", down, w.add("Neg", half), half)
    still = w.add("Where", left, around, a)
    upright = w.add("Where", w.add("Equal", a, zero), still, on_axis)
    moved = w.add("Where", left, w.add("Add", angle, around), angle)
    return w.add("Where", w.add("Equal", b, zero), upright, moved)


RULES: Final[Rules] = {
    cards.add: one("Add"),
    cards.sub: one("Sub"),
    cards.mul: one("Mul"),
    cards.div: one("Div"),
    cards.floordiv: _floordiv,
    cards.mod: _mod,
    cards.pow: _power,
    cards.neg: one("Neg"),
    cards.abs: one("Abs"),
    cards.sign: one("Sign"),
    cards.maximum: one("Max"),
    cards.minimum: one("Min"),
    cards.exp: one("Exp"),
    cards.exp2: _exp2,
    cards.expm1: _expm1,
    cards.log: one("Log"),
    cards.log2: _logarithm(2),
    cards.log10: _logarithm(10),
    cards.log1p: _log1p,
    cards.sqrt: one("Sqrt"),
    cards.sin: one("Sin"),
    cards.cos: one("Cos"),
    cards.asin: one("Asin"),
    cards.acos: one("Acos"),
    cards.sinh: one("Sinh"),
    cards.cosh: one("Cosh"),
    cards.tanh: one("Tanh"),
    cards.sigmoid: one("Sigmoid"),
    cards.relu: _relu,
    cards.erf: one("Erf"),
    cards.atan2: _atan2,
    cards.floor: one("Floor"),
    cards.ceil: one("Ceil"),
    cards.round: one("Round"),
    cards.trunc: _trunc,
    cards.eq: one("Equal"),
    cards.ne: _different,
    cards.lt: _compared("Less"),
    cards.le: _compared("LessOrEqual"),
    cards.gt: _compared("Greater"),
    cards.ge: _compared("GreaterOrEqual"),
    cards.isnan: one("IsNaN"),
    cards.isinf: one("IsInf"),
    cards.bitwise_and: _bits("And", "BitwiseAnd"),
    cards.bitwise_or: _bits("Or", "BitwiseOr"),
    cards.bitwise_xor: _bits("Xor", "BitwiseXor"),
    cards.bitwise_not: _bits("Not", "BitwiseNot"),
    cards.where: _where,
    cards.cast: _cast,
}


# --- what has no rule -----------------------------------------------------------------------------

_OTHER_NAMES = {"logical_not": "bitwise_not"}  # of operators of the loop IR, as cards


def expressed(w: Writer, node: Node, *operands: str) -> str:
    """Writes an operation as the expression by which compiled code computes one element."""
    assert isinstance(node.op, Elementwise)
    leaves = [Variable(f"operand{number}", x.dtype) for number, x in enumerate(node.inputs)]
    known: dict[Expression, str] = dict(zip(leaves, operands, strict=True))

    def value(expression: Expression) -> str:
        if expression not in known:
            known[expression] = written(expression)
        return known[expression]

    def written(expression: Expression) -> str:
        match expression:
            case Constant(value=number, dtype=dtype):
                return w.scalar(number, dtype)
            case Cast(x=x, dtype=dtype):
                return w.cast(value(x), dtype)
            case Unary(op=name, x=x):
                return applied(name, x, dtype=expression.dtype)
            case Binary(op=name, a=a, b=b):
                return applied(name, a, b, dtype=expression.dtype)
            case Select(condition=condition, yes=yes, no=no):
                return applied("where", condition, yes, no, dtype=expression.dtype)
        raise w.refuse(node, f"its expression has a {type(expression).__name__}")

    def applied(name: str, *parts: Expression, dtype: DType) -> str:
        card = REGISTRY.get(_OTHER_NAMES.get(name, name))
        if card is None or card not in RULES:
            raise w.refuse(node, f"its expression has the operator {name}")
        inputs = tuple(map(_stand_in, parts))
        inner = Node(card, inputs, {}, (), dtype, node.origin)
        return str(RULES[card](w, inner, *map(value, parts)))

    return value(node.op.express(*leaves, **node.attributes))


def _stand_in(part: Expression) -> Node:
    """Returns a node that tells a rule the dtype of an operand, and its value if it is a number."""
    array = np.asarray(part.value, part.dtype.storage) if isinstance(part, Constant) else None
    if array is not None:
        return constant_node(array, part.dtype)
    return Node(ARGUMENT, (), {"number": 0}, (), part.dtype)
