"""Trees: tuples, lists and dicts of leaves, taken apart and put together again.

A tree may be nested as deep as memory allows: nothing here calls itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from smelt.errors import ArgumentError

__all__ = ["Structure", "difference", "flatten", "map", "ordered_keys", "paths", "unflatten"]

LEAF = "leaf"
Item = tuple[Any, tuple[Any, ...], int]  # kind, keys of a dict, how many nodes right below

_python_map = map  # below, `map` is that of trees
_LEAF: Item = (LEAF, (), 0)
_NONE: Item = (None, (), 0)


@dataclass(frozen=True, slots=True)
class Structure:
    """The shape of a tree: its nodes, each before those below it, from left to right; hashable."""

    items: tuple[Item, ...]
    leaves: int  # how many of the nodes are leaves


_LONE_LEAF = Structure((_LEAF,), 1)


class _End:
    """Stands on a stack behind what a container holds."""

    __slots__ = ("container",)

    def __init__(self, container: int) -> None:
        self.container = container


def flatten(value: Any) -> tuple[list[Any], Structure]:
    """Returns the leaves of a tree from left to right, and its structure.

    Tuples (also named ones), lists and dicts are inner nodes (a dict's keys in sorted order where
    they can be sorted); None has no leaves; anything else is a leaf.

    Raises:
        ArgumentError: a container holds itself.
    """
    if value is not None and not isinstance(value, (tuple, list, dict)):
        return [value], _LONE_LEAF
    if type(value) is tuple and not any(_python_map(_is_node, value)):  # nothing is nested
        return list(value), _flat_tuple(len(value))
    leaves: list[Any] = []
    items: list[Item] = []
    stack: list[Any] = [value]
    around: set[int] = set()  # the ids of the containers that are open
    while stack:
        node = stack.pop()
        kind = type(node)
        if isinstance(node, (tuple, list)):
            items.append((kind, (), len(node)))
            _open(node, around, stack)
            stack.extend(reversed(node))
        elif kind is dict:
            keys = ordered_keys(node)
            items.append((kind, keys, len(keys)))
            _open(node, around, stack)
            stack.extend([node[key] for key in reversed(keys)])
        elif node is None:
            items.append(_NONE)
        elif kind is _End:
            around.remove(node.container)
        else:
            leaves.append(node)
            items.append(_LEAF)
    return leaves, Structure(tuple(items), len(leaves))


def _is_node(value: Any) -> bool:
    return value is None or isinstance(value, (tuple, list, dict))


@functools.cache
def _flat_tuple(count: int) -> Structure:
    return Structure(((tuple, (), count), *(_LEAF,) * count), count)


def _open(node: Any, around: set[int], stack: list[Any]) -> None:
    if id(node) in around:
        raise ArgumentError(f"a {type(node).__name__} that contains itself is not a tree")
    around.add(id(node))
    stack.append(_End(id(node)))


def ordered_keys(value: dict[Any, Any]) -> tuple[Any, ...]:
    """Returns the keys of a dict in the order in which its leaves stand."""
    try:
        return tuple(sorted(value))
    except TypeError:
        return tuple(value)


def unflatten(structure: Structure, leaves: list[Any]) -> Any:
    """Returns the tree of `structure` with `leaves` in place; raises when the count differs."""
    items = structure.items
    if len(leaves) != structure.leaves:
        few = "few" if len(leaves) < structure.leaves else "many"
        raise ArgumentError(f"unflatten: too {few} leaves for the structure")
    kind, _, count = items[0]
    if kind is not None and structure.leaves == count == len(items) - 1:
        return _container(items[0], leaves)  # the usual case: nothing is nested
    pending = reversed(leaves)
    built: list[Any] = []  # the first of several nodes stands on top
    for item in reversed(items):
        kind, _, count = item
        if kind is LEAF:
            built.append(next(pending))
        elif kind is None:
            built.append(None)
        else:
            children = built[len(built) - count :]
            del built[len(built) - count :]
            built.append(_container(item, children[::-1]))
    return built[0]


def _container(item: Item, children: list[Any]) -> Any:
    kind, keys, _ = item
    if kind is tuple:
        return tuple(children)
    if kind is dict:
        return dict(zip(keys, children, strict=True))
    return kind(*children) if hasattr(kind, "_fields") else kind(children)


def map(function: Callable[..., Any], first: Any, *trees: Any) -> Any:
    """Returns the tree of `function(leaf of first, leaf of each other tree)`."""
    leaves, structure = flatten(first)
    others = [flatten(value)[0] for value in trees]
    return unflatten(structure, [function(*group) for group in zip(leaves, *others, strict=True)])


def paths(structure: Structure) -> list[str]:
    """Returns where each leaf stands, as Python writes it: `["a"][0]`; "" for a lone leaf."""
    places = zip(structure.items, _places(structure), strict=True)
    return [place for (kind, _, _), place in places if kind is LEAF]


def _places(structure: Structure) -> Iterator[str]:
    """Yields where each node stands."""
    stack = [""]
    for kind, keys, count in structure.items:
        place = stack.pop()
        yield place
        steps = keys if kind is dict else range(count)
        stack.extend([f"{place}[{step!r}]" for step in reversed(steps)])


def difference(expected: Structure, actual: Structure) -> str:
    """Returns in words where `actual` first differs from `expected`; "" where it does not."""
    nodes = zip(expected.items, actual.items, _places(expected), strict=False)
    for wanted, found, place in nodes:
        if wanted != found:
            return f"{place or 'it'} {_changed(wanted, found)}"
    return ""


def _changed(wanted: Item, found: Item) -> str:
    if wanted[0] is not found[0] or wanted[0] is not dict:
        return f"is {_described(found)} instead of {_described(wanted)}"
    missing = [repr(key) for key in wanted[1] if key not in found[1]]
    added = [repr(key) for key in found[1] if key not in wanted[1]]
    lacks = [f"lacks the key {', '.join(missing)}"] if missing else []
    has = [f"has the new key {', '.join(added)}"] if added else []
    return " and ".join(lacks + has) or "has its keys in another order"


def _described(item: Item) -> str:
    kind, keys, count = item
    if kind is LEAF:
        return "a tensor"
    if kind is None:
        return "None"
    if kind is dict:
        return f"a dict with the keys {', '.join(_python_map(repr, keys)) or '(none)'}"
    return f"a {kind.__name__} of {count}"
