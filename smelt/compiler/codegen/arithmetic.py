"""How each operation of the loop IR is written in LLVM: one table for each kind of number.

Every function takes the writer and the operands, and returns the result. Results are those of
`ir/arithmetic.py`, to the bit, for any number of lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from smelt.compiler.codegen.convert import convert
from smelt.compiler.codegen.operands import (
    broadcast_lanes,
    constant,
    emit_select,
    fold_index,
    fold_mask,
    intrinsic,
    mask_type,
    shuffle,
    splat,
    upper_bound,
)
from smelt.compiler.codegen.writer import Value, Writer, register_type, suffix
from smelt.dtypes import DType, bool_, float32, int64
from smelt.errors import CompileError
from smelt.ir.loops import COMPARE

Operation = Callable[[Writer, Value, Value], str]
Rule = Callable[[Writer, Value], str]

# -------------------------------------------------------------------------------------------------
# integers
# -------------------------------------------------------------------------------------------------


def _plain(code: str) -> Operation:
    return lambda w, a, b: w.let(f"{code} {a.typed}, {b.text}")


def _intrinsic(name: str) -> Callable[..., str]:
    return lambda w, *operands: intrinsic(w, name, *operands)


def _shift(code: str) -> Operation:
    def shift(w: Writer, a: Value, b: Value) -> str:
        width = constant(8 * a.dtype.itemsize - 1, a.dtype, a.lanes)
        count = w.let(f"and {b.typed}, {width.text}")
        return w.let(f"{code} {a.typed}, {count}")

    return shift


def _divide(w: Writer, a: Value, b: Value, rounding: str) -> str:
    """Writes a division; `rounding` is "div" (to zero), "floordiv" (down), or "mod" (remainder)."""
    if b.number is not None and b.number > 0:  # `binary` keeps it when it broadcasts `b`
        return _divide_guarded(w, a, b, rounding)
    zero, one = constant(0, a.dtype, a.lanes), constant(1, a.dtype, a.lanes)
    lowest = constant(-1 << (8 * a.dtype.itemsize - 1), a.dtype, a.lanes)
    is_zero = w.let(f"icmp eq {b.typed}, {zero.text}")
    is_lowest = w.let(f"icmp eq {a.typed}, {lowest.text}")
    is_minus = w.let(f"icmp eq {b.typed}, {constant(-1, a.dtype, a.lanes).text}")
    overflows = w.let(f"and {mask_type(a)} {is_lowest}, {is_minus}")
    unsafe = w.let(f"or {mask_type(a)} {is_zero}, {overflows}")
    safe = b._replace(text=emit_select(w, unsafe, one, b))
    result = _divide_guarded(w, a, safe, rounding)
    return emit_select(w, is_zero, zero, a._replace(text=result))


def _divide_guarded(w: Writer, a: Value, b: Value, rounding: str) -> str:
    if a.upper_bound is not None and b.number is not None:
        if a.lanes > 1 and a.dtype is int64 and a.upper_bound < 1 << 30 and b.number & b.number - 1:
            return _divide_by_number(w, a, a.upper_bound, b.number, rounding)
        return w.let(f"{'urem' if rounding == 'mod' else 'udiv'} {a.typed}, {b.text}")
    quotient = w.let(f"sdiv {a.typed}, {b.text}")
    if rounding == "div":
        return quotient
    zero = constant(0, a.dtype, a.lanes)
    product = w.let(f"mul {a.type} {quotient}, {b.text}")
    remainder = w.let(f"sub {a.typed}, {product}")
    signs = w.let(f"xor {a.type} {remainder}, {b.text}")
    differ = w.let(f"icmp slt {a.type} {signs}, {zero.text}")
    inexact = w.let(f"icmp ne {a.type} {remainder}, {zero.text}")
    below = w.let(f"and {mask_type(a)} {differ}, {inexact}")
    if rounding == "mod":
        shifted = w.let(f"add {a.type} {remainder}, {b.text}")
        return emit_select(w, below, a._replace(text=shifted), a._replace(text=remainder))
    step = w.let(f"sext {mask_type(a)} {below} to {a.type}")
    return w.let(f"add {a.type} {quotient}, {step}")


def _divide_by_number(w: Writer, a: Value, bound: int, divisor: int, rounding: str) -> str:
    """Writes a division of small indices by a constant that is not a power of two, as a product:
    CPUs cannot divide vectors, and LLVM would divide 64-bit lanes one by one.

    With a < 2^n, d < 2^l and m = ceil(2^(n + l) / d) the quotient is a * m >> (n + l) (Granlund and
    Montgomery, "Division by invariant integers using multiplication", 1994).
    """
    shift = bound.bit_length() + divisor.bit_length()
    factor = -(-(1 << shift) // divisor)
    low = constant((1 << 32) - 1, a.dtype, a.lanes)
    small = w.let(f"and {a.typed}, {low.text}")  # shows LLVM that one instruction is enough
    product = w.let(f"mul {a.type} {small}, {constant(factor, a.dtype, a.lanes).text}")
    quotient = w.let(f"lshr {a.type} {product}, {constant(shift, a.dtype, a.lanes).text}")
    if rounding != "mod":
        return quotient
    whole = w.let(f"mul {a.type} {quotient}, {constant(divisor, a.dtype, a.lanes).text}")
    return w.let(f"sub {a.typed}, {whole}")


_INTEGER: dict[str, Operation] = {
    "add": _plain("add"),
    "sub": _plain("sub"),
    "mul": _plain("mul"),
    "div": partial(_divide, rounding="div"),
    "floordiv": partial(_divide, rounding="floordiv"),
    "mod": partial(_divide, rounding="mod"),
    "maximum": _intrinsic("smax"),
    "minimum": _intrinsic("smin"),
    "bitwise_and": _plain("and"),
    "bitwise_or": _plain("or"),
    "bitwise_xor": _plain("xor"),
    "shl": _shift("shl"),
    "shr": _shift("lshr"),
}
_FLAG: dict[str, Operation] = {
    "add": _plain("or"),
    "mul": _plain("and"),
    "maximum": _plain("or"),
    "minimum": _plain("and"),
    "bitwise_and": _plain("and"),
    "bitwise_or": _plain("or"),
    "bitwise_xor": _plain("xor"),
}

# -------------------------------------------------------------------------------------------------
# floating point: no fast-math flags, ever
# -------------------------------------------------------------------------------------------------


def _float_min_max(worse: str) -> Operation:
    """NumPy's maximum and minimum: `b` if it is better or nan, else `a`.

    The first select is one machine instruction, and is enough for a constant `b`.
    """

    def min_max(w: Writer, a: Value, b: Value) -> str:
        better = w.let(f"fcmp {worse} {a.typed}, {b.text}")
        best = emit_select(w, better, b, a)
        if b.is_literal and "0x7FF" not in b.text and "0xFFF" not in b.text:
            return best
        is_nan = w.let(f"fcmp uno {b.typed}, {b.text}")
        return emit_select(w, is_nan, b, a._replace(text=best))

    return min_max


def _float_remainder(w: Writer, a: Value, b: Value) -> tuple[str, str, str]:
    """Writes C's fmod; returns it, whether Python's result is `b` more, and whether it is 0."""
    zero = constant(0.0, a.dtype, a.lanes).text
    remainder = w.let(f"frem {a.typed}, {b.text}")
    remainder_below = w.let(f"fcmp olt {a.type} {remainder}, {zero}")
    below = w.let(f"fcmp olt {b.typed}, {zero}")
    signs = w.let(f"xor {mask_type(a)} {remainder_below}, {below}")
    exact = w.let(f"fcmp oeq {a.type} {remainder}, {zero}")
    inexact = w.let(f"fcmp une {a.type} {remainder}, {zero}")
    return remainder, w.let(f"and {mask_type(a)} {signs}, {inexact}"), exact


def _float_mod(w: Writer, a: Value, b: Value) -> str:
    remainder, off, exact = _float_remainder(w, a, b)
    shifted = w.let(f"fadd {a.type} {remainder}, {b.text}")
    moved = emit_select(w, off, a._replace(text=shifted), a._replace(text=remainder))
    zero = intrinsic(w, "copysign", constant(0.0, a.dtype, a.lanes), b)
    return emit_select(w, exact, a._replace(text=zero), a._replace(text=moved))


def _float_floordiv(w: Writer, a: Value, b: Value) -> str:
    """Writes NumPy's floor_divide: exact where `floor(a / b)` would be rounded wrongly."""
    zero, half, one = (constant(number, a.dtype, a.lanes) for number in (0.0, 0.5, 1.0))
    plain = a._replace(text=w.let(f"fdiv {a.typed}, {b.text}"))
    remainder, off, _ = _float_remainder(w, a, b)
    multiple = w.let(f"fsub {a.typed}, {remainder}")
    quotient = w.let(f"fdiv {a.type} {multiple}, {b.text}")
    less = w.let(f"fsub {a.type} {quotient}, {one.text}")
    quotient = emit_select(w, off, a._replace(text=less), a._replace(text=quotient))
    down = intrinsic(w, "floor", a._replace(text=quotient))
    gap = w.let(f"fsub {a.type} {quotient}, {down}")
    too_low = w.let(f"fcmp ogt {a.type} {gap}, {half.text}")
    up = w.let(f"fadd {a.type} {down}, {one.text}")
    down = emit_select(w, too_low, a._replace(text=up), a._replace(text=down))
    nothing = w.let(f"fcmp oeq {a.type} {quotient}, {zero.text}")
    signed = intrinsic(w, "copysign", zero, plain)
    down = emit_select(w, nothing, a._replace(text=signed), a._replace(text=down))
    by_zero = w.let(f"fcmp oeq {b.typed}, {zero.text}")
    return emit_select(w, by_zero, plain, a._replace(text=down))


