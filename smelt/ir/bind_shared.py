"""Bind shared subexpressions: what an expression uses more than once gets a name, a `Let`.

before: `exp(x - m) * 2 + exp(x - m)`     after: `let t = exp(x - m)`, `t * 2 + t`

So does a part of which much stands below: what later passes meet is never nested deeper than
DEEPEST, so that they may visit it by calling themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from smelt.ir.loops import Expression, Let, Read, Variable, children
from smelt.ir.postorder import postorder
from smelt.ir.visit import Transformer

DEEPEST = 80  # parts nested in one expression


def bind_shared(
    values: Sequence[Expression], fresh: Callable[[str], str]
) -> tuple[list[Let], tuple[Expression, ...]]:
    """Returns a `Let` for each part that occurs twice (as one object) or reaches deep, and the
    values on them.

    The lets come in the order in which they need each other; `fresh` makes names.
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
    """Makes an expression of parts that are built already."""

    def __init__(self, built: dict[int, Expression]) -> None:
        self.built = built

    def __call__(self, expression: Expression) -> Expression:
        return self.built[id(expression)]
