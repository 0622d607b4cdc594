"""Delinearize: a loop whose index is taken apart by `//` and `%` becomes several loops.

Reshaping reads one array under another's indices. Before:

    for i in range(0, 24):
        y[i] = x[i // 6, i % 6]

After:

    for i_1 in range(0, 4):
        for i_0 in range(0, 6):
            y[i_1 * 6 + i_0] = x[i_1, i_0]

Now it can be seen which elements lie side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from smelt.compiler.loops.dependence import trip_count
from smelt.compiler.loops.substitute import Names, Substitution
from smelt.dtypes import int64
from smelt.ir.affine import Affine, affine
from smelt.ir.bind_shared import DEEPEST
from smelt.ir.loops import (
    Binary,
    Constant,
    Expression,
    Kernel,
    Let,
    Loop,
    Store,
    Variable,
    constant,
    depth,
    index_variable,
    walk,
)
from smelt.ir.visit import Body, Transformer, expressions, names_in, statements

NARROW = 6  # a loop that stores is not split into shorter ones than this: they make bad vectors
Ranges = Mapping[str, tuple[int, int]]  # of loop variables, both ends included


def delinearize(kernel: Kernel, names: Names) -> Kernel:
    """Returns the kernel with loops split where divisions ask for it, and those divisions gone.

    The new loops have names from `names`.
    """
    if not _divides(kernel):
        return kernel
    body = inline_indices(kernel).body
    ranges, storing = loop_ranges(body), _storing_loops(body)
    body = _Simplify(ranges).block(body)
    strides = _digit_strides(body, ranges, storing)
    if strides:
        body = _SplitLoops(strides, names).block(body)
        body = _Simplify(loop_ranges(body)).block(body)
    return replace(kernel, body=body)


def inline_indices(kernel: Kernel) -> Kernel:
    """Returns the kernel with index arithmetic back where it is used, if there are divisions."""
    if not _divides(kernel):
        return kernel
    return replace(kernel, body=_InlineIndices().block(kernel.body))


class _InlineIndices(Substitution):
    """Puts what is computed from loop indices in the place of its name.

    What is computed from numbers in memory keeps its name, and so does what reaches deep: within a
    name it is one thing, however often it is used.
    """

    def __init__(self) -> None:
        super().__init__({})
        self.indices: set[str] = set()

    def loop(self, loop: Loop) -> Body:
        self.indices.add(loop.variable.name)
        return super().loop(loop)

    def let(self, let: Let) -> Body:
        value = self(let.value)
        if value.dtype is int64 and self._is_index(value) and depth(value) <= DEEPEST:
            self.variables[let.variable.name] = value
            return ()
        return (Let(let.variable, value),)

    def _is_index(self, value: Expression) -> bool:
        return is_arithmetic(value) and self.indices.issuperset(names_in(value))


def is_arithmetic(value: Expression) -> bool:
    """Whether a value is computed from variables and constants alone."""
    return all(type(part) in (Variable, Constant, Binary) for part in walk(value))


# --- divisions ------------------------------------------------------------------------------------


class _Simplify(Transformer):
    """Computes divisions of sums as far as the ranges of variables allow."""

    def __init__(self, ranges: Ranges) -> None:
        super().__init__()
        self.ranges = ranges

    def binary(self, old: Binary) -> Expression:
        new = super().binary(old)
        divisor = _divisor(new)
        total = affine(new.a) if divisor and isinstance(new, Binary) else None
        if total is None or not isinstance(new, Binary):
            return new
        quotient, remainder = divide(total, divisor)
        bounds = remainder.bounds(self.ranges)
        is_inside = bounds is not None and bounds[0] >= 0 and bounds[1] < divisor
        if new.op == "mod":
            if is_inside:
                return as_sum(remainder)
            return Binary("mod", as_sum(remainder), new.b) if quotient.terms else new
        if is_inside:
            return as_sum(quotient)
        if not quotient.terms:
            return new
        return as_sum(quotient) + Binary("floordiv", as_sum(remainder), new.b)


def divide(total: Affine, divisor: int) -> tuple[Affine, Affine]:
    """Returns (a, b) with `total = a * divisor + b`, where b has all that does not divide."""
    high = {name: step // divisor for name, step in total.terms.items() if step % divisor == 0}
    low = {name: step for name, step in total.terms.items() if step % divisor}
    return Affine(total.constant // divisor, high), Affine(total.constant % divisor, low)


def as_sum(total: Affine) -> Expression:
    """Returns an affine index as an expression again."""
    result: Expression = constant(0)
    for name, step in total.terms.items():
        term = index_variable(name) * step
        result = term if type(result) is Constant else result + term
    return result + total.constant


def _divides(kernel: Kernel) -> bool:
    return any(_divisor(part) for root in expressions(kernel.body) for part in walk(root))


def _divisor(expression: Expression) -> int:
    """Returns the number that an index is divided by, or 0 when it is not a division."""
    if type(expression) is not Binary or expression.op not in ("floordiv", "mod"):
        return 0
    divisor = expression.b
    if type(divisor) is not Constant or divisor.dtype is not int64:
        return 0
    return max(int(divisor.value), 0)


# --- splitting loops ------------------------------------------------------------------------------


def _digit_strides(body: Body, ranges: Ranges, storing: set[str]) -> dict[str, list[int]]:
    """Returns for each loop the strides of the digits to split it into, the smallest first."""
    wanted: dict[str, set[int]] = {}
    for root in expressions(body):
        for part in walk(root):
            divisor = _divisor(part)
            if divisor and isinstance(part, Binary):
                _want(part.a, divisor, wanted)
    result: dict[str, list[int]] = {}
    for name, strides in wanted.items():
        if name not in ranges:
            continue
        extent = ranges[name][1] + 1
        chain = sorted(stride for stride in strides if 1 < stride < extent)
        fits = all(b % a == 0 for a, b in zip(chain, [*chain[1:], extent], strict=True))
        if chain and fits and not (name in storing and chain[0] < NARROW):
            result[name] = chain
    return result


def _want(dividend: Expression, divisor: int, wanted: dict[str, set[int]]) -> None:
    inner = _divisor(dividend)
    if inner and isinstance(dividend, Binary) and dividend.op == "floordiv":
        _want(dividend.a, inner * divisor, wanted)
        return
    total = affine(dividend)
    remainder = None if total is None else divide(total, divisor)[1]
    if remainder is None or len(remainder.terms) != 1 or remainder.constant:
        return
    ((name, step),) = remainder.terms.items()
    if step > 0 and divisor % step == 0:
        wanted.setdefault(name, set()).add(divisor // step)


class _SplitLoops(Substitution):
    """Writes one loop a digit, the greatest outside."""

    def __init__(self, strides: Mapping[str, list[int]], names: Names) -> None:
        super().__init__({})
        self.strides = strides
        self.names = names

    def loop(self, loop: Loop) -> Body:
        strides = self.strides.get(loop.variable.name)
        if not strides:
            return super().loop(loop)
        assert isinstance(loop.stop, int)
        name = loop.variable.name
        digits = list(zip([1, *strides], [*strides, loop.stop], strict=True))
        variables = [index_variable(self.names.fresh(f"{name}_{n}")) for n in range(len(digits))]
        value: Expression = constant(0)
        for variable, (stride, _) in reversed(list(zip(variables, digits, strict=True))):
            value = value + variable * stride
        self.variables[name] = value
        body = self.block(loop.body)
        for variable, (stride, limit) in zip(variables, digits, strict=True):
            body = (Loop(variable, 0, limit // stride, 1, body),)
        return body


# --- loops ----------------------------------------------------------------------------------------


def loop_ranges(body: Body) -> dict[str, tuple[int, int]]:
    """Returns the least and the greatest index of each loop that counts from 0 by ones."""
    ranges: dict[str, tuple[int, int]] = {}
    for part in statements(body):
        if isinstance(part, Loop) and part.start == 0 and part.step == 1:
            count = trip_count(part)
            if count:
                ranges[part.variable.name] = (0, count - 1)
    return ranges


def _storing_loops(body: Body) -> set[str]:
    """Returns the loops from 0 by ones in which something is stored."""
    loops = (part for part in statements(body) if isinstance(part, Loop))
    return {
        loop.variable.name
        for loop in loops
        if loop.start == 0 and loop.step == 1
        if any(isinstance(part, Store) for part in statements(loop.body))
    }
