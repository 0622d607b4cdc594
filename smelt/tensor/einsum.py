"""einsum: sums of products by named axes, brought to matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smelt.errors import ArgumentError, ShapeError
from smelt.tensor.apply import matched
from smelt.tensor.products import diagonal, matmul

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = ["einsum"]

Term = list[str]  # one name an axis; the axes of an ellipsis are "...0" (last), "...1", ...


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """Returns the sum of products that `equation` describes, as in "bij,bjk->bik".

    Each letter names an axis; a letter missing from the result is summed over; `...` stands for
    further axes that broadcast. Without `->` the result has the letters that occur once, in
    alphabetical order.

    Raises:
        ArgumentError: the equation does not fit its form, or not the number of operands.
        ShapeError: the operands do not fit the equation.
    """
    factors = list(matched(*operands))
    terms, result = _parsed(equation, factors)
    extents = _extents(equation, terms, factors)
    simple = [_reduced(*pair, extents) for pair in zip(factors, terms, strict=True)]
    if any(name not in extents for name in result):
        raise ArgumentError(f"einsum {equation!r}: the result names an axis that no operand has")
    total, names = _summed(*simple[0], _needed(result, simple[1:]))
    for count, (factor, own) in enumerate(simple[1:], 2):
        needed = _needed(result, simple[count:])
        factor, own = _summed(factor, own, needed | set(names))
        total, names = _summed(total, names, needed | set(own))
        total, names = _product(total, names, factor, own, needed)
    return total.permute(*(names.index(name) for name in result)) if names else total


def _needed(result: Term, later: Sequence[tuple[Tensor, Term]]) -> set[str]:
    return set(result).union(*(names for _, names in later))


def _parsed(equation: str, factors: list[Tensor]) -> tuple[list[Term], Term]:
    """The names of each operand's axes, and of the result's."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(factors):
        raise ArgumentError(f"einsum {equation!r}: {len(texts)} terms for {len(factors)} operands")
    terms = [_term(equation, text, x.ndim) for text, x in zip(texts, factors, strict=True)]
    names = [name for term in terms for name in term]
    hidden = sorted({name for name in names if name[0] == "."}, reverse=True, key=_rank)
    if arrow:
        if len(set(right.replace("...", "."))) < len(right.replace("...", ".")):
            raise ArgumentError(f"einsum {equation!r}: the result names an axis twice")
        count = len(hidden) if "..." in right else 0
        return terms, _term(equation, right, len(right.replace("...", "")) + count)
    return terms, hidden + sorted(
        name for name in names if names.count(name) == 1 and name.isalpha()
    )


def _rank(name: str) -> int:
    return int(name[3:])


def _term(equation: str, text: str, ndim: int) -> Term:
    before, dots, behind = text.partition("...")
    letters = before + behind
    if letters and not letters.isalpha():
        raise ArgumentError(f"einsum {equation!r}: axes must be letters, got {text!r}")
    hidden = ndim - len(letters)
    if hidden < 0 or (hidden and not dots):
        raise ShapeError(
            f"einsum {equation!r}: {text!r} names {len(letters)} axes, but the operand has {ndim}"
        )
    return [*before, *(f"...{dim}" for dim in reversed(range(hidden))), *behind]


def _extents(equation: str, terms: list[Term], factors: list[Tensor]) -> dict[str, int]:
    extents: dict[str, int] = {}
    for term, x in zip(terms, factors, strict=True):
        own: dict[str, int] = {}
        for name, extent in zip(term, x.shape, strict=True):
            if own.setdefault(name, extent) != extent:  # within one operand nothing broadcasts
                raise ShapeError(
                    f"einsum {equation!r}: axis {name} has extents {own[name]} and {extent} in an "
                    f"operand of shape {x.shape}"
                )
            known = extents.get(name, 1)
            if 1 not in (known, extent) and known != extent:
                raise ShapeError(
                    f"einsum {equation!r}: axis {name} has extents {known} and {extent}"
                )
            extents[name] = extent if known == 1 else known
    return extents


def _reduced(x: Tensor, names: Term, extents: dict[str, int]) -> tuple[Tensor, Term]:
    """Takes diagonals of repeated names, and leaves out axes of extent 1 that broadcast."""
    for name in sorted(set(names)):
        while names.count(name) > 1:
            first = names.index(name)
            second = names.index(name, first + 1)
            x = diagonal(x, 0, first, second)
            names = [own for index, own in enumerate(names) if index not in (first, second)]
            names.append(name)
    kept = [
        (name, extent)
        for name, extent in zip(names, x.shape, strict=True)
        if extent != 1 or extents[name] == 1
    ]
    return x.reshape([extent for _, extent in kept]), [name for name, _ in kept]


def _summed(x: Tensor, names: Term, needed: set[str]) -> tuple[Tensor, Term]:
    """Sums over the axes that nothing needs."""
    gone = [index for index, name in enumerate(names) if name not in needed]
    if gone:
        x = x.sum(gone)
    return x, [name for name in names if name in needed]


def _product(
    a: Tensor, a_names: Term, b: Tensor, b_names: Term, needed: set[str]
) -> tuple[Tensor, Term]:
    """One batched matrix product: (batch, rows, inner) @ (batch, inner, columns)."""
    shared = [name for name in a_names if name in b_names]
    batch = [name for name in shared if name in needed]
    inner = [name for name in shared if name not in needed]
    rows = [name for name in a_names if name not in shared]
    columns = [name for name in b_names if name not in shared]
    sizes = dict(zip(a_names + b_names, a.shape + b.shape, strict=True))

    def grouped(x: Tensor, names: Term, *groups: Term) -> Tensor:
        ordered = x.permute(*(names.index(name) for group in groups for name in group))
        return ordered.reshape([math.prod(sizes[name] for name in group) for group in groups])

    left = grouped(a, a_names, batch, rows, inner)
    right = grouped(b, b_names, batch, inner, columns)
    names = batch + rows + columns
    return matmul(left, right).reshape([sizes[name] for name in names]), names
