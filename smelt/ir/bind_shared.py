"""Bind shared subexpressions: what an expression uses more than once gets a name, a `Let`.

before: `exp(x - m) * 2 + exp(x - m)`     after: `let t = exp(x - m)`, `t * 2 + t`
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from smelt.ir.loops import Expression, Let, Read, Variable, children
from smelt.ir.postorder import postorder
from smelt.ir.visit import Transformer


def bind_shared(
    values: Sequence[Expression], fresh: Callable[[str], str]
) -> tuple[list[Let], tuple[Expression, ...]]:
    """Returns a `Let` for each part that occurs twice (as one object), and the values on them.

    The lets come in the order in which they need each other; `fresh` makes names.
    """
    order = postorder(values, children)
    uses = Counter(id(part) for expression in order for part in children(expression))
    lets: list[Let] = []
    built: dict[int, Expression] = {}
    rebuild = _Rebuild(built)
    for expression in order:
        parts = children(expression)
        again = [built[id(part)] for part in parts]
        same = all(a is b for a, b in zip(again, parts, strict=True))
        rebuilt = expression if same else rebuild.visit(expression)
        if parts and uses[id(expression)] > 1 and not isinstance(expression, Read):
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
