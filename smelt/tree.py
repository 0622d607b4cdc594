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
    parts: tuple[Structure, ...] = ()


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
        return Structure(kind, (), tuple([_flatten(part, leaves) for part in value]))
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
    parts = [_unflatten(part, pending) for part in structure.parts]
    if kind is dict:
        return dict(zip(structure.keys, parts, strict=True))
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


def map(function: Callable[..., Any], first: Any, *rest: Any) -> Any:
    """Returns the tree of `function(leaf of first, leaf of each other tree)`."""
    leaves, structure = flatten(first)
    others = [flatten(other)[0] for other in rest]
    return unflatten(structure, [function(*group) for group in zip(leaves, *others, strict=True)])


def paths(structure: Structure) -> list[str]:
    """Returns where each leaf stands, as Python writes it: `["a"][0]`; "" for a lone leaf."""
    if structure.kind is LEAF:
        return [""]
    parts = zip(_steps(structure), structure.parts, strict=True)
    return [step + path for step, part in parts for path in paths(part)]


def difference(expected: Structure, found: Structure, path: str = "") -> str:
    """Returns in words where `found` first differs from `expected`; "" where it does not."""
    if expected == found:
        return ""
    place = path or "it"
    if set(expected.keys) != set(found.keys) and expected.kind is found.kind:
        return f"{place} {_changed_keys(expected, found)}"
    if expected.kind is not found.kind or len(expected.parts) != len(found.parts):
        return f"{place} should be {_kind(expected)}, and is {_kind(found)}"
    if expected.keys != found.keys:
        return f"{place} has its keys in another order"
    parts = zip(_steps(expected), expected.parts, found.parts, strict=True)
    return next(filter(None, (difference(a, b, path + step) for step, a, b in parts)))


def _changed_keys(expected: Structure, found: Structure) -> str:
    missing = [repr(key) for key in expected.keys if key not in found.keys]
    added = [repr(key) for key in found.keys if key not in expected.keys]
    lacks = [f"lacks the key {', '.join(missing)}"] if missing else []
    return " and ".join(lacks + ([f"has the new key {', '.join(added)}"] if added else []))


def _steps(structure: Structure) -> list[str]:
    keys = structure.keys if structure.kind is dict else range(len(structure.parts))
    return [f"[{key!r}]" for key in keys]


def _kind(structure: Structure) -> str:
    if structure.kind is LEAF:
        return "a tensor"
    if structure.kind is None:
        return "None"
    if structure.kind is dict:
        return f"a dict with the keys {', '.join(map(repr, structure.keys)) or '(none)'}"
    return f"a {structure.kind.__name__} of {len(structure.parts)}"
