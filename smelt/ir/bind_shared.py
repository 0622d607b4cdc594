"""Bind shared subexpressions: whatever an expression uses more than once gets a name, by a `Let`.

before: `exp(x - m) * 2 + exp(x - m)`     after: `let t = exp(x - m)`, `t * 2 + t`

A deeply nested subexpression is bound as well: later passes never see more than DEEPEST levels, so
they may be recursive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from smelt.ir.loops import Expression, Let, Read, Variable, children
from smelt.ir.postorder import postorder
from smelt.ir.visit import Transformer

DEEPEST = 80  # levels of nesting in one expression


def bind_shared(
    values: Sequence[Expression], fresh: Callable[[str], str]
) -> tuple[list[Let], tuple[Expression, ...]]:
    """Returns a `Let` for each subexpression that is used twice (as one object) or is nested too
    deeply, and the values rewritten to use them.

    Each let comes after those that it uses; `fresh` makes names.
    """
    order = postorder(values, children)
    uses = Counter(id(part) for expression in order for part in children(expression))
    lets: list[Let] = []
    built: dict[int, Expression] = {}
    depths: dict[int, int] = {}
    rebuild = _Rebuild(built)
    for expression in order:
        parts = children(expression)
        again = [built[id(part)] for part in parts]
        same = all(a is b for a, b in zip(again, parts, strict=True))
        rebuilt = expression if same else rebuild.visit(expression)
        depth = 1 + max((depths[id(part)] for part in parts), default=0)
        is_named = uses[id(expression)] > 1 and not isinstance(expression, Read)
        depths[id(expression)] = 0 if is_named or depth > DEEPEST else depth
        if parts and (is_named or depth > DEEPEST):
            variable = Variable(fresh("t"), rebuilt.dtype, rebuilt.lanes)
            lets.append(Let(variable, rebuilt))
            rebuilt = variable
        built[id(expression)] = rebuilt
    return lets, tuple(built[id(value)] for value in values)


class _Rebuild(Transformer):
    """Rebuilds an expression from children that have been rebuilt already."""

    def __init__(self, built: dict[int, Expression]) -> None:
        self.built = built

    def __call__(self, expression: Expression) -> Expression:
        return self.built[id(expression)]
