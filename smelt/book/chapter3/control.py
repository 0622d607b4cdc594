"""E3.7 to E3.13: branches, loops, functions, closures."""

from __future__ import annotations

import smelt
from smelt.book.entry import Page, entry


@entry("E3.7", "If and else")
def branch(page: Page) -> None:
    """A branch of Python looks at a value, so it cannot be part of a compiled step; `where` can.

    It chooses for every element: both sides are computed, and one is taken.
    """
    temperature = 30
    if temperature > 25:
        page.print("It is hot outside.")
    else:
        page.print("It is not hot outside.")
    page.claim("branch taken", "hot outside", page.printed, "It is hot" in page.printed)

    feel = smelt.compile(lambda degrees: smelt.where(degrees > 25, 1, 0))
    hot = feel(smelt.tensor([30, 20, 26]))
    page.print(f"30, 20 and 26 degrees in a compiled step: {hot.tolist()}")
    page.claim("hot days", [1, 0, 1], hot, hot.tolist() == [1, 0, 1])


def name_of(value: int) -> str:
    """Returns a number's name, for those that have an arm."""
    match value:
        case 1:
            return "One"
        case 2:
            return "Two"
        case _:
            return "Something else"


@entry("E3.8", "Matching a pattern, with a wildcard")
def pattern(page: Page) -> None:
    """The first arm that fits is taken; `_` fits everything."""
    page.print(name_of(2))
    page.claim("arm for 2", "Two", name_of(2), name_of(2) == "Two")
    page.claim("arm for 9", "Something else", name_of(9), name_of(9) == "Something else")


@entry("E3.9", "A loop without end, and break")
def endless(page: Page) -> None:
    """Counts 0, 1, 2 and leaves."""
    counter = 0
    while True:
        if counter == 3:
            break
        page.print(f"Counter {counter}")
        counter += 1
    lines = page.printed.splitlines()
    page.claim("lines", "Counter 0, 1, 2", lines, lines == [f"Counter {n}" for n in range(3)])


@entry("E3.10", "While")
def countdown(page: Page) -> None:
    """Counts down from 5."""
    number = 5
    while number > 0:
        page.print(number)
        number -= 1
    page.claim("lines", [5, 4, 3, 2, 1], page.printed, page.printed.split() == list("54321"))


@entry("E3.11", "For, over a range")
def ranges(page: Page) -> None:
    """A range leaves its end out; Rust's `1..=4` takes it along."""
    half_open = list(range(1, 4))
    inclusive = list(range(1, 4 + 1))
    page.print(half_open, inclusive)
    page.claim("1..4", [1, 2, 3], half_open, half_open == [1, 2, 3])
    page.claim("1..=4", [1, 2, 3, 4], inclusive, inclusive == [1, 2, 3, 4])
    tensor = smelt.arange(1, 4)
    page.claim("as a tensor", [1, 2, 3], tensor, tensor.tolist() == half_open)


def add(a: int, b: int) -> int:
    """Returns the sum."""
    return a + b


@entry("E3.12", "A function")
def function(page: Page) -> None:
    """Rust returns the last expression; Python says `return`. Compiled, it is the same function."""
    page.print(add(5, 3))
    page.claim("add(5, 3)", 8, add(5, 3), add(5, 3) == 8)
    compiled = smelt.compile(add)(5, 3)
    page.claim("compiled", 8, compiled, compiled.item() == 8)


@entry("E3.13", "A closure, mapped over a list")
def closure(page: Page) -> None:
    """Squares four numbers one by one; `vmap` turns the same closure into one operation on all."""
    exponent = 2

    def power(x: smelt.Tensor | int) -> smelt.Tensor | int:
        return x**exponent

    squares = list(map(power, [1, 2, 3, 4]))
    page.print(squares)
    page.claim("squares", [1, 4, 9, 16], squares, squares == [1, 4, 9, 16])
    at_once = smelt.vmap(power)(smelt.tensor([1, 2, 3, 4]))
    page.claim("by vmap", [1, 4, 9, 16], at_once, at_once.tolist() == squares)
