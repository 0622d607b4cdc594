"""Bind shared subexpressions: what an expression uses more than once gets a name, a `Let`.

before: `exp(x - m) * 2 + exp(x - m)`     after: `let t = exp(x - m)`, `t * 2 + t`
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from smelt.ir.loops import Expression, Let, Read, Variable, children, with_children


def bind_shared(
    values: Sequence[Expression], fresh: Callable[[str], str]
) -> tuple[list[Let], tuple[Expression, ...]]:
    """Returns a `Let` for each part that occurs twice (as one object), and the values on them.

    The lets come in the order in which they need each other; `fresh` makes names.
    """
    order = _postorder(values)
    uses = Counter(id(part) for expression in order for part in children(expression))
    lets: list[Let] = []
    built: dict[int, Expression] = {}
    for expression in order:
        parts = children(expression)
        again = [built[id(part)] for part in parts]
        same = all(a is b for a, b in zip(again, parts, strict=True))
        rebuilt = expression if same else with_children(expression, again)
        if parts and uses[id(expression)] > 1 and not isinstance(expression, Read):
            variable = Variable(fresh("t"), rebuilt.dtype, rebuilt.lanes)
            lets.append(Let(variable, rebuilt))
            rebuilt = variable
        built[id(expression)] = rebuilt
    return lets, tuple(built[id(value)] for value in values)


def _postorder(roots: Sequence[Expression]) -> list[Expression]:
    """Every part once, each after what it is made of."""
    order: list[Expression] = []
    placed: set[int] = set()
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        part, ready = stack.pop()
        if ready:
            order.append(part)
        elif id(part) not in placed:
            placed.add(id(part))
            stack.append((part, True))
            stack.extend((below, False) for below in reversed(children(part)))
    return order
