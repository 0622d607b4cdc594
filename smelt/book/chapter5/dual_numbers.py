"""E5.d, E5.5, E5.6, T5.1, T5.2, P5.1: forward-mode differentiation by dual numbers."""

from __future__ import annotations

import math
from typing import Any

import smelt
from smelt import dual
from smelt.book.entry import Page, entry
from smelt.dual import Dual


def pair(number: Dual) -> tuple[float, float]:
    """The value of a dual number and its derivative."""
    return number.x.item(), number.dx.item()


@entry("E5.d", "Dual numbers")
def duals(page: Page) -> None:
    """A dual number x + dx eps with eps^2 = 0 carries a value and a derivative.

    A constant c has the derivative 0, so (c u)' = c u'. Lists of dual numbers are vectors, and
    lists of rows are matrices.
    """
    y = Dual(3.5, 2.0)
    product = Dual(3.0, 1.0) * dual.cst(5.0)
    part = [Dual(1.0, 0.2), Dual(3.9, 5.8)]
    vector = [Dual(1.0, 0.1), Dual(2.0, 0.2), Dual(3.0, 0.3)]
    page.print("y =", y)
    page.print("(3, 1) * 5 =", product)
    page.print("slice:", part)
    page.print("vector:", vector)
    page.claim("y", (3.5, 2.0), pair(y), pair(y) == (3.5, 2.0))
    page.claim("(3, 1) * 5", (15.0, 5.0), pair(product), pair(product) == (15, 5))
    slopes = [one.dx.item() for one in vector]
    page.claim("derivatives of the vector", [0.1, 0.2, 0.3], slopes, slopes == [0.1, 0.2, 0.3])
    constant = pair(dual.cst(5.0))
    page.claim("a constant", (5.0, 0.0), constant, constant == (5, 0))


@entry("T5.1", "The kinds of dual numbers")
def kinds(page: Page) -> None:
    """The book's library has a name for each container of duals; in Python they are lists."""
    scalar = Dual(3.5, 2.0)
    matrix = [[Dual(1.0, 0.1), Dual(2.0, 0.2)], [Dual(3.0, 0.3), Dual(4.0, 0.4)]]
    page.table(
        ["kind", "in Smelt", "example"],
        [
            ["scalar", "Dual", repr(scalar)],
            ["slice", "part of a list", repr(matrix[0][:1])],
            ["vector", "list of Dual", repr(matrix[0])],
            ["matrix", "list of rows", repr(matrix)],
        ],
    )
    total = sum((one for row in matrix for one in row), dual.cst(0.0))
    value, slope = pair(total)
    right = math.isclose(value, 10) and math.isclose(slope, 1)
    page.claim("sum of the matrix: value and derivative", (10.0, 1.0), (value, slope), right)


@entry("E5.5", "Derivative of a function of one variable")
def one_variable(page: Page) -> None:
    """`diff` evaluates a function once, at x + 1 eps, and reads the derivative off.

    The book's own function is not known. Ours uses all the functions that it names as methods:
    f(x) = sin(x) exp(x) + ln(x) sqrt(x), with f'(x) = exp(x) (sin x + cos x) + (ln x + 2) / (2
    sqrt x).
    """

    def f(x: Any) -> Any:
        return x.sin() * x.exp() + x.ln() * x.sqrt()

    x = 2.0
    slope = dual.diff(f, x).item()
    by_hand = math.exp(x) * (math.sin(x) + math.cos(x)) + (math.log(x) + 2) / (2 * math.sqrt(x))
    page.print(f"f({x}) = {f(Dual(x)).x.item():.10f}")
    page.print(f"f'({x}) = {slope:.10f}")
    page.claim("f'(2), by hand", by_hand, slope, math.isclose(slope, by_hand, rel_tol=1e-14))


def f(v: Any) -> Any:
    """The function v0 sin(v1) + v1^2 of the list [v0, v1]."""
    return v[0] * v[1].sin() + v[1] ** 2


@entry("E5.6", "Gradient of a function of two variables")
def two_variables(page: Page) -> None:
    """`grad` gives all partial derivatives of f(v0, v1) = v0 sin(v1) + v1^2 at (1, 2).

    By hand: df/dv0 = sin 2 and df/dv1 = cos 2 + 4. Reverse mode, which the book meets later, gives
    the same numbers.
    """
    partials = [one.item() for one in dual.grad(f, [1.0, 2.0])]
    page.print("gradient at (1, 2):", partials)
    for place, expected in enumerate((0.9092974268, 3.5838531635)):
        found = f"{partials[place]:.10f}"
        page.claim(f"df/dv{place}", f"{expected:.10f}", found, float(found) == expected)
    reverse = smelt.grad(f)(smelt.tensor([1.0, 2.0], dtype=smelt.float64)).tolist()
    same = all(map(math.isclose, partials, reverse))
    page.claim("reverse mode agrees", partials, reverse, same)


@entry("T5.2", "How to use grad")
def usage(page: Page) -> None:
    """What the function takes, what is called, what comes back."""
    gradient = dual.grad(f, [1.0, 2.0])
    page.table(
        ["part", "in Smelt", "here"],
        [
            ["input of f", "a list of Duals", "v[0], v[1]"],
            ["functions", "methods, or smelt.dual", "v[1].sin(), dual.sin(v[1])"],
            ["call", "dual.grad(f, point)", "dual.grad(f, [1.0, 2.0])"],
            ["result", "a list of partial derivatives", [one.item() for one in gradient]],
        ],
    )
    method, function = dual.diff(lambda x: x.sin(), 2.0).item(), dual.diff(dual.sin, 2.0).item()
    page.claim("method and function agree", method, function, method == function)
    page.claim("partial derivatives, one a variable", 2, len(gradient), len(gradient) == 2)


@entry("P5.1", "A dual number through a polynomial")
def polynomial(page: Page) -> None:
    """f(x) = 3x^2 + 2x + 1: the dual number comes out as f(x) and (6x + 2) x'."""
    for x, expected in ((2.0, (17.0, 14.0)), (3.0, (34.0, 20.0))):
        v = Dual(x, 1.0)
        found = pair(3 * v**2 + 2 * v + 1)
        page.print(f"f({x} + eps) = {found[0]} + {found[1]} eps")
        page.claim(f"value and derivative at {x:g}", expected, found, found == expected)
