"""Symbolic numbers: integers that record what a compilation asks of them.

A step that is to serve every length is compiled once, with a symbolic number as the extent. It
behaves like an int with a sample value: arithmetic gives polynomials of symbols, every comparison
is recorded as a guard with its outcome, and whatever needs a real int (`range`, a slice, NumPy)
gets the sample value, together with the guard that the number equals it. For every length that
satisfies all guards, the compiler would have done exactly the same.
"""

from __future__ import annotations

import importlib
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from smelt.ir.polynomial import Polynomial, divided

LEAST_BOUND = 32  # all lengths up to this one share one reservation of memory
FAR_BOUND = 2048  # above it, bounds grow more slowly, to reserve less memory
LEAST = 2  # a symbol is never smaller: 0 and 1 are special cases, compiled separately


class Guards:
    """What a compilation asked of its symbols, as Python conditions, and each one's outcome.

    Conditions and formulas are Python text over the names of symbols, made only in this file.
    """

    def __init__(self) -> None:
        self.outcomes: dict[str, bool] = {}
        self.symbols: dict[str, int] = {}  # the sample value of each
        self.functions: dict[str, Callable[..., Any]] = {}  # called by conditions
        self.is_settled: bool = False  # whether some symbol is restricted to its sample value

    def symbol(self, name: str, sample: int) -> SymbolicInt:
        """Returns a new symbol.

        Args:
            name: an identifier.
            sample: its value during the compilation, at least `LEAST`.
        """
        assert name.isidentifier()
        assert sample >= LEAST
        self.symbols[name] = sample
        return SymbolicInt(self, sample, Polynomial({(name,): 1}))

    def note(self, condition: str, outcome: bool) -> bool:
        """Records a condition with its outcome; returns the outcome."""
        self.outcomes.setdefault(condition, outcome)
        return outcome

    def settle(self) -> None:
        """Records that some symbol is restricted to its sample value."""
        self.is_settled = True

    def most(self, number: Any) -> int:
        """Returns the largest value of a number, for symbols up to some bound above their samples.

        These bounds are recorded as guards.
        """
        value = self.values([number])
        ranges = []
        for name, sample_value in self.symbols.items():
            bound = _bound(sample_value)
            self.note(f"({name} <= {bound})", True)
            ranges.append(range(LEAST, bound + 1))
        if isinstance(number, SymbolicInt) and number.polynomial.grows:
            return int(value(*(spread[-1] for spread in ranges))[0])
        return max(int(value(*place)[0]) for place in itertools.product(*ranges))

    def number(self, text: str) -> Any:
        """Returns the number that a formula of these symbols stands for, symbolic or plain."""
        symbols = {
            name: SymbolicInt(self, value, Polynomial({(name,): 1}))
            for name, value in self.symbols.items()
        }
        return eval(text, {"math": math, **self.functions}, symbols)

    def record(self) -> dict[str, Any]:
        """Returns what was asked so far, as plain values; functions by module and name."""
        return {
            "outcomes": {text: bool(outcome) for text, outcome in self.outcomes.items()},
            "functions": [[one.__module__, one.__name__] for one in self.functions.values()],
            "is_settled": self.is_settled,
        }

    def restore(self, record: dict[str, Any]) -> None:
        """Replaces what was asked so far by what `record` returned."""
        self.outcomes = dict(record["outcomes"])
        self.is_settled = record["is_settled"]
        for module, name in record["functions"]:
            self.functions[name] = getattr(importlib.import_module(module), name)

    def test(self) -> Callable[..., bool]:
        """Returns a function of the symbols' values, in order, that says whether all conditions
        have the same outcomes as during the compilation.
        """
        conditions = [f"{name} >= {LEAST}" for name in self.symbols]
        conditions += [
            condition if outcome else f"not {condition}"
            for condition, outcome in self.outcomes.items()
        ]
        return self._function(" and ".join(conditions))

    def values(self, numbers: list[Any]) -> Callable[..., tuple[Any, ...]]:
        """Returns a function from the symbols' values to those of symbolic numbers."""
        return self.evaluation([formula(number) for number in numbers])

    def evaluation(self, formulas: Sequence[str]) -> Callable[..., tuple[Any, ...]]:
        """Returns a function from the symbols' values to those of formulas."""
        return self._function("(" + "".join(f"{text}, " for text in formulas) + ")")

    def _function(self, body: str) -> Callable[..., Any]:
        # only this file makes the body, of symbols' names, numbers and operators; a body from the
        # cache on disk is trusted like the machine code beside it
        names = ", ".join(self.symbols)
        return eval(f"lambda {names}: {body}", {"math": math, **self.functions})


