"""T1.1: languages by energy, time and memory, and the two ends of the table measured here."""

from __future__ import annotations

import time
from collections.abc import Callable

import smelt
from smelt.book.entry import Page, entry

LANGUAGES = {  # energy, time (C = 1), memory (Pascal = 1); Pereira et al. 2017, as in the book
    "C": (1.00, 1.00, 1.17),
    "Rust": (1.03, 1.04, 1.54),
    "C++": (1.34, 1.56, 1.34),
    "Ada": (1.70, 1.85, 1.47),
    "Java": (1.95, 1.89, 6.01),
    "Pascal": (2.14, 3.02, 1.00),
    "Lisp": (2.27, 3.40, 1.92),
    "OCaml": (2.40, 3.09, 2.82),
    "Fortran": (2.52, 4.20, 1.24),
    "Haskell": (3.10, 3.55, 2.54),
    "C#": (3.14, 3.14, 2.58),
    "Go": (3.23, 2.83, 1.05),
    "F#": (4.13, 6.30, 4.25),
    "JavaScript": (4.45, 6.52, 4.59),
    "Racket": (7.91, 11.27, 3.52),
    "TypeScript": (21.50, 46.20, 4.69),
    "PHP": (29.30, 27.64, 2.57),
    "Ruby": (69.91, 59.34, 3.97),
    "Python": (75.88, 71.90, 2.80),
    "Perl": (79.58, 65.79, 6.62),
}
WIDTH, HEIGHT, TURNS = 96, 64, 50


@entry("T1.1", "Energy, time and memory of twenty languages")
def languages(page: Page) -> None:
    """The book's table, from a study of 2017 that ran the same programs in many languages.

    Its memory is a ratio to Pascal's, although the book reads it as megabytes. Energy cannot be
    measured here, but time can: one of the study's programs, the Mandelbrot set, once as a plain
    Python loop and once as a Smelt step, which is the same Python run once and compiled.
    """
    rows = [(name, *(f"{one:.2f}" for one in figures)) for name, figures in LANGUAGES.items()]
    page.table(["language", "energy", "time", "memory"], rows)
    energies = [energy for energy, _, _ in LANGUAGES.values()]
    ordered = len(rows) == 20 and energies == sorted(energies)
    page.claim("languages, the most frugal first", 20, len(rows), ordered)

    x = smelt.linspace(-2.0, 1.0, WIDTH, dtype=smelt.float64)  # (W,)
    y = smelt.linspace(-1.2, 1.2, HEIGHT, dtype=smelt.float64).unsqueeze(1)  # (H, 1)
    compiled = smelt.compile(count_inside)
    first, _ = timed(lambda: compiled(x, y).item())
    native, inside = min(timed(lambda: compiled(x, y).item()) for _ in range(20))
    python, expected = timed(lambda: count_inside_by_loops(x.tolist(), y.squeeze(1).tolist()))
    page.print(f"Python loop      {1e3 * python:8.2f} ms")
    page.print(f"compiled step    {1e3 * native:8.2f} ms, after a first call of {first:.2f} s")
    page.claim("both count the same points", expected, inside, inside == expected)
    ratio = python / native
    page.claim("Python's time against native (the study: 71.9)", "> 30", ratio, ratio > 30)


def count_inside(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
    """Returns how many (point, turn) pairs of z -> z^2 + (x + iy) stay within |z| <= 2."""
    a = b = smelt.zeros(HEIGHT, WIDTH, dtype=smelt.float64)
    inside = smelt.zeros(HEIGHT, WIDTH, dtype=smelt.int64)
    for _ in range(TURNS):
        a, b = a * a - b * b + x, 2 * a * b + y
        inside = inside + (a * a + b * b <= 4)
    return inside.sum()


def count_inside_by_loops(xs: list[float], ys: list[float]) -> int:
    """Returns the same, a number at a time."""
    inside = 0
    for y in ys:
        for x in xs:
            a = b = 0.0
            for _ in range(TURNS):
                a, b = a * a - b * b + x, 2 * a * b + y
                inside += a * a + b * b <= 4
    return inside


def timed(work: Callable[[], int]) -> tuple[float, int]:
    """Returns seconds and result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result
