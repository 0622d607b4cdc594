"""P2.1 and P2.2: a derivative, and an array."""

from __future__ import annotations

from itertools import pairwise

import smelt
from smelt.book.entry import Page, entry


@entry("P2.1", "The derivative of x^3 at 4")
def cube(page: Page) -> None:
    """By reverse mode, by hand, (x^3)' = 3 x^2 = 48 at x = 4, and by what a derivative is:

        f'(x) = lim (f(x + h) - f(x)) / h  for h -> 0

    An h ten times smaller brings the quotient ten times nearer.
    """
    x = smelt.tensor(4.0, requires_grad=True)
    y = x**3
    y.backward()
    by_hand = 3 * 4.0**2
    page.print(f"y = {y.item()}, dy/dx = {x.grad}, by hand {by_hand}")
    page.claim("derivative", 48.0, x.grad, x.grad == by_hand == 48.0)
    errors = [abs(((4.0 + h) ** 3 - 4.0**3) / h - 48.0) for h in (0.1, 0.01, 0.001)]
    page.claim("(f(4 + h) - f(4)) / h - 48 for h = 0.1, 0.01, 0.001", "falls like h", errors,
               all(9 < a / b < 11 for a, b in pairwise(errors)))  # fmt: skip


@entry("P2.2", "The array [5, 10, 15]")
def array(page: Page) -> None:
    """Made from a list, and the same by arithmetic."""
    listed = smelt.tensor([5, 10, 15])
    computed = 5 * smelt.arange(1, 4)
    page.print(listed)
    page.claim("values", [5, 10, 15], listed, listed.tolist() == [5, 10, 15])
    page.claim("5 (1, 2, 3) is the same", [5, 10, 15], computed, smelt.equal(listed, computed))
