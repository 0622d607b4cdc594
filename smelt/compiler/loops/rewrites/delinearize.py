"""Delinearize: a loop whose index is taken apart by `//` and `%` becomes several loops.

Reshaping reads one array under another's indices. Before:

    for i in range(0, 24):
        y[i] = x[i // 6, i % 6]

After:

    for i_1 in range(0, 4):
        for i_0 in range(0, 6):
            y[i_1 * 6 + i_0] = x[i_1, i_0]

Now it can be seen which elements are contiguous.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

from smelt.compiler.loops.division import (
    Ranges,
    as_sum,
    divide,
    divisions,
    divisor_of,
    is_digit,
    loop_ranges,
    loops_in,
)
from smelt.compiler.loops.substitute import Names, Substitution
from smelt.ir.affine import Affine, affine
from smelt.ir.loops import (
    Binary,
    Expression,
    Kernel,
    Loop,
    Store,
    constant,
    index_variable,
    trip_count,
)
from smelt.ir.visit import Body, Transformer, statements

NARROW = 6  # a loop that stores is not split into shorter ones than this: they make bad vectors


def delinearize(kernel: Kernel, names: Names) -> Kernel:
    """Returns the kernel with loops split where divisions ask for it, without those divisions.

    The new loops have names from `names`.
    """
    if next(divisions(kernel.body), None) is None:
        return kernel
    body = _Simplify(loop_ranges(kernel.body)).block(kernel.body)
    strides = _digit_strides(body)
    if strides:
        body = _SplitLoops(strides, names).block(body)
        body = _Simplify(loop_ranges(body)).block(body)
    return replace(kernel, body=body)


class _Simplify(Transformer):
    """Simplifies divisions of sums as far as the ranges of variables allow."""

    def __init__(self, ranges: Ranges) -> None:
        super().__init__()
        self.ranges = ranges

    def binary(self, old: Binary) -> Expression:
        new = super().binary(old)
        divisor = divisor_of(new)
        total = affine(new.a) if divisor and isinstance(new, Binary) else None
        if total is None or not isinstance(new, Binary):
            return new
        quotient, remainder = divide(total, divisor)
        if is_digit(remainder, divisor, self.ranges):
            return as_sum(remainder if new.op == "mod" else quotient)
        rest = self.shortened(new.op, remainder, divisor)
        if rest is None:
            if not quotient.terms:
                return new
            rest = Binary(new.op, as_sum(remainder), new.b)
        return rest if new.op == "mod" else as_sum(quotient) + rest

    def shortened(self, op: str, total: Affine, divisor: int) -> Expression | None:
        """Returns a division without the last digits of its dividend: `(i * 256 + j) // 2048` with
        j below 256 is `i // 8`; None if there are no such digits.
        """
        for step in sorted(set(total.terms.values()), reverse=True):
            if step > 1 and divisor % step == 0:
                upper, digits = divide(total, step)
                if upper.terms and digits.terms and is_digit(digits, step, self.ranges):
                    short = Binary(op, as_sum(upper), constant(divisor // step))
                    return short if op == "floordiv" else short * step + as_sum(digits)
        return None


# --- splitting loops ------------------------------------------------------------------------------


def _digit_strides(body: Body) -> dict[str, list[int]]:
    """Returns for each loop the strides of the digits to split it into, the smallest first."""
    wanted: dict[str, set[int]] = {}
    for part, divisor in divisions(body):
        _want(part.a, divisor, wanted)
    result: dict[str, list[int]] = {}
    for loop in loops_in(body):
        name, extent = loop.variable.name, trip_count(loop)
        chain = sorted(stride for stride in wanted.get(name, ()) if 1 < stride < extent)
        fits = all(b % a == 0 for a, b in pairwise([*chain, extent]))
        if chain and fits and not (chain[0] < NARROW and _stores(loop)):
            result[name] = chain
    return result


def _stores(loop: Loop) -> bool:
    return any(isinstance(part, Store) for part in statements(loop.body))


def _want(dividend: Expression, divisor: int, wanted: dict[str, set[int]]) -> None:
    """Notes at which stride a division splits a loop's index: `i * 2 // 8` at 4."""
    inner = divisor_of(dividend)
    if inner and isinstance(dividend, Binary) and dividend.op == "floordiv":
        _want(dividend.a, inner * divisor, wanted)
        return
    total = affine(dividend)
    remainder = Affine(0) if total is None else divide(total, divisor)[1]
    if len(remainder.terms) == 1 and not remainder.constant:
        ((name, step),) = remainder.terms.items()
        if step > 0 and divisor % step == 0:
            wanted.setdefault(name, set()).add(divisor // step)


class _SplitLoops(Substitution):
    """Writes one loop per digit, the highest outside."""

    def __init__(self, strides: Mapping[str, list[int]], names: Names) -> None:
        super().__init__({})
        self.strides = strides
        self.names = names

    def loop(self, loop: Loop) -> Body:
        strides = self.strides.get(loop.variable.name)
        if not strides:
            return super().loop(loop)
        name = loop.variable.name
        digits = list(zip([1, *strides], [*strides, trip_count(loop)], strict=True))
        variables = [index_variable(self.names.fresh(f"{name}_{n}")) for n in range(len(digits))]
        value: Expression = constant(0)
        for variable, (stride, _) in reversed(list(zip(variables, digits, strict=True))):
            value = value + variable * stride
        self.variables[name] = value
        body = self.block(loop.body)
        for variable, (stride, limit) in zip(variables, digits, strict=True):
            body = (Loop(variable, 0, limit // stride, 1, body),)
        return body