_FLOAT: dict[str, Operation] = {
    "add": _plain("fadd"),
    "sub": _plain("fsub"),
    "mul": _plain("fmul"),
    "div": _plain("fdiv"),
    "floordiv": _float_floordiv,
    "mod": _float_mod,
    "maximum": _float_min_max("olt"),
    "minimum": _float_min_max("ogt"),
}
_ORDER = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}


def binary(w: Writer, op: str, a: Value, b: Value) -> Value:
    """Returns `op(a, b)`; the operand with fewer lanes is broadcast.

    Raises CompileError when the dtype has no such operation.
    """
    folded = fold_index(w, op, a, b) or fold_mask(op, a, b)
    if folded is not None:
        return folded
    if a.dtype.compute is not a.dtype:
        wide = a.dtype.compute
        result = binary(w, op, convert(w, a, wide), convert(w, b, wide))
        return result if op in COMPARE else convert(w, result, a.dtype)
    number, bound = b.number if not any(b.lane_offsets or ()) else None, upper_bound(op, a, b)
    a, b = broadcast_lanes(w, a, b)
    b = b._replace(number=number)
    if op in COMPARE:
        return Value(_compare(w, op, a, b), bool_, a.lanes)
    table = {"float": _FLOAT, "int": _INTEGER, "bool": _FLAG}[a.dtype.kind]
    if op not in table:
        raise CompileError(f"{op} of {a.dtype.name} has no machine code")
    if op == "mod" and number is not None and number > 0:
        bound = number - 1
    return Value(table[op](w, a, b), a.dtype, a.lanes, upper_bound=bound)


