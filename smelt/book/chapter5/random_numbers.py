"""E5.3: random numbers."""

from __future__ import annotations

import math

import smelt
from smelt.book.entry import Page, entry

MANY = 100_000


@entry("E5.3", "Random samples")
def draws(page: Page) -> None:
    """One number from U(-1, 1) and one from N(0, 1); the book does not fix a seed, we do.

    The other distributions that the text lists are drawn as well. That the generators are what
    they say is checked on 100,000 draws each: the mean must lie within five standard errors of
    the distribution's, so that a sound generator fails with one seed in 300,000.
    """
    page.print("uniform", smelt.uniform(-1.0, 1.0, ()).item())
    page.print("normal", smelt.randn(()).item())

    samples = {
        "U(-1, 1)": (smelt.uniform(-1.0, 1.0, (MANY,)), 0.0, 1 / math.sqrt(3)),
        "N(0, 1)": (smelt.randn(MANY), 0.0, 1.0),
        "exponential, rate 2": (smelt.exponential(2.0, (MANY,)), 0.5, 0.5),
        "Bernoulli, p = 0.3": (smelt.bernoulli(0.3, (MANY,)), 0.3, math.sqrt(0.21)),
        "Poisson, rate 4": (smelt.poisson(4.0, (MANY,), max_rate=4.0), 4.0, 2.0),
    }
    for name, (values, mean, deviation) in samples.items():
        found = values.to(smelt.float64).mean().item()
        error = deviation / math.sqrt(MANY)
        page.claim(f"mean of {name}", mean, found, abs(found - mean) < 5 * error)

    smelt.manual_seed(7)
    first = smelt.randn(3).tolist()
    smelt.manual_seed(7)
    again = smelt.randn(3).tolist()
    page.claim("the same seed draws the same numbers", first, again, first == again)
