"""How each operator of the loop IR is written in C, for each kind of number.

A rule takes the texts of the operands and returns the text of the result; `use` adds a function of
`support/` to the file and returns its name. Results are those of `ir/arithmetic.py`, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from smelt.compiler.c.support import FUNCTIONS
from smelt.compiler.c.text import SHORT, literal, type_of
from smelt.dtypes import DType, bfloat16, bool_, float16, float32, float64, int8, int32, int64
from smelt.errors import CompileError
from smelt.ir.loops import COMPARE

Use = Callable[[str], str]
ATOM, PRODUCT, SUM, ANY = 3, 2, 1, 0  # levels of precedence


class Text(NamedTuple):
    """A C expression, and the precedence of its outermost operator."""

    text: str
    level: int = ATOM

    def within(self, level: int) -> str:
        """Returns the text as an operand of an operator of that precedence."""
        return self.text if self.level >= level else f"({self.text})"

    def __str__(self) -> str:
        return self.text


_ARITHMETIC = {"add": ("+", SUM), "sub": ("-", SUM), "mul": ("*", PRODUCT), "div": ("/", PRODUCT)}
_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_BITWISE = {"bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^"}
_FLAG = {
    "add": "||",
    "mul": "&&",
    "maximum": "||",
    "minimum": "&&",
    "bitwise_and": "&&",
    "bitwise_or": "||",
    "bitwise_xor": "!=",
}
_FLOAT_CALLS = frozenset("floordiv mod maximum minimum".split())
_INTEGER_CALLS = frozenset("add sub mul div floordiv mod maximum minimum shl shr".split())
_UNARY_CALLS = {
    "float": frozenset("abs sqrt floor ceil round trunc sign isnan isinf".split()),
    "int": frozenset("neg abs sign".split()),
    "bool": frozenset[str](),
}
_SAME = {"float": "", "int": "floor ceil round trunc", "bool": "floor ceil round trunc abs"}


def call(use: Use, name: str, *operands: Text) -> Text:
    """Returns a call of a function of `support/`."""
    return Text(f"{use(name)}({', '.join(map(str, operands))})")


def operator(use: Use, op: str, dtype: DType, *operands: Text) -> Text:
    """Returns a call of the function for an operator on numbers of a dtype.

    Raises CompileError when there is none.
    """
    name = f"{op}_{SHORT[dtype.name]}"
    if name not in FUNCTIONS:
        raise CompileError(f"{op} of {dtype.name} has no C code")
    return call(use, name, *operands)


def infix(a: Text, sign: str, b: Text, level: int) -> Text:
    """Returns two operands with an operator between them that associates to the left."""
    return Text(f"{a.within(max(level, SUM))} {sign} {b.within(level + 1)}", level)


def binary(use: Use, op: str, a: Text, b: Text, dtype: DType) -> Text:
    """Returns `op(a, b)` of two numbers of a dtype.

    Raises CompileError when C has no such operation.
    """
    if dtype.compute is not dtype:
        wide = dtype.compute
        a, b = (convert(use, part, dtype, wide) for part in (a, b))
        result = binary(use, op, a, b, wide)
        return result if op in COMPARE else convert(use, result, wide, dtype)
    if op in COMPARE:
        return Text(f"{a.within(SUM)} {_COMPARE[op]} {b.within(SUM)}", ANY)
    if dtype.kind == "bool" and op in _FLAG:
        return Text(f"{a.within(ATOM)} {_FLAG[op]} {b.within(ATOM)}", ANY)
    if dtype.kind == "int" and op in _BITWISE:
        return Text(f"{a.within(ATOM)} {_BITWISE[op]} {b.within(ATOM)}", ANY)
    if dtype.is_float and op in _ARITHMETIC:
        sign, level = _ARITHMETIC[op]
        return infix(a, sign, b, level)
    if op in {"float": _FLOAT_CALLS, "int": _INTEGER_CALLS}.get(dtype.kind, frozenset()):
        return operator(use, op, dtype, a, b)
    raise CompileError(f"{op} of {dtype.name} has no C code")


def unary(use: Use, op: str, x: Text, dtype: DType, result: DType) -> Text:
    """Returns `op(x)` of a number of dtype `dtype`, converted to dtype `result`.

    Raises CompileError when C has no such operation.
    """
    if op == "bitcast":
        return _bitcast(use, x, dtype, result)
    if dtype.compute is not dtype:
        compute = dtype.compute
        wide = unary(use, op, convert(use, x, dtype, compute), compute, compute)
        natural = bool_ if op in ("isnan", "isinf", "logical_not") else compute
        return convert(use, wide, natural, result)
    natural = bool_ if op in ("isnan", "isinf", "logical_not") else dtype
    return convert(use, _unary(use, op, x, dtype), natural, result)


def _unary(use: Use, op: str, x: Text, dtype: DType) -> Text:
    if op in _UNARY_CALLS[dtype.kind]:
        return operator(use, op, dtype, x)
    if op in _SAME[dtype.kind].split():
        return x
    if op == "logical_not":
        zero = literal(0, dtype)
        is_flag = dtype.kind == "bool"
        return Text(f"!{x.within(ATOM)}" if is_flag else f"{x.within(SUM)} == {zero}", ANY)
    if op in ("isnan", "isinf"):
        return Text("false")
    if op == "neg" and dtype.is_float:
        return Text(f"-{x.within(ATOM)}", PRODUCT)
    if op == "bitwise_not" and not dtype.is_float:
        return Text(f"{'!' if dtype.kind == 'bool' else '~'}{x.within(ATOM)}", PRODUCT)
    raise CompileError(f"{op} of {dtype.name} has no C code")


def _bitcast(use: Use, x: Text, given: DType, result: DType) -> Text:
    if given.kind == result.kind or given.itemsize == 2:
        return Text(f"({type_of(result)}){x.within(ATOM)}", PRODUCT)
    if given.is_float:
        bits = call(use, f"bits_{SHORT[given.name]}", x)
        return Text(f"({type_of(result)}){bits}", PRODUCT)
    if result.itemsize == 2:
        return Text(f"(uint16_t){x.within(ATOM)}", PRODUCT)
    bits = Text(f"(uint{8 * result.itemsize}_t){x.within(ATOM)}")
    return call(use, f"from_bits_{SHORT[result.name]}", bits)


def fma(use: Use, a: Text, b: Text, c: Text, dtype: DType) -> Text:
    """Returns `a * b + c` with one rounding."""
    if not dtype.is_float:
        return binary(use, "add", binary(use, "mul", a, b, dtype), c, dtype)
    if dtype.compute is not dtype:
        a, b, c = (convert(use, part, dtype, float32) for part in (a, b, c))
        return convert(use, fma(use, a, b, c, float32), float32, dtype)
    return operator(use, "fma", dtype, a, b, c)


def select(condition: Text, yes: Text, no: Text) -> Text:
    """Returns `yes` where the condition holds, else `no`."""
    return Text(f"{condition.within(SUM)} ? {yes.within(SUM)} : {no.within(SUM)}", ANY)


def convert(use: Use, x: Text, given: DType, dtype: DType) -> Text:
    """Returns a number of dtype `given` as `dtype`, rounded once; see `codegen/convert.py`."""
    if given is dtype:
        return x
    if dtype.kind == "bool":
        wide = convert(use, x, given, given.compute)
        return Text(f"{wide.within(SUM)} != {literal(0, given.compute)}", ANY)
    if given in (float16, bfloat16):
        wide = call(use, f"f32_from_{SHORT[given.name]}", x)
        return convert(use, wide, float32, dtype)
    if dtype in (float16, bfloat16):
        if dtype is float16 and given is float64:
            single = call(use, "odd_f32_from_f64", x)
        else:
            single = convert(use, x, given, float32)
        return call(use, f"{SHORT[dtype.name]}_from_f32", single)
    if given.is_float and dtype is int8:
        wide = convert(use, x, given, int32)
        low, high = (Text(literal(bound, int32)) for bound in (-128, 127))
        wide = binary(use, "minimum", binary(use, "maximum", wide, low, int32), high, int32)
        return convert(use, wide, int32, int8)
    if given.is_float and dtype in (int32, int64):
        return call(use, f"{SHORT[dtype.name]}_from_{SHORT[given.name]}", x)
    return Text(f"({type_of(dtype)}){x.within(ATOM)}", PRODUCT)
