"""Operands of LLVM instructions: constants, splats, and index formulas.

Index arithmetic keeps what is known at compile time (a number, an upper bound, a vector of the form
base + lane_offsets[lane]), so that addresses stay simple and divisions cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from smelt.compiler.codegen.writer import (
    Value,
    Writer,
    integer,
    literal,
    ramp,
    register_type,
    suffix,
    vector,
)
from smelt.dtypes import DType, bool_, int64
from smelt.errors import CompileError
from smelt.ir.symbolic import as_int


def constant(number: bool | int | float, dtype: DType, lanes: int = 1) -> Value:
    """Returns a compile-time constant, in every lane."""
    if dtype is int64 and lanes == 1:
        return integer(as_int(number))
    return splat_literal(literal(number, dtype), dtype, lanes)


def splat_literal(text: str, dtype: DType, lanes: int) -> Value:
    """Returns a constant's text as a constant vector."""
    if lanes > 1:
        text = f"splat ({register_type(dtype)} {text})"
    return Value(text, dtype, lanes)


def splat(w: Writer, x: Value, lanes: int) -> Value:
    """Returns a scalar in every lane, or a vector; a formula of one is written out."""
    if x.lane_offsets is not None:
        return _written(w, x, x.lane_offsets)
    if x.lanes == lanes:
        return x
    if x.lanes != 1:
        raise CompileError(f"a vector of {x.lanes} lanes is given where {lanes} are needed")
    if x.is_literal:
        return splat_literal(x.text, x.dtype, lanes)._replace(upper_bound=x.upper_bound)
    wide = register_type(x.dtype, lanes)
    first = w.let(f"insertelement {wide} poison, {x.typed}, i64 0")
    mask = f"<{lanes} x i32> zeroinitializer"
    text = w.let(f"shufflevector {wide} {first}, {wide} poison, {mask}")
    return Value(text, x.dtype, lanes, upper_bound=x.upper_bound)


def _written(w: Writer, x: Value, offsets: tuple[int, ...]) -> Value:
    """Writes out the index vector `base + lane_offsets[lane]`."""
    base = splat(w, Value(x.text, int64, number=x.number), x.lanes)
    if not any(offsets):
        return base._replace(upper_bound=x.upper_bound)
    literal = offsets_literal(offsets, "i64")
    if x.number == 0:
        return Value(literal, int64, x.lanes, upper_bound=x.upper_bound)
    return Value(w.let(f"add {base.typed}, {literal}"), int64, x.lanes, upper_bound=x.upper_bound)


def offsets_literal(offsets: tuple[int, ...], element: str) -> str:
    """Returns a constant vector without its type."""
    return "<" + ", ".join(f"{element} {step}" for step in offsets) + ">"


def broadcast_lanes(w: Writer, *operands: Value) -> list[Value]:
    """Returns the operands, all with as many lanes as the widest."""
    lanes = max(operand.lanes for operand in operands)
    return [splat(w, operand, lanes) for operand in operands]


def mask_type(x: Value) -> str:
    """Returns the type of a mask for the lanes of `x`."""
    return vector("i1", x.lanes)


def intrinsic(w: Writer, name: str, *operands: Value) -> str:
    """Calls `llvm.name` on operands of one type; returns the result, which has that type too."""
    type_ = operands[0].type
    return w.call(type_, f"llvm.{name}.{suffix(type_)}", *(part.typed for part in operands))


def shuffle(w: Writer, type_: str, a: str, b: str, lanes: Sequence[int]) -> str:
    """Returns the listed lanes of two vectors, which are numbered through both."""
    mask = ", ".join(f"i32 {lane}" for lane in lanes)
    return w.let(f"shufflevector {type_} {a}, {type_} {b}, <{len(lanes)} x i32> <{mask}>")


def emit_select(w: Writer, condition: str, yes: Value, no: Value) -> str:
    """Returns `yes` where the mask named `condition` holds, else `no`."""
    return w.let(f"select {mask_type(yes)} {condition}, {yes.typed}, {no.typed}")


# -------------------------------------------------------------------------------------------------
# index arithmetic: what is known of an integer is kept, so that addresses stay simple
# -------------------------------------------------------------------------------------------------


def fold_index(w: Writer, op: str, a: Value, b: Value) -> Value | None:
    """Returns arithmetic of int64 as a formula or a known number; None if it is neither."""
    if a.dtype is not int64:
        return None
    if op in ("floordiv", "mod"):
        return _divided(op, a, b)
    if op not in _KNOWN:
        return None
    if a.lanes == b.lanes == 1:
        return _scalar_index(w, op, a, b)
    if not (_is_formula(a) and _is_formula(b)):
        return None
    lanes = max(a.lanes, b.lanes)
    left, right = (x.lane_offsets or ramp(0, lanes) for x in (a, b))
    if op == "mul":
        a, b, left, right = (a, b, left, right) if any(left) else (b, a, right, left)
        if any(right) or (any(left) and b.number is None):
            return None
        offsets = tuple([step * (b.number or 0) for step in left])
    else:
        offsets = tuple([_KNOWN[op](x, y) for x, y in zip(left, right, strict=True)])
    base = _scalar_index(w, op, _base(a), _base(b))
    return Value(base.text, int64, lanes, base.number, upper_bound(op, a, b), offsets)


def fold_mask(op: str, a: Value, b: Value) -> Value | None:
    """Returns `a < b` of int64 as a constant mask that holds in its first lanes, or None."""
    if op != "lt" or a.dtype is not int64 or a.number is None or a.lane_offsets is None:
        return None
    if b.number is None or any(b.lane_offsets or ()):
        return None
    lanes = [a.number + step < b.number for step in a.lane_offsets]
    count = sum(lanes)
    if not all(lanes[:count]):
        return None
    text = "<" + ", ".join(f"i1 {str(lane).lower()}" for lane in lanes) + ">"
    return Value(text, bool_, a.lanes, first_lanes=count)


def _divided(op: str, a: Value, b: Value) -> Value | None:
    """Returns a quotient or a remainder as a formula, if all lanes are known."""
    if a.lane_offsets is None or a.number is None or any(b.lane_offsets or ()) or not b.number:
        return None
    indices = [a.number + step for step in a.lane_offsets]
    lanes = [i // b.number if op == "floordiv" else i % b.number for i in indices]
    offsets = tuple([lane - lanes[0] for lane in lanes])
    bound = max(lanes) if min(lanes) >= 0 else None
    return Value(str(lanes[0]), int64, a.lanes, lanes[0], bound, offsets)


def _is_formula(x: Value) -> bool:
    return x.lanes == 1 or x.lane_offsets is not None


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
    return Value(w.let(f"{op} i64 {a.text}, {b.text}"), int64, upper_bound=upper_bound(op, a, b))


_KNOWN: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
}
_NEUTRAL = {"add": 0, "sub": 0, "mul": 1}


def upper_bound(op: str, a: Value, b: Value) -> int | None:
    """Returns how large the result of non-negative operands may be, if that is known."""
    if a.upper_bound is None:
        return None
    if op == "floordiv" and b.number:
        return a.upper_bound // b.number if b.number > 0 else None
    if b.upper_bound is None or op not in ("add", "mul"):
        return None
    bound = a.upper_bound + b.upper_bound if op == "add" else a.upper_bound * b.upper_bound
    return bound if bound < 1 << 63 else None
