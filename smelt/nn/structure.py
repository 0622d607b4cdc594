"""The tree of modules: walked and printed without recursion, for any depth."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from smelt.errors import ArgumentError

T = TypeVar("T")
Children = Callable[[T], list[tuple[str, T]]]


def joined(prefix: str, name: str) -> str:
    """Returns the path of `name` below `prefix`."""
    return f"{prefix}.{name}" if prefix else name


def walk(
    root: T, children: Children[T], prefix: str = "", once: bool = True
) -> Iterator[tuple[str, T]]:
    """Yields a module and all below it with their paths, parents first.

    Args:
        root: where to begin.
        children: gives the modules directly below one, with their names.
        prefix: the path of `root`.
        once: whether a shared module comes once, or under each of its paths.

    Raises:
        ArgumentError: with `once=False`, a module contains itself, so its paths have no end.
    """
    seen: set[int] = set()  # with once: met before; else: around the present one
    stack: list[tuple[str, T, bool]] = [(prefix, root, False)]
    while stack:
        path, part, is_over = stack.pop()
        if is_over:
            seen.discard(id(part))
            continue
        if id(part) in seen:
            if once:
                continue
            raise ArgumentError(f"{path}: this {type(part).__name__} contains itself; remove it")
        seen.add(id(part))
        yield path, part
        if not once:
            stack.append((path, part, True))
        below = [(joined(path, name), child, False) for name, child in children(part)]
        stack += reversed(below)


def copied(part: Any, memo: dict[int, Any]) -> Any:
    """Returns a deep copy of a module whose class does not define copying."""
    kind: Any = type(part)
    made = memo[id(part)] = kind.__new__(kind)
    state = copy.deepcopy(part.__getstate__(), memo)
    if hasattr(type(made), "__setstate__"):
        made.__setstate__(state)
        return made
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    vars(made).update(attributes or {})
    for name, value in (slots or {}).items():
        setattr(made, name, value)
    return made


def text_of(
    root: T, children: Children[T], head: Callable[[T], str], own: Callable[[T], str | None]
) -> str:
    """Returns a module as lines, those below it further to the right.

    Args:
        root: the module.
        children: gives the modules directly below one, with their names.
        head: gives a module's name and settings, up to the closing bracket.
        own: gives the text of a module that prints itself in another way, else None.
    """
    lines: list[str] = []
    stack: list[tuple[str, str, T | None]] = [("", "", root)]
    while stack:
        indent, label, part = stack.pop()
        if part is None:
            lines.append(f"{indent})")
            continue
        text = own(part)
        below = children(part) if text is None else []
        if text is None:
            text = head(part) + ("" if below else ")")
        lines.append(indent + f"{label}{text}".replace("\n", f"\n{indent}"))
        if below:
            stack.append((indent, "", None))
            deeper = [(f"{indent}  ", f"({name}): ", child) for name, child in below]
            stack += reversed(deeper)
    return "\n".join(lines)
