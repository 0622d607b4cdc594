"""Polynomials with integer coefficients: sums of products of atoms, which are strings."""

from __future__ import annotations

from collections.abc import Mapping

Monomial = tuple[str, ...]  # sorted factors; () is the constant term


class Polynomial:
    """A sum of products of atoms: symbols, and operations that are not polynomial."""

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        self.terms: dict[tuple[str, ...], int] = {
            factors: count for factors, count in terms.items() if count
        }

    def __add__(self, other: Polynomial) -> Polynomial:
        terms = dict(self.terms)
        for factors, count in other.terms.items():
            terms[factors] = terms.get(factors, 0) + count
        return Polynomial(terms)

    def __mul__(self, other: Polynomial) -> Polynomial:
        terms: dict[Monomial, int] = {}
        for left, count in self.terms.items():
            for right, times in other.terms.items():
                factors = tuple(sorted(left + right))
                terms[factors] = terms.get(factors, 0) + count * times
        return Polynomial(terms)

    def scaled(self, factor: int) -> Polynomial:
        """Returns this polynomial times a number."""
        return Polynomial({factors: count * factor for factors, count in self.terms.items()})

    def divided(self, divisor: int) -> tuple[Polynomial, Polynomial]:
        """Returns quotient and rest: `self = divisor * quotient + rest`.

        The divisor divides no coefficient of the rest, and the rest's constant term is below it.
        """
        quotient, rest = {}, {}
        for factors, count in self.terms.items():
            if factors and count % divisor:
                rest[factors] = count
            else:
                quotient[factors], rest[factors] = divmod(count, divisor)
        return Polynomial(quotient), Polynomial(rest)

    @property
    def constant(self) -> int | None:
        """The value of a constant polynomial, None for any other."""
        if not self.terms:
            return 0
        return self.terms.get(()) if len(self.terms) == 1 else None

    @property
    def is_of_names(self) -> bool:
        """Whether all atoms are symbols."""
        return all(atom.isidentifier() for factors in self.terms for atom in factors)

    @property
    def grows(self) -> bool:
        """Whether it is known not to decrease when a symbol grows."""
        return self.is_of_names and all(
            count >= 0 for factors, count in self.terms.items() if factors
        )

    @property
    def text(self) -> str:
        """The polynomial as a Python expression, the same for equal ones."""
        parts = [
            "*".join([*([str(count)] if count != 1 or not factors else []), *factors])
            for factors, count in sorted(self.terms.items())
        ]
        joined = " + ".join(parts) or "0"
        return f"({joined})" if " + " in joined or "*" in joined else joined


def divided(a: Polynomial, b: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Returns quotient and rest: `a = b * quotient + rest`.

    A number divides the terms that it can, a monomial only all of `a`; otherwise the quotient is 0.
    """
    if b.constant is not None and b.constant > 0:
        return a.divided(b.constant)
    if len(b.terms) == 1:
        ((factors, count),) = b.terms.items()
        quotient = _without(a, factors, count)
        if quotient is not None:
            return quotient, Polynomial({})
    return Polynomial({}), a


def _without(polynomial: Polynomial, factors: Monomial, count: int) -> Polynomial | None:
    """Returns the polynomial divided by a monomial, or None when it is not divisible."""
    terms = {}
    for monomial, times in polynomial.terms.items():
        left = list(monomial)
        for factor in factors:
            if factor not in left:
                return None
            left.remove(factor)
        if times % count:
            return None
        terms[tuple(left)] = times // count
    return Polynomial(terms)
