"""Affine index expressions: `3*i + j + 5` as a constant and one coefficient per variable.

The verifier uses them to check that an index stays inside its axis, the loop optimizer to find the
stride of an access between two consecutive iterations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from smelt.ir.loops import Binary, Constant, Expression, Lanes, Variable
from smelt.ir.symbolic import as_int

LANE = "<lane>"  # the term that stands for the lane number


@dataclass(frozen=True, slots=True)
class Affine:
    """`constant + sum(coefficient * variable)`; no coefficient is zero."""

    constant: int
    terms: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Affine) -> Affine:
        if not other.terms:
            return Affine(self.constant + other.constant, self.terms)
        terms = dict(self.terms)
        for name, coefficient in other.terms.items():
            total = terms.get(name, 0) + coefficient
            if total:
                terms[name] = total
            else:
                del terms[name]
        return Affine(self.constant + other.constant, terms)

    def scaled(self, factor: int) -> Affine:
        """Returns this sum times a number."""
        if factor == 0:
            return Affine(0)
        terms = {name: coefficient * factor for name, coefficient in self.terms.items()}
        return Affine(self.constant * factor, terms)

    def coefficient(self, name: str) -> int:
        """Returns how much the sum grows when a variable grows by one."""
        return self.terms.get(name, 0)

    def bounds(self, ranges: Mapping[str, tuple[int, int]]) -> tuple[int, int] | None:
        """Returns the least and greatest value, or None when a variable has no known range."""
        low = high = self.constant
        for name, coefficient in self.terms.items():
            if name not in ranges:
                return None
            ends = [coefficient * end for end in ranges[name]]
            low, high = low + min(ends), high + max(ends)
        return low, high


def affine(
    expression: Expression, names: Mapping[str, Affine | None] | None = None
) -> Affine | None:
    """Returns an int64 expression in affine form, or None when it is not affine.

    `names` maps variables to their affine forms (None: not affine); other variables stand for
    themselves.
    """
    if type(expression) is Variable:
        if names is not None and expression.name in names:
            return names[expression.name]
        return Affine(0, {expression.name: 1})
    if type(expression) is Constant:
        return Affine(as_int(expression.value))
    if type(expression) is Lanes:
        return Affine(0, {LANE: 1})
    if type(expression) is not Binary or expression.op not in ("add", "sub", "mul"):
        return None
    a, b = affine(expression.a, names), affine(expression.b, names)
    if a is None or b is None:
        return None
    if expression.op != "mul":
        return a + (b if expression.op == "add" else b.scaled(-1))
    if a.terms and b.terms:
        return None
    return b.scaled(a.constant) if not a.terms else a.scaled(b.constant)
