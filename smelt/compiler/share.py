"""Share: what an expression uses more than once gets a name, and is computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from smelt.ir.loops import (
    Binary,
    Cast,
    Constant,
    Expression,
    Fma,
    Lanes,
    Let,
    Load,
    Read,
    Reduce,
    Select,
    Statement,
    Unary,
    Variable,
    children,
)

FREE = (Constant, Lanes, Read, Variable)


def share(value: Expression, fresh: Callable[[str], str]) -> tuple[list[Statement], Expression]:
    """Returns a `Let` for each part that occurs twice (as the same object), and the rest of the
    value.

    before: `exp(x - m) * 2 + exp(x - m)`     after: `let t = exp(x - m)`, `t * 2 + t`
    """
    uses = _count(value)
    lets: list[Statement] = []
    done: dict[int, Expression] = {}

    def rebuild(part: Expression) -> Expression:
        found = done.get(id(part))
        if found is not None:
            return found
        below = children(part)
        again = [rebuild(one) for one in below]
        if any(a is not b for a, b in zip(again, below, strict=True)):
            part_again = _with_children(part, again)
        else:
            part_again = part
        if uses[id(part)] > 1 and not isinstance(part, FREE):
            variable = Variable(fresh("t"), part.dtype)
            lets.append(Let(variable, part_again))
            part_again = variable
        done[id(part)] = part_again
        return part_again

    return lets, rebuild(value)


def _count(value: Expression) -> dict[int, int]:
    uses: dict[int, int] = {id(value): 1}
    stack = [value]
    while stack:
        for part in children(stack.pop()):
            uses[id(part)] = uses.get(id(part), 0) + 1
            if uses[id(part)] == 1:
                stack.append(part)
    return uses


def _with_children(part: Expression, below: list[Expression]) -> Expression:
    match part:
        case Unary() | Cast() | Reduce():
            return replace(part, x=below[0])
        case Binary():
            return replace(part, a=below[0], b=below[1])
        case Fma():
            return replace(part, a=below[0], b=below[1], c=below[2])
        case Select():
            return replace(part, condition=below[0], yes=below[1], no=below[2])
        case Load(mask=None):
            return replace(part, index=tuple(below))
        case Load():
            return replace(part, index=tuple(below[:-1]), mask=below[-1])
    return part