def _compare(w: Writer, op: str, a: Value, b: Value) -> str:
    if a.dtype.is_float:
        return w.let(f"fcmp {_ORDER[op]} {a.typed}, {b.text}")
    sign = "" if op in ("eq", "ne") else "u" if a.dtype.kind == "bool" else "s"
    return w.let(f"icmp {sign}{op} {a.typed}, {b.text}")


def fma(w: Writer, a: Value, b: Value, c: Value) -> Value:
    """Returns `a * b + c` with one rounding."""
    if not a.dtype.is_float:
        return binary(w, "add", binary(w, "mul", a, b), c)
    if a.dtype.compute is not a.dtype:
        wide = fma(w, *(convert(w, part, float32) for part in (a, b, c)))
        return convert(w, wide, a.dtype)
    a, b, c = broadcast_lanes(w, a, b, c)
    return Value(intrinsic(w, "fma", a, b, c), a.dtype, a.lanes)


def select(w: Writer, condition: Value, yes: Value, no: Value) -> Value:
    """Returns `yes` where `condition` holds, `no` elsewhere."""
    lanes = max(condition.lanes, yes.lanes, no.lanes)
    yes, no = splat(w, yes, lanes), splat(w, no, lanes)
    text = w.let(f"select {condition.typed}, {yes.typed}, {no.typed}")
    limits = [part.upper_bound for part in (yes, no) if part.upper_bound is not None]
    return Value(text, yes.dtype, lanes, upper_bound=max(limits) if len(limits) == 2 else None)


def reduce(w: Writer, op: str, x: Value) -> Value:
    """Returns the reduction of all lanes of a vector, by repeatedly combining halves."""
    x, lanes = splat(w, x, x.lanes), x.lanes
    if lanes & (lanes - 1):
        raise CompileError(f"a reduction over {lanes} lanes: their number must be a power of two")
    while lanes > 1:
        lanes //= 2
        x = binary(w, op, _part(w, x, 0, lanes), _part(w, x, lanes, lanes))
    return x._replace(upper_bound=None)


