"""Operands of LLVM instructions: constants, repeated scalars, and index formulas.

Index arithmetic keeps what is known when the code is written (a number, an upper limit, a vector
of the form base + stride * lane), so that addresses stay simple and divisions cheap.
"""

from __future__ import annotations

from collections.abc import Callable

from smelt.compiler.llvm_text import Value, Writer, integer, literal, register_type, suffix, vector
from smelt.dtypes import DType, int64
from smelt.errors import CompileError


def constant(number: bool | int | float, dtype: DType, lanes: int = 1) -> Value:
    """Returns a number known now, in every lane."""
    if dtype is int64 and lanes == 1:
        return integer(int(number))
    return repeat_literal(literal(number, dtype), dtype, lanes)


def repeat_literal(text: str, dtype: DType, lanes: int) -> Value:
    """Returns a constant's text as a constant vector."""
    if lanes > 1:
        text = f"splat ({register_type(dtype)} {text})"
    return Value(text, dtype, lanes)


def repeat(w: Writer, x: Value, lanes: int) -> Value:
    """Returns a scalar in every lane; a vector, or a formula of one, is written out."""
    if x.stride is not None:
        return _ramp(w, x)
    if x.lanes == lanes:
        return x
    if x.lanes != 1:
        raise CompileError(f"a vector of {x.lanes} lanes stands where {lanes} are needed")
    if x.is_literal:
        return repeat_literal(x.text, x.dtype, lanes)._replace(limit=x.limit)
    wide = register_type(x.dtype, lanes)
    first = w.let(f"insertelement {wide} poison, {x.typed}, i64 0")
    mask = f"<{lanes} x i32> zeroinitializer"
    text = w.let(f"shufflevector {wide} {first}, {wide} poison, {mask}")
    return Value(text, x.dtype, lanes, limit=x.limit)


def _ramp(w: Writer, x: Value) -> Value:
    """Writes out the index vector `base + stride * lane`."""
    base = repeat(w, Value(x.text, int64, number=x.number), x.lanes)
    if x.stride == 0:
        return base._replace(limit=x.limit)
    steps = ramp_literal(x.stride or 0, x.lanes, "i64")
    if x.number == 0:
        return Value(steps, int64, x.lanes, limit=x.limit)
    return Value(w.let(f"add {base.typed}, {steps}"), int64, x.lanes, limit=x.limit)


def ramp_literal(stride: int, lanes: int, element: str) -> str:
    """Returns the constant `<0, stride, 2 * stride, ...>` without its type."""
    return "<" + ", ".join(f"{element} {stride * lane}" for lane in range(lanes)) + ">"


def level(w: Writer, *operands: Value) -> list[Value]:
    """Returns the operands, all with as many lanes as the widest."""
    lanes = max(operand.lanes for operand in operands)
    return [repeat(w, operand, lanes) for operand in operands]


def flags(x: Value) -> str:
    """Returns the type of one truth a lane of `x`."""
    return vector("i1", x.lanes)


def intrinsic(w: Writer, name: str, *operands: Value) -> str:
    """Calls `llvm.name` on operands of one type; returns the result, which has that type too."""
    type_ = operands[0].type
    return w.call(type_, f"llvm.{name}.{suffix(type_)}", *(part.typed for part in operands))


def pick(w: Writer, condition: str, yes: Value, no: Value) -> str:
    """Returns `yes` where the truths named `condition` hold, else `no`."""
    return w.let(f"select {flags(yes)} {condition}, {yes.typed}, {no.typed}")


# -------------------------------------------------------------------------------------------------
# index arithmetic: what is known of an integer is kept, so that addresses stay simple
# -------------------------------------------------------------------------------------------------


def index(w: Writer, op: str, a: Value, b: Value) -> Value | None:
    """Returns add, sub or mul of int64 as a formula or a known number; None if it is neither."""
    if a.dtype is not int64 or op not in _KNOWN:
        return None
    if a.lanes == b.lanes == 1:
        return _scalar_index(w, op, a, b)
    if not (_is_formula(a) and _is_formula(b)):
        return None
    lanes, slopes = max(a.lanes, b.lanes), (a.stride or 0, b.stride or 0)
    if op == "mul":
        a, b, slopes = (b, a, slopes[::-1]) if slopes[0] == 0 else (a, b, slopes)
        if slopes[1] or (slopes[0] and b.number is None):
            return None
        stride = slopes[0] * (b.number or 0)
    else:
        stride = slopes[0] + slopes[1] if op == "add" else slopes[0] - slopes[1]
    base = _scalar_index(w, op, _base(a), _base(b))
    return Value(base.text, int64, lanes, base.number, largest(op, a, b), stride)


def _is_formula(x: Value) -> bool:
    return x.lanes == 1 or x.stride is not None


def _base(x: Value) -> Value:
    return Value(x.text, int64, number=x.number)


def _scalar_index(w: Writer, op: str, a: Value, b: Value) -> Value:
    if op != "sub" and a.number is not None:
        a, b = b, a
    if b.number is not None:
        if a.number is not None:
            return integer(_KNOWN[op](a.number, b.number))
        if b.number == _NEUTRAL[op]:
            return a
        if op == "mul" and b.number == 0:
            return b
    return Value(w.let(f"{op} i64 {a.text}, {b.text}"), int64, limit=largest(op, a, b))


_KNOWN: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
}
_NEUTRAL = {"add": 0, "sub": 0, "mul": 1}


def largest(op: str, a: Value, b: Value) -> int | None:
    """Returns how large the result of non-negative operands may be, if that is known."""
    if a.limit is None:
        return None
    if op == "floordiv" and b.number:
        return a.limit // b.number if b.number > 0 else None
    if b.limit is None or op not in ("add", "mul"):
        return None
    limit = a.limit + b.limit if op == "add" else a.limit * b.limit
    return limit if limit < 1 << 63 else None
