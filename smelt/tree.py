"""Trees: tuples, lists and dicts of leaves, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from smelt.errors import ArgumentError

__all__ = ["Structure", "difference", "flatten", "map", "paths", "unflatten"]

LEAF = "leaf"


@dataclass(frozen=True, slots=True)
class Structure:
    """The shape of a tree: its kind, the keys of a dict, and the structures below; hashable."""

    kind: Any
    keys: tuple[Any, ...] = ()
    children: tuple[Structure, ...] = ()


_LEAF = Structure(LEAF)


def flatten(value: Any) -> tuple[list[Any], Structure]:
    """Returns the leaves of a tree from left to right, and its structure.

    Tuples (also named ones), lists and dicts are inner nodes (a dict's keys in sorted order where
    they can be sorted); None has no leaves; anything else is a leaf.
    """
    leaves: list[Any] = []
    structure = _flatten(value, leaves)
    return leaves, structure


def _flatten(value: Any, leaves: list[Any]) -> Structure:
    if value is None:
        return Structure(None)
    kind = type(value)
    if isinstance(value, (tuple, list)):
        return Structure(kind, (), tuple([_flatten(item, leaves) for item in value]))
    if kind is dict:
        keys = _ordered(value)
        return Structure(kind, keys, tuple([_flatten(value[key], leaves) for key in keys]))
    leaves.append(value)
    return _LEAF


def _ordered(value: dict[Any, Any]) -> tuple[Any, ...]:
    try:
        return tuple(sorted(value))
    except TypeError:
        return tuple(value)


def unflatten(structure: Structure, leaves: list[Any]) -> Any:
    """Returns the tree of `structure` with `leaves` in place; raises when the count differs."""
    pending = iter(leaves)
    try:
        result = _unflatten(structure, pending)
    except StopIteration:
        raise ArgumentError("unflatten: too few leaves for the structure") from None
    if next(pending, _LEAF) is not _LEAF:
        raise ArgumentError("unflatten: too many leaves for the structure")
    return result


def _unflatten(structure: Structure, pending: Iterator[Any]) -> Any:
    kind = structure.kind
    if kind is LEAF:
        return next(pending)
    if kind is None:
        return None
    children = [_unflatten(child, pending) for child in structure.children]
    if kind is dict:
        return dict(zip(structure.keys, children, strict=True))
    return kind(*children) if hasattr(kind, "_fields") else kind(children)


def map(function: Callable[..., Any], first: Any, *trees: Any) -> Any:
    """Returns the tree of `function(leaf of first, leaf of each other tree)`."""
    leaves, structure = flatten(first)
    others = [flatten(value)[0] for value in trees]
    return unflatten(structure, [function(*group) for group in zip(leaves, *others, strict=True)])


def paths(structure: Structure) -> list[str]:
    """Returns where each leaf stands, as Python writes it: `["a"][0]`; "" for a lone leaf."""
    if structure.kind is LEAF:
        return [""]
    children = zip(_steps(structure), structure.children, strict=True)
    return [step + path for step, child in children for path in paths(child)]


def difference(expected: Structure, actual: Structure, path: str = "") -> str:
    """Returns in words where `actual` first differs from `expected`; "" where it does not."""
    if expected == actual:
        return ""
    where = path or "it"
    if set(expected.keys) != set(actual.keys) and expected.kind is actual.kind:
        return f"{where} {_changed_keys(expected, actual)}"
    if expected.kind is not actual.kind or len(expected.children) != len(actual.children):
        return f"{where} should be {_kind(expected)}, and is {_kind(actual)}"
    if expected.keys != actual.keys:
        return f"{where} has its keys in another order"
    children = zip(_steps(expected), expected.children, actual.children, strict=True)
    return next(filter(None, (difference(a, b, path + step) for step, a, b in children)))


def _changed_keys(expected: Structure, actual: Structure) -> str:
    missing = [repr(key) for key in expected.keys if key not in actual.keys]
    added = [repr(key) for key in actual.keys if key not in expected.keys]
    lacks = [f"lacks the key {', '.join(missing)}"] if missing else []
    return " and ".join(lacks + ([f"has the new key {', '.join(added)}"] if added else []))


def _steps(structure: Structure) -> list[str]:
    keys = structure.keys if structure.kind is dict else range(len(structure.children))
    return [f"[{key!r}]" for key in keys]


def _kind(structure: Structure) -> str:
    if structure.kind is LEAF:
        return "a tensor"
    if structure.kind is None:
        return "None"
    if structure.kind is dict:
        return f"a dict with the keys {', '.join(map(repr, structure.keys)) or '(none)'}"
    return f"a {structure.kind.__name__} of {len(structure.children)}"
