"""Structures: what a function returned around its results, as a list that JSON can hold.

Each item is a node, before those below it: ["result"], the next result; ["value", v], a number, a
text or None; ["tuple", n] and ["list", n], of the next n nodes; ["dict", keys], of as many nodes as
there are keys.
"""

from __future__ import annotations

from typing import Any


def checked_structure(items: list[Any], results: int) -> bool:
    """Returns whether a list is a structure with so many results."""
    wanted, found = 1, 0  # nodes that must follow, and results so far
    for item in items:
        if type(item) is not list or wanted == 0:
            return False
        match item:
            case ["result"]:
                below, found = 0, found + 1
            case ["value", value] if value is None or type(value) in (bool, int, float, str):
                below = 0
            case ["tuple" | "list", int(count)] if 0 <= count <= len(items):
                below = count
            case ["dict", list(keys)] if all(type(key) in (str, int) for key in keys):
                below = len(keys)
            case _:
                return False
        wanted += below - 1
    return wanted == 0 and found == results


def built(items: list[Any], results: list[Any]) -> Any:
    """Returns results in their structure."""
    pending = reversed(results)
    done: list[Any] = []  # the first of several nodes stands on top
    for kind, *rest in reversed(items):
        if kind == "result":
            done.append(next(pending))
        elif kind == "value":
            done.append(rest[0])
        else:
            count = len(rest[0]) if kind == "dict" else rest[0]
            below = done[len(done) - count :][::-1]
            del done[len(done) - count :]
            if kind == "dict":
                done.append(dict(zip(rest[0], below, strict=True)))
            else:
                done.append(below if kind == "list" else tuple(below))
    return done[0]
