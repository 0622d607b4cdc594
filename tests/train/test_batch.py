"""What a batch means."""

from __future__ import annotations

from typing import Any

import pytest

from smelt.errors import ArgumentError
from smelt.train.batch import call, parts, split


def arguments(*positional: Any, **named: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return positional, named


@pytest.mark.parametrize(
    ("batch", "positional", "named"),
    [
        (("x", "y"), ("x",), {}),
        (["x", "y"], ("x",), {}),
        (("x", "mask", "y"), ("x", "mask"), {}),
        ((("x", "mask"), "y"), ("x", "mask"), {}),
        ((["x", "mask"], "y"), ("x", "mask"), {}),
        (({"x": 1, "mask": 2}, "y"), (), {"x": 1, "mask": 2}),
        (("x", {"mask": 2}, "y"), ("x",), {"mask": 2}),
        (({"a": 1}, {"b": 2}, "y"), (), {"a": 1, "b": 2}),
        ((("x", ("h", "c")), "y"), ("x", ("h", "c")), {}),
        (({"state": ("h", "c")}, "y"), (), {"state": ("h", "c")}),
        (((), "y"), (), {}),
        ((None, "y"), (None,), {}),
    ],
)
def test_what_stands_before_the_last_part_is_spread_over_the_arguments(
    batch: Any, positional: tuple[Any, ...], named: dict[str, Any]
) -> None:
    inputs, target = split(batch)
    assert call(arguments, *inputs) == (positional, named)
    assert target == "y"


@pytest.mark.parametrize("target", [("a", "b"), {"a": 1}, None, ["a"]])
def test_a_target_is_handed_on_as_it_is(target: Any) -> None:
    assert split(("x", target))[1] is target


@pytest.mark.parametrize(
    ("batch", "given"),
    [
        (("x", "mask", "y"), (("x", "mask", "y"), {})),
        ({"x": 1, "labels": 2}, ((), {"x": 1, "labels": 2})),
        ("x", (("x",), {})),
    ],
)
def test_a_model_that_returns_the_loss_is_given_the_whole_batch(batch: Any, given: Any) -> None:
    assert call(arguments, *parts(batch)) == given


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ({"x": 1, "y": 2}, r"keys: 'x', 'y'.*no last part; give batches of \(inputs, target\)"),
        (3.0, "a float has no target"),
        (("x",), "has 1 part; give"),
        ((), "has 0 parts; give"),
    ],
)
def test_a_batch_without_a_target_is_refused(batch: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        split(batch)


def test_keys_that_are_no_names_of_arguments_are_refused() -> None:
    with pytest.raises(ArgumentError, match="the key 3; its keys are names"):
        call(arguments, {3: "x"})
    with pytest.raises(ArgumentError, match="two dicts with the key 'x'"):
        call(arguments, {"x": 1}, {"x": 2})
