"""P2.1 and P2.2: a derivative, and an array."""

from __future__ import annotations

import smelt
from smelt.book.entry import Page, entry


@entry("P2.1", "The derivative of x^3 at 4")
def cube(page: Page) -> None:
    """By reverse mode, and by hand: (x^3)' = 3 x^2 = 48 at x = 4."""
    x = smelt.tensor(4.0, requires_grad=True)
    y = x**3
    y.backward()
    by_hand = 3 * 4.0**2
    page.print(f"y = {y.item()}, dy/dx = {x.grad}, by hand {by_hand}")
    page.claim("derivative", 48.0, x.grad, x.grad == by_hand == 48.0)


@entry("P2.2", "The array [5, 10, 15]")
def array(page: Page) -> None:
    """Made from a list, and the same by arithmetic."""
    listed = smelt.tensor([5, 10, 15])
    computed = 5 * smelt.arange(1, 4)
    page.print(listed)
    page.claim("values", [5, 10, 15], listed, listed.tolist() == [5, 10, 15])
    page.claim("5 (1, 2, 3) is the same", [5, 10, 15], computed, smelt.equal(listed, computed))