def _bound(number: int) -> int:
    """Returns the bound up to which lengths share a version: it grows fourfold, then twofold."""
    bound = LEAST_BOUND
    while bound < number:
        bound *= 4 if bound < FAR_BOUND else 2
    return bound


class Symbolic:
    """What symbolic ints and floats share. `sample` is the value during the compilation."""

    __slots__ = ("guards", "sample")
    guards: Guards
    sample: Any

    def __hash__(self) -> int:
        return hash(self.sample)

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __repr__(self) -> str:
        return formula(self)

    def __format__(self, form: str) -> str:
        return format(self.sample, form) if form else formula(self)

    def settled(self) -> Any:
        """Returns the sample value, and records that the number must equal it."""
        self.guards.note(f"{formula(self)} == {self.sample!r}", True)
        return self.sample

    def __int__(self) -> int:
        return int(self.settled())

    def __float__(self) -> float:
        return float(self.settled())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.settled(), dtype)

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.settled(), digits)

    def __truediv__(self, other: Any) -> Any:
        return _float(operator.truediv, "/", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _float(operator.truediv, "/", other, self)

    def __eq__(self, other: object) -> Any:
        return _compared(operator.eq, "==", self, other)

    def __ne__(self, other: object) -> Any:
        return _compared(operator.ne, "!=", self, other)

    def __lt__(self, other: Any) -> Any:
        return _compared(operator.lt, "<", self, other)

    def __le__(self, other: Any) -> Any:
        return _compared(operator.le, "<=", self, other)

    def __gt__(self, other: Any) -> Any:
        return _compared(operator.gt, ">", self, other)

    def __ge__(self, other: Any) -> Any:
        return _compared(operator.ge, ">=", self, other)


class SymbolicInt(Symbolic):
    """An int that is a polynomial of symbols.

    Its `__class__` is int, so that `isinstance(x, int)` holds.
    """

    __slots__ = ("guards", "polynomial", "sample")

    def __init__(self, guards: Guards, sample: int, polynomial: Polynomial) -> None:
        self.guards: Guards = guards
        self.sample: int = sample
        self.polynomial: Polynomial = polynomial

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return int

    def settled(self) -> int:
        """Returns the sample value, and records that the number must equal it."""
        if self.polynomial.is_of_names:
            self.guards.settle()
        return int(super().settled())

    def __index__(self) -> int:
        return self.settled()

    def __add__(self, other: Any) -> Any:
        return _polynomial(self, other, operator.add, lambda a, b: a + b)

    def __mul__(self, other: Any) -> Any:
        return _polynomial(self, other, operator.mul, lambda a, b: a * b)

    def __sub__(self, other: Any) -> Any:
        return _polynomial(self, other, operator.sub, lambda a, b: a + b.scaled(-1))

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __neg__(self) -> Any:
        return self * -1

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    __radd__: Final = __add__
    __rmul__: Final = __mul__

    def __floordiv__(self, other: Any) -> Any:
        return _divided(self, other)[0]

    def __mod__(self, other: Any) -> Any:
        return _divided(self, other)[1]

    def __divmod__(self, other: Any) -> Any:
        return _divided(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _divided(other, self)[0]

    def __rmod__(self, other: Any) -> Any:
        return _divided(other, self)[1]

    def __rdivmod__(self, other: Any) -> Any:
        return _divided(other, self)

    def __pow__(self, power: Any) -> Any:
        if type(power) is int and 0 <= power <= 4:
            return math.prod([self] * power)
        if isinstance(power, float):
            return _float(operator.pow, "**", self, power)
        return self.settled() ** power

    def __and__(self, other: Any) -> Any:
        return _atom(self.guards, operator.and_, "&", self, other)

    def __lshift__(self, other: Any) -> Any:
        return self * (1 << operator.index(other))

    def __rshift__(self, other: Any) -> Any:
        return self // (1 << operator.index(other))

    __rand__ = __and__

    def __floor__(self) -> Any:
        return self

    __ceil__ = __floor__
    __trunc__: Final = __floor__

    def bit_length(self) -> int:
        """Returns how many bits the sample value takes; this settles the number."""
        return int(self.settled()).bit_length()


class SymbolicFloat(Symbolic):
    """A float computed from symbolic ints, as a Python expression."""

    __slots__ = ("expression", "guards", "sample")

    def __init__(self, guards: Guards, sample: float, expression: str) -> None:
        self.guards: Guards = guards
        self.sample: float = sample
        self.expression: str = expression

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return float

    def __add__(self, other: Any) -> Any:
        return _float(operator.add, "+", self, other)

    def __radd__(self, other: Any) -> Any:
        return _float(operator.add, "+", other, self)

    def __sub__(self, other: Any) -> Any:
        return _float(operator.sub, "-", self, other)

    def __rsub__(self, other: Any) -> Any:
        return _float(operator.sub, "-", other, self)

    def __mul__(self, other: Any) -> Any:
        return _float(operator.mul, "*", self, other)

    def __rmul__(self, other: Any) -> Any:
        return _float(operator.mul, "*", other, self)

    def __pow__(self, power: Any) -> Any:
        return _float(operator.pow, "**", self, power)

    def __neg__(self) -> Any:
        return self * -1.0

    def __floor__(self) -> Any:
        return _rounded(self, math.floor, "math.floor")

    def __ceil__(self) -> Any:
        return _rounded(self, math.ceil, "math.ceil")


# --- functions for numbers of either kind ---------------------------------------------------------


def formula(number: Any) -> str:
    """Returns a number as a Python expression in its symbols."""
    if type(number) is SymbolicInt:
        return number.polynomial.text
    if type(number) is SymbolicFloat:
        return number.expression
    return repr(number) if math.isfinite(number) else f"float('{number}')"


def sample(number: Any) -> Any:
    """Returns a number's value during the compilation, without settling it."""
    return number.sample if is_symbolic(number) else number


def settled(number: Any) -> Any:
    """Returns a number; a symbolic one is settled: from now on it must equal its sample value."""
    return number.settled() if is_symbolic(number) else number


def decided(function: Callable[..., Any], *numbers: Any) -> Any:
    """Returns `function(*numbers)`, and records the guard that its result stays the same.

    This is for the result of a search: the guard is on the choice, not on every comparison made.
    """
    result = function(*map(sample, numbers))
    for number in numbers:
        if is_symbolic(number):
            name = function.__name__
            number.guards.functions[name] = function
            call = f"{name}({', '.join(map(formula, numbers))})"
            number.guards.note(f"{call} == {result!r}", True)
            break
    return result


def as_int(number: Any) -> Any:
    """Returns a number as an int; a symbolic one is returned as it is."""
    return number if is_symbolic(number) else int(number)


def largest(number: Any) -> int:
    """Returns the largest value of a number, and bounds its symbols; see `Guards.most`."""
    return int(number.guards.most(number)) if is_symbolic(number) else number


def range_length(start: Any, stop: Any, step: Any) -> Any:
    """Returns `len(range(start, stop, step))`, as a formula where it depends on a symbol."""
    return max(0, -((start - stop) // step))


def is_symbolic(number: Any) -> bool:
    """Returns whether a number depends on a symbol."""
    return type(number) is SymbolicInt or type(number) is SymbolicFloat


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer))


def _as_polynomial(number: Any) -> Polynomial:
    return number.polynomial if type(number) is SymbolicInt else Polynomial({(): int(number)})


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer))


