"""Postorder: operands before users, the order in which graphs, expressions and tapes are walked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def postorder(
    roots: Iterable[T], operands: Callable[[T], Iterable[T]], known: Iterable[T] = ()
) -> list[T]:
    """Returns `roots` and all they depend on, each once (by identity), operands before users.

    What is `known` is left out, and so is what only that needs. There is no recursion.
    """
    order: list[T] = []
    seen = set(map(id, known))
    for root in roots:
        stack: list[tuple[T, Iterator[T]]] = []
        if id(root) not in seen:
            seen.add(id(root))
            stack.append((root, iter(operands(root))))
        while stack:
            node, pending = stack[-1]
            for operand in pending:
                if id(operand) not in seen:
                    seen.add(id(operand))
                    stack.append((operand, iter(operands(operand))))
                    break
            else:
                order.append(node)
                stack.pop()
    return order
