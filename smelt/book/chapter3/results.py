"""E3.18 to E3.22: results that may be errors, values that may be missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import smelt
import smelt.nn.functional as F
from smelt import nn
from smelt.book.entry import Page, entry


@dataclass(frozen=True)
class Failure:
    """What went wrong, as a value."""

    reason: str


def divide(a: float, b: float) -> float | Failure:
    """Returns the quotient, or why there is none."""
    return Failure("division by zero") if b == 0 else a / b


@entry("E3.18", "A result: a value, or an error")
def result(page: Page) -> None:
    """The type says that there may be no quotient, and the type checker insists on both cases.

    For floats neither library has a checked division (a footnote of the book names one; Rust has it
    for integers only): x / 0 is inf in Rust and in a tensor.
    """
    match divide(10.0, 0.0):
        case Failure(reason):
            page.print(f"error: {reason}")
        case quotient:
            page.print(quotient)
    page.claim("10 / 0", "error: division by zero", page.printed, "division by" in page.printed)
    quotient = divide(10.0, 4.0)
    page.claim("10 / 4", 2.5, quotient, quotient == 2.5)
    infinite = (smelt.tensor(10.0) / 0.0).item()
    page.claim("as tensors", "inf", infinite, infinite == float("inf"))


def described(value: int | None) -> str:
    """Returns a line that says whether there is a value."""
    return "no value found" if value is None else f"Value {value}"


@entry("E3.19", "An option: present or missing")
def option(page: Page) -> None:
    """`Option<i32>` is `int | None`: whoever uses the number has to ask whether there is one."""
    lines = [described(42), described(None)]
    page.print(*lines, sep="\n")
    page.claim("present", "Value 42", lines[0], lines[0] == "Value 42")
    page.claim("missing", "no value found", lines[1], lines[1] == "no value found")
    parameter = nn.Parameter(smelt.zeros(2))
    missing = parameter.grad is None
    page.claim("the gradient before any backward is missing", True, missing, missing)


def add_texts(a: str, b: str) -> int:
    """Returns the sum of two numbers in text; an error of `int` goes on to the caller by itself."""
    return int(a) + int(b)


@entry("E3.20", "An error that is passed on")
def propagation(page: Page) -> None:
    """Rust's `?` returns early with the error; a Python exception does so by itself.

    It passes through a compiled step too: a label out of range is found in native code and raised
    here, before anything was changed.
    """
    page.claim('"42" + "8"', 50, add_texts("42", "8"), add_texts("42", "8") == 50)
    caught = ""
    try:
        add_texts("42", "x")
    except ValueError:
        caught = "invalid number"
    page.print(f"error: {caught}")
    page.claim('"42" + "x"', "invalid number", caught, caught == "invalid number")

    step = smelt.compile(F.cross_entropy)
    try:
        step(smelt.zeros(2, 3), smelt.tensor([0, 7]))
        raised = "nothing"
    except smelt.errors.BoundsError as error:
        page.print(error)
        raised = "BoundsError"
    page.claim("label 7 of 3 classes, compiled", "BoundsError", raised, raised == "BoundsError")


class DataError(Enum):
    """What can be wrong with a number that was read."""

    OUT_OF_RANGE = "OutOfRange"
    NOT_A_NUMBER = "NotANumber"


class CheckError(ValueError):
    """A number that was refused, with the reason as a value that a program can look at."""

    def __init__(self, kind: DataError) -> None:
        super().__init__(kind.value)
        self.kind = kind


def checked(percent: float) -> float:
    """Returns a percentage if it is one."""
    if percent != percent:  # only NaN differs from itself
        raise CheckError(DataError.NOT_A_NUMBER)
    if not 0 <= percent <= 100:
        raise CheckError(DataError.OUT_OF_RANGE)
    return percent


@entry("E3.21", "An error type of one's own")
def own_errors(page: Page) -> None:
    """An enum lists what can go wrong, an exception carries which of it did.

    Smelt's own errors are a tree, so that a caller can catch one kind or all of them.
    """
    kinds = []
    for percent in (50.0, 120.0, float("nan")):
        try:
            checked(percent)
        except CheckError as error:
            page.print(f"error: {error.kind.value}")
            kinds.append(error.kind.value)
    page.claim("kinds", ["OutOfRange", "NotANumber"], kinds, kinds == ["OutOfRange", "NotANumber"])
    rooted = issubclass(smelt.errors.ShapeError, smelt.errors.SmeltError)
    page.claim("a ShapeError is a SmeltError", True, rooted, rooted)


def largest(numbers: Sequence[int]) -> int | None:
    """Returns the largest number, or None of an empty list."""
    return max(numbers, default=None)


@entry("E3.22", "The largest of a list, if there is one")
def maximum(page: Page) -> None:
    """The largest of nothing is missing; a tensor without elements says so by an error."""
    page.print(f"Maximum: {largest([3, 7, 2])}")
    page.claim("of [3, 7, 2]", 7, largest([3, 7, 2]), largest([3, 7, 2]) == 7)
    page.claim("of []", None, largest([]), largest([]) is None)
    refused = ""
    try:
        smelt.zeros(0).max()
    except smelt.errors.SmeltError as error:
        refused = str(error)
    page.print(f"error: {refused}")
    page.claim("of an empty tensor", "an error", refused and "an error", refused)