def _polynomial(
    a: SymbolicInt,
    b: Any,
    compute: Callable[[Any, Any], Any],
    combine: Callable[[Polynomial, Polynomial], Polynomial],
) -> Any:
    if not _is_number(b):
        return NotImplemented
    if not _is_integer(b):
        return _float(compute, {"add": "+", "mul": "*", "sub": "-"}[compute.__name__], a, b)
    return _made(a.guards, combine(a.polynomial, _as_polynomial(b)), compute(a.sample, sample(b)))


def _made(guards: Guards, polynomial: Polynomial, value: int) -> Any:
    return value if polynomial.constant is not None else SymbolicInt(guards, value, polynomial)


def _divided(a: Any, b: Any) -> tuple[Any, Any]:
    """Returns quotient and remainder, as polynomials without a new atom where possible."""
    if not (_is_integer(a) and _is_integer(b)):
        return NotImplemented, NotImplemented
    guards = (a if type(a) is SymbolicInt else b).guards
    if b == 0:
        raise ZeroDivisionError("division of a symbolic number by zero")
    if not is_symbolic(a) and a < 0 and b + a >= 0:  # counted from the end of an axis
        return -1, a + b
    quotient, rest = divided(_as_polynomial(a), _as_polynomial(b))
    value, left_over = divmod(sample(a), sample(b))
    if rest.constant == 0 or (not is_symbolic(b) and rest.constant is not None):
        return _made(guards, quotient, value), rest.constant
    (rest_value,) = guards.evaluation([rest.text])(*guards.symbols.values())
    left = _made(guards, rest, rest_value)
    extra = _atom(guards, operator.floordiv, "//", left, b)
    remainder = _atom(guards, operator.mod, "%", left, b)
    assert remainder.sample == left_over
    return _made(guards, quotient + extra.polynomial, value), remainder


