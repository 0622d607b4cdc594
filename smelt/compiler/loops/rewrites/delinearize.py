"""Digits: a loop whose index is taken apart by divisions becomes several loops.

Reshaping reads one array under another's indices, by `//` and `%`. Before:

    for i in range(0, 24):
        y[i] = x[i // 6, i % 6]

After:

    for i1 in range(0, 4):
        for i0 in range(0, 6):
            y[i1 * 6 + i0] = x[i1, i0]

Now it can be seen which elements lie side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from smelt.compiler.loops.dependence import trips
from smelt.compiler.loops.substitute import Names, Substitution, plus, rebuild, times, whole
from smelt.dtypes import int64
from smelt.ir.affine import Affine, affine
from smelt.ir.loops import (
    Assign,
    Binary,
    Constant,
    Declare,
    Expression,
    If,
    Kernel,
    Let,
    Loop,
    Statement,
    Store,
    Variable,
    children,
    index_variable,
)

NARROW = (
    6  # a loop that stores is not split into pieces shorter than this: they would be bad vectors
)
Ranges = Mapping[str, tuple[int, int]]


def split_digits(kernel: Kernel, names: Names) -> Kernel:
    """Returns the kernel with loops split where divisions ask for it, and those divisions gone.

    The new loops have names from `names`.
    """
    if not _divides(kernel):
        return kernel
    body = inlined(kernel).body
    ranges: dict[str, tuple[int, int]] = {}
    storing: set[str] = set()
    measure(body, ranges, storing)
    simplify = _Simplify(ranges)
    body = tuple(rebuild(statement, simplify) for statement in body)
    digits = _digits(body, ranges, storing)
    if digits:
        body = _split(body, digits, names)
        ranges.clear()
        measure(body, ranges, storing)
        simplify = _Simplify(ranges)
        body = tuple(rebuild(statement, simplify) for statement in body)
    return replace(kernel, body=body)


def inlined(kernel: Kernel) -> Kernel:
    """Returns the kernel with index arithmetic back where it is used, if there are divisions."""
    if not _divides(kernel):
        return kernel
    return replace(kernel, body=_inline(kernel.body, Substitution({})))


def _divides(kernel: Kernel) -> bool:
    return any(_divisor(part) for root in roots(kernel.body) for part in _parts(root))


class _Simplify(Substitution):
    """Computes divisions of sums as far as the ranges of variables allow."""

    def __init__(self, ranges: Ranges) -> None:
        super().__init__({})
        self.ranges = ranges
        self.simple: dict[int, Expression] = {}

    def __call__(self, expression: Expression) -> Expression:
        found = self.simple.get(id(expression))
        if found is None:
            found = self.simple[id(expression)] = self.division(super().__call__(expression))
        return found

    def division(self, new: Expression) -> Expression:
        divisor = _divisor(new)
        if not divisor or not isinstance(new, Binary):
            return new
        total = affine(new.a)
        if total is None:
            return new
        whole_part, rest = divide(total, divisor)
        bounds = rest.bounds(self.ranges)
        inside = bounds is not None and bounds[0] >= 0 and bounds[1] < divisor
        if new.op == "mod":
            if inside:
                return as_sum(rest)
            return Binary("mod", as_sum(rest), new.b) if whole_part.terms else new
        if inside:
            return as_sum(whole_part)
        if not whole_part.terms:
            return new
        return plus(as_sum(whole_part), Binary("floordiv", as_sum(rest), new.b))


def divide(total: Affine, divisor: int) -> tuple[Affine, Affine]:
    """Returns (a, b) with `total = a * divisor + b`, where b has all that does not divide."""
    high = {name: step // divisor for name, step in total.terms.items() if step % divisor == 0}
    low = {name: step for name, step in total.terms.items() if step % divisor}
    return Affine(total.constant // divisor, high), Affine(total.constant % divisor, low)


def as_sum(total: Affine) -> Expression:
    """Returns a sum as an index expression again."""
    result: Expression = whole(0)
    for name, step in total.terms.items():
        term = times(index_variable(name), whole(step))
        result = term if type(result) is Constant else plus(result, term)
    return plus(result, whole(total.constant))


def _divisor(expression: Expression) -> int:
    """Returns the number that an index is divided by, or 0 when it is not a division."""
    if type(expression) is not Binary or expression.op not in ("floordiv", "mod"):
        return 0
    divisor = expression.b
    if type(divisor) is not Constant or divisor.dtype is not int64:
        return 0
    return max(int(divisor.value), 0)


def _digits(body: tuple[Statement, ...], ranges: Ranges, storing: set[str]) -> dict[str, list[int]]:
    """Returns for each loop the steps of its digits, the smallest first, where they fit."""
    wanted: dict[str, set[int]] = {}
    for root in roots(body):
        for part in _parts(root):
            divisor = _divisor(part)
            if divisor and isinstance(part, Binary):
                _want(part.a, divisor, wanted)
    result: dict[str, list[int]] = {}
    for name, steps in wanted.items():
        if name not in ranges:
            continue
        extent = ranges[name][1] + 1
        chain = sorted(step for step in steps if 1 < step < extent)
        fits = all(b % a == 0 for a, b in zip(chain, [*chain[1:], extent], strict=True))
        if chain and fits and not (name in storing and chain[0] < NARROW):
            result[name] = chain
    return result


def _want(divided: Expression, divisor: int, wanted: dict[str, set[int]]) -> None:
    inner = _divisor(divided)
    if inner and isinstance(divided, Binary) and divided.op == "floordiv":
        _want(divided.a, inner * divisor, wanted)
        return
    total = affine(divided)
    rest = None if total is None else divide(total, divisor)[1]
    if rest is None or len(rest.terms) != 1 or rest.constant:
        return
    ((name, step),) = rest.terms.items()
    if step > 0 and divisor % step == 0:
        wanted.setdefault(name, set()).add(divisor // step)


def _split(
    body: tuple[Statement, ...], digits: dict[str, list[int]], names: Names
) -> tuple[Statement, ...]:
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, If):
            statement = replace(statement, body=_split(statement.body, digits, names))
        elif isinstance(statement, Loop):
            inner = _split(statement.body, digits, names)
            steps = digits.get(statement.variable.name)
            statement = replace(statement, body=inner)
            if steps:
                statement = _split_loop(statement, steps, names)
        result.append(statement)
    return tuple(result)


def _split_loop(loop: Loop, steps: list[int], names: Names) -> Loop:
    """Returns one loop a digit, the greatest outside."""
    assert isinstance(loop.stop, int)
    name = loop.variable.name
    limits = [*steps[1:], loop.stop]
    places = list(zip([1, *steps], [steps[0], *limits], strict=True))
    variables = [index_variable(names.fresh(f"{name}_{n}")) for n in range(len(places))]
    value: Expression = whole(0)
    for variable, (step, _) in reversed(list(zip(variables, places, strict=True))):
        value = plus(value, times(variable, whole(step)))
    change = Substitution({name: value})
    body: tuple[Statement, ...] = tuple(rebuild(statement, change) for statement in loop.body)
    for variable, (step, limit) in zip(variables, places, strict=True):
        body = (Loop(variable, 0, limit // step, 1, body),)
    first = body[0]
    assert isinstance(first, Loop)
    return first


def measure(
    body: tuple[Statement, ...], ranges: dict[str, tuple[int, int]], storing: set[str]
) -> bool:
    """Notes the ranges of loops, and which ones store; returns whether the body does."""
    stores = False
    for statement in body:
        if isinstance(statement, (Loop, If)):
            inside = measure(statement.body, ranges, storing)
            stores |= inside
            count = trips(statement) if isinstance(statement, Loop) else None
            if isinstance(statement, Loop) and statement.start == 0 and statement.step == 1:
                if count:
                    ranges[statement.variable.name] = (0, count - 1)
                if inside:
                    storing.add(statement.variable.name)
        stores |= isinstance(statement, Store)
    return stores


def _inline(body: tuple[Statement, ...], change: Substitution) -> tuple[Statement, ...]:
    """Puts index arithmetic back where it is used, so that it can be seen through."""
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, Let):
            value = change(statement.value)
            if value.dtype is int64 and is_arithmetic(value):
                change.variables[statement.variable.name] = value
                continue
        if isinstance(statement, (Loop, If)):
            inner = _inline(statement.body, change)
            result.append(rebuild(replace(statement, body=inner), change))
        else:
            result.append(rebuild(statement, change))
    return tuple(result)


def is_arithmetic(value: Expression) -> bool:
    """Whether a value is computed from variables and constants alone."""
    return all(type(part) in (Variable, Constant, Binary) for part in _parts(value))


def _parts(root: Expression) -> Iterator[Expression]:
    stack = [root]
    while stack:
        part = stack.pop()
        yield part
        stack.extend(children(part))


def roots(body: tuple[Statement, ...]) -> Iterator[Expression]:
    """Yields the expressions of all statements."""
    for statement in body:
        match statement:
            case Let(value=value) | Assign(value=value) | Declare(start=value):
                yield value
            case Store(index=index, value=value, mask=mask):
                yield from index
                yield value
                if mask is not None:
                    yield mask
            case Loop(start=start, stop=stop, body=inner):
                for bound in (start, stop):
                    if not isinstance(bound, int):
                        yield bound
                yield from roots(inner)
            case If(condition=condition, body=inner):
                yield condition
                yield from roots(inner)
