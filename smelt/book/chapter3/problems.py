"""P3.1 to P3.5: moving, changing through a reference, matching, areas, squares."""

from __future__ import annotations

import math
from dataclasses import dataclass

import smelt
from smelt.book.entry import Page, entry


@entry("P3.1", "A printer that consumes, and one that borrows")
def consuming(page: Page) -> None:
    """The text "Rust is great!", as a tensor of letters, goes into a function that keeps it; the
    second use is an error that names the line. A function that only looks gives it back.
    """
    letters = smelt.tensor(list(b"Rust is great!"))
    look = smelt.compile(lambda letters: letters + 0)
    consume = smelt.compile(lambda letters: letters + 0, donate=0)

    page.print(text_of(look(letters)))
    page.print(text_of(look(letters)))
    borrowed = page.printed.splitlines()
    expected = 2 * ["Rust is great!"]
    page.claim("borrowed twice", expected, borrowed, borrowed == expected)

    page.print(text_of(consume(letters)))
    refused = ""
    try:
        look(letters)
    except smelt.errors.MovedError as error:
        refused = str(error)
    page.print(f"error: {refused}")
    page.claim("used again after it was moved", "MovedError", refused and "MovedError", refused)


def text_of(letters: smelt.Tensor) -> str:
    """Returns the text of a tensor of letters."""
    return bytes(letters.tolist()).decode()


@entry("P3.2", "A counter changed through a reference")
def counter(page: Page) -> None:
    """A function adds 1 to the caller's counter: possible for state, refused for a value."""
    state = smelt.zeros((), dtype=smelt.int64)

    @smelt.compile
    def add_one() -> None:
        state.copy_(state + 1)

    add_one()
    page.print(f"counter {state.item()}")
    page.claim("counter", 1, state, state.item() == 1)
    add_one.repeat(99)
    page.claim("after 99 more in one native call", 100, state, state.item() == 100)
    values = smelt.tensor([0])
    refused = ""
    try:
        values[0] = values[0] + 1
    except smelt.errors.AssignmentError as error:
        refused = str(error)
    page.print(f"error: {refused}")
    page.claim("an element of a value", "refused", refused and "refused", refused)


def describe_number(number: int) -> str:
    """Returns the sign of a number as a word."""
    match number:
        case 0:
            return "zero"
        case _ if number < 0:
            return "negative"
        case _:
            return "positive"


@entry("P3.3", "Negative, zero, positive")
def signs(page: Page) -> None:
    """Matches with a guard, number by number; `sign` says it of a whole tensor."""
    words = [describe_number(number) for number in (-7, 0, 42)]
    page.print(*words)
    expected = ["negative", "zero", "positive"]
    page.claim("of -7, 0, 42", expected, words, words == expected)
    signs = smelt.sign(smelt.tensor([-7, 0, 42]))
    page.claim("as a tensor", [-1, 0, 1], signs, signs.tolist() == [-1, 0, 1])


@dataclass(frozen=True)
class Circle:
    """A circle of radius r."""

    r: float


@dataclass(frozen=True)
class Rectangle:
    """A rectangle w wide and h high."""

    w: float
    h: float


def area(shape: Circle | Rectangle) -> float:
    """Returns pi r^2, or w h."""
    match shape:
        case Circle(r):
            return math.pi * r**2
        case Rectangle(w, h):
            return w * h


@entry("P3.4", "Areas of a circle and a rectangle")
def areas(page: Page) -> None:
    """A shape is one of two records; the area depends on which."""
    circle, rectangle = area(Circle(3.0)), area(Rectangle(4.0, 2.5))
    page.print(f"circle {circle:.4f}, rectangle {rectangle}")
    page.claim("circle of radius 3", 28.2743, circle, abs(circle - 28.2743) < 5e-5)
    page.claim("rectangle 4 x 2.5", 10.0, rectangle, rectangle == 10.0)


@entry("P3.5", "Squares of a list")
def squares(page: Page) -> None:
    """Maps a closure over a list, and squares a tensor at once."""
    numbers = [1, 2, 3, 4, 5]
    squared = [number**2 for number in numbers]
    page.print(numbers, squared)
    page.claim("squares", [1, 4, 9, 16, 25], squared, squared == [1, 4, 9, 16, 25])
    tensor = smelt.tensor(numbers) ** 2
    page.claim("as a tensor", [1, 4, 9, 16, 25], tensor, tensor.tolist() == squared)