def _part(w: Writer, x: Value, first: int, lanes: int) -> Value:
    if lanes == 1:
        return Value(w.let(f"extractelement {x.typed}, i64 {first}"), x.dtype)
    part = shuffle(w, x.type, x.text, "poison", range(first, first + lanes))
    return Value(part, x.dtype, lanes)


# -------------------------------------------------------------------------------------------------
# one operand
# -------------------------------------------------------------------------------------------------


def unary(w: Writer, op: str, x: Value, dtype: DType) -> Value:
    """Returns `op(x)` as `dtype`.

    Raises CompileError when the dtype has no such operation.
    """
    x = splat(w, x, x.lanes)
    if op == "bitcast":
        text = w.let(f"bitcast {x.typed} to {register_type(dtype, x.lanes)}")
        return Value(text, dtype, x.lanes)
    wide = convert(w, x, x.dtype.compute)
    table = {"float": _UNARY_FLOAT, "int": _UNARY_INTEGER, "bool": _UNARY_FLAG}[x.dtype.kind]
    if op not in table:
        raise CompileError(f"{op} of {x.dtype.name} has no machine code")
    natural = bool_ if op in ("isnan", "isinf", "logical_not") else wide.dtype
    return convert(w, Value(table[op](w, wide), natural, x.lanes), dtype)


def _is(predicate: str, number: float) -> Rule:
    def compare(w: Writer, x: Value) -> str:
        return w.let(f"fcmp {predicate} {x.typed}, {constant(number, x.dtype, x.lanes).text}")

    return compare


def _is_infinite(w: Writer, x: Value) -> str:
    size = x._replace(text=intrinsic(w, "fabs", x))
    return _is("oeq", float("inf"))(w, size)


def _float_sign(w: Writer, x: Value) -> str:
    zero, one, minus = (constant(number, x.dtype, x.lanes) for number in (0.0, 1.0, -1.0))
    is_zero = w.let(f"fcmp oeq {x.typed}, {zero.text}")
    sign = x._replace(text=emit_select(w, is_zero, zero, x))
    below = w.let(f"fcmp olt {x.typed}, {zero.text}")
    sign = x._replace(text=emit_select(w, below, minus, sign))
    above = w.let(f"fcmp ogt {x.typed}, {zero.text}")
    return emit_select(w, above, one, sign)


def _integer_sign(w: Writer, x: Value) -> str:
    one, minus = constant(1, x.dtype, x.lanes), constant(-1, x.dtype, x.lanes)
    return intrinsic(w, "smax", x._replace(text=intrinsic(w, "smin", x, one)), minus)


def _integer_abs(w: Writer, x: Value) -> str:
    return w.call(x.type, f"llvm.abs.{suffix(x.type)}", x.typed, "i1 false")


def _equals_zero(w: Writer, x: Value) -> str:
    return w.let(f"icmp eq {x.typed}, {constant(0, x.dtype, x.lanes).text}")


def _same(_w: Writer, x: Value) -> str:
    return x.text


def _never(_w: Writer, x: Value) -> str:
    return constant(False, bool_, x.lanes).text


def _invert(w: Writer, x: Value) -> str:
    return w.let(f"xor {x.typed}, {constant(-1, x.dtype, x.lanes).text}")


_UNARY_FLOAT: dict[str, Rule] = {
    "neg": lambda w, x: w.let(f"fneg {x.typed}"),
    "abs": _intrinsic("fabs"),
    "sqrt": _intrinsic("sqrt"),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "round": _intrinsic("roundeven"),
    "trunc": _intrinsic("trunc"),
    "sign": _float_sign,
    "isnan": _is("uno", 0.0),
    "isinf": _is_infinite,
    "logical_not": _is("oeq", 0.0),
}
_WHOLE: dict[str, Rule] = dict.fromkeys(("floor", "ceil", "round", "trunc"), _same)
_WHOLE |= dict.fromkeys(("isnan", "isinf"), _never)
_UNARY_INTEGER: dict[str, Rule] = _WHOLE | {
    "neg": lambda w, x: w.let(f"sub {x.type} {constant(0, x.dtype, x.lanes).text}, {x.text}"),
    "abs": _integer_abs,
    "sign": _integer_sign,
    "logical_not": _equals_zero,
    "bitwise_not": _invert,
}
_UNARY_FLAG: dict[str, Rule] = _WHOLE | {
    "abs": _same,
    "logical_not": _invert,
    "bitwise_not": _invert,
}
