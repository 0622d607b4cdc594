"""Index arithmetic that cannot overflow, as plain C.

An index is int64 in the loop IR, and wraps. The ranges of loop indices and constants are known: an
index whose parts all fit in 32 bits is written with C's own operators on `int32_t`, which is fast
on small processors and easy to vectorize. For any other index (a label, a computed position)
functions that wrap are called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from smelt.compiler.c.operators import ANY, ATOM, PRODUCT, SUM, Text, infix
from smelt.dtypes import int64
from smelt.ir import loops as ir

LIMIT = (1 << 31) - 1


class Ranged(NamedTuple):
    """An index as text, and the least and the largest number that it may be."""

    text: Text
    low: int
    high: int


def plain(expression: ir.Expression, known: Mapping[str, Ranged]) -> Ranged | None:
    """Returns an index with its range, or None if the range is unknown or too large."""
    if expression.dtype is not int64 or expression.lanes != 1:
        return None
    made = _plain(expression, known)
    return made if made is not None and -LIMIT <= made.low <= made.high <= LIMIT else None


def _plain(expression: ir.Expression, known: Mapping[str, Ranged]) -> Ranged | None:
    match expression:
        case ir.Constant(value=int(value)):
            return Ranged(Text(str(value), ATOM if value >= 0 else SUM), value, value)
        case ir.Variable(name=name):
            return known.get(name)
        case ir.Binary(op=op, a=a, b=b) if op in _RULES:
            left, right = plain(a, known), plain(b, known)
            return None if left is None or right is None else _RULES[op](left, right)
    return None


def _sum(a: Ranged, b: Ranged) -> Ranged:
    if b.low == b.high < 0:
        return _difference(a, Ranged(Text(str(-b.low)), -b.low, -b.low))
    return Ranged(infix(a.text, "+", b.text, SUM), a.low + b.low, a.high + b.high)


def _difference(a: Ranged, b: Ranged) -> Ranged:
    return Ranged(infix(a.text, "-", b.text, SUM), a.low - b.high, a.high - b.low)


def _product(a: Ranged, b: Ranged) -> Ranged:
    ends = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    return Ranged(infix(a.text, "*", b.text, PRODUCT), min(ends), max(ends))


def _quotient(a: Ranged, b: Ranged) -> Ranged | None:
    if a.low < 0 or b.low <= 0:
        return None  # C rounds toward 0
    return Ranged(infix(a.text, "/", b.text, PRODUCT), a.low // b.high, a.high // b.low)


def _remainder(a: Ranged, b: Ranged) -> Ranged | None:
    if a.low < 0 or b.low <= 0:
        return None
    return Ranged(infix(a.text, "%", b.text, PRODUCT), 0, min(a.high, b.high - 1))


def _smaller(a: Ranged, b: Ranged) -> Ranged:
    text = f"{a.text.within(SUM)} < {b.text.within(SUM)} ? {a.text} : {b.text.within(SUM)}"
    return Ranged(Text(text, ANY), min(a.low, b.low), min(a.high, b.high))


def _larger(a: Ranged, b: Ranged) -> Ranged:
    text = f"{a.text.within(SUM)} > {b.text.within(SUM)} ? {a.text} : {b.text.within(SUM)}"
    return Ranged(Text(text, ANY), max(a.low, b.low), max(a.high, b.high))


_RULES = {
    "add": _sum,
    "sub": _difference,
    "mul": _product,
    "floordiv": _quotient,
    "mod": _remainder,
    "minimum": _smaller,
    "maximum": _larger,
}