def _atom(
    guards: Guards, compute: Callable[[Any, Any], Any], sign: str, a: Any, b: Any
) -> SymbolicInt:
    """Returns the result of an operation that is not polynomial, as a new atom."""
    if not (_is_integer(a) and _is_integer(b)):
        return NotImplemented
    name = f"({formula(a)} {sign} {formula(b)})"
    return SymbolicInt(guards, compute(sample(a), sample(b)), Polynomial({(name,): 1}))


def _float(compute: Callable[[Any, Any], Any], sign: str, a: Any, b: Any) -> Any:
    if not (_is_number(a) and _is_number(b)):
        return NotImplemented
    guards = (a if is_symbolic(a) else b).guards
    if sign == "/" and b == 0:
        raise ZeroDivisionError("division of a symbolic number by zero")
    return SymbolicFloat(
        guards, compute(sample(a), sample(b)), f"({formula(a)} {sign} {formula(b)})"
    )


def _rounded(x: SymbolicFloat, compute: Callable[[float], int], name: str) -> SymbolicInt:
    atom = f"{name}({x.expression})"
    return SymbolicInt(x.guards, compute(x.sample), Polynomial({(atom,): 1}))


def _compared(compute: Callable[[Any, Any], bool], sign: str, a: Symbolic, b: Any) -> Any:
    if not _is_number(b):
        return NotImplemented
    outcome = compute(a.sample, sample(b))
    if type(a) is SymbolicInt and _is_integer(b):
        difference = a.polynomial + _as_polynomial(b).scaled(-1)
        if difference.constant is not None or _is_decided(difference, outcome, sign):
            return outcome
        return a.guards.note(f"({difference.text} {sign} 0)", outcome)
    return a.guards.note(f"({formula(a)} {sign} {formula(b)})", outcome)


def _is_decided(polynomial: Polynomial, outcome: bool, sign: str) -> bool:
    """Whether a comparison with 0 has the same outcome for all symbols of at least `LEAST`."""
    counts = [count for factors, count in polynomial.terms.items() if factors]
    if any("(" in factor for factors in polynomial.terms for factor in factors):
        return False
    direction = 1 if min(counts) > 0 else -1 if max(counts) < 0 else 0
    least = sum(
        count * LEAST ** len(factors) * direction for factors, count in polynomial.terms.items()
    )
    return direction != 0 and least > 0  # then it has this sign everywhere
