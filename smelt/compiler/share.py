"""Share: what an expression uses more than once gets a name, and is computed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from smelt.ir.loops import Expression, Let, Read, Variable, children, with_children


def share(value: Expression, fresh: Callable[[str], str]) -> tuple[list[Let], Expression]:
    """Returns a `Let` for each part that occurs twice (as one object), and the rest of the value.

    before: `exp(x - m) * 2 + exp(x - m)`     after: `let t = exp(x - m)`, `t * 2 + t`

    The lets come in the order in which they need each other; `fresh` makes names.
    """
    lets, (rest,) = share_all((value,), fresh)
    return lets, rest


def share_all(
    values: Sequence[Expression], fresh: Callable[[str], str]
) -> tuple[list[Let], tuple[Expression, ...]]:
    """Returns the same for several values, which may have parts in common."""
    order = _postorder(values)
    uses = Counter(id(part) for whole in order for part in children(whole))
    lets: list[Let] = []
    built: dict[int, Expression] = {}
    for whole in order:
        parts = children(whole)
        again = [built[id(part)] for part in parts]
        same = all(a is b for a, b in zip(again, parts, strict=True))
        rebuilt = whole if same else with_children(whole, again)
        if parts and uses[id(whole)] > 1 and not isinstance(whole, Read):
            variable = Variable(fresh("t"), rebuilt.dtype, rebuilt.lanes)
            lets.append(Let(variable, rebuilt))
            rebuilt = variable
        built[id(whole)] = rebuilt
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
