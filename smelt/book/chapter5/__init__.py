"""Chapter 5: perceptrons, dual numbers, and a first network that learns (or does not)."""

from smelt.book.chapter5 import (
    dual_numbers,
    forward_pass,
    max_of_three,
    max_of_three_cured,
    perceptron,
    pictures,
    problems,
    random_numbers,
)

__all__ = [
    "dual_numbers",
    "forward_pass",
    "max_of_three",
    "max_of_three_cured",
    "perceptron",
    "pictures",
    "problems",
    "random_numbers",
]
