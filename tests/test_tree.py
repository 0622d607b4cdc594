"""Trees: what is taken apart comes together again, however deep it is."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from smelt import tree
from smelt.errors import ArgumentError


class Pair(NamedTuple):
    first: Any
    second: Any


@pytest.mark.parametrize(
    ("value", "leaves", "paths"),
    [
        (1, [1], [""]),
        (None, [], []),
        ((), [], []),
        ((1, 2), [1, 2], ["[0]", "[1]"]),
        ({"b": 1, "a": [2, None]}, [2, 1], ["['a'][0]", "['b']"]),
        (Pair([1], (2, {})), [1, 2], ["[0][0]", "[1][0]"]),
    ],
)
def test_apart_and_together(value: Any, leaves: list[Any], paths: list[str]) -> None:
    found, structure = tree.flatten(value)
    assert found == leaves
    assert tree.paths(structure) == paths
    again = tree.unflatten(structure, found)
    assert again == value
    assert type(again) is type(value)
    assert hash(structure) == hash(tree.flatten(value)[1])


def test_depth_has_no_limit() -> None:
    deep: Any = 1
    for _ in range(20_000):
        deep = [deep, None]
    leaves, structure = tree.flatten(deep)
    again = tree.flatten(tree.unflatten(structure, leaves))
    assert leaves == [1]
    assert again[1] == structure
    assert hash(again[1]) == hash(structure)


def test_a_container_in_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ArgumentError, match="contains itself"):
        tree.flatten(circle)
    shared = [1]
    assert tree.flatten([shared, shared])[0] == [1, 1]


@pytest.mark.parametrize(
    ("expected", "actual", "words"),
    [
        ([1, 2], [1, 2], ""),
        ([1, 2], [1], "it is a list of 1 instead of a list of 2"),
        ({"a": (1,)}, {"a": [1]}, "['a'] is a list of 1 instead of a tuple of 1"),
        ({"a": 1}, {"b": 1}, "it lacks the key 'a' and has the new key 'b'"),
        ((1, None), (1, 2), "[1] is a tensor instead of None"),
    ],
)
def test_the_first_difference(expected: Any, actual: Any, words: str) -> None:
    assert tree.difference(tree.flatten(expected)[1], tree.flatten(actual)[1]) == words


def test_leaves_are_counted() -> None:
    _, structure = tree.flatten([1, 2])
    for leaves, words in (([1], "too few"), ([1, 2, 3], "too many")):
        with pytest.raises(ArgumentError, match=words):
            tree.unflatten(structure, leaves)
