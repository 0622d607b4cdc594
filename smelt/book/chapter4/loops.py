"""P4.1: a plain loop over a hundred million numbers."""

from __future__ import annotations

from time import perf_counter

import smelt
from smelt.book.entry import Page, entry

N = 100_000_000
CORRECT = N * (N + 1) // 2  # 5,000,000,050,000,000
FEWER = 1_000_000


@smelt.compile
def native_sum() -> smelt.Tensor:
    """1 + 2 + ... + N as one native loop; no array is made."""
    return smelt.arange(1, N + 1).sum()


def python_sum(last: int) -> int:
    """The same loop, one number at a time, by the interpreter."""
    total = 0
    for number in range(1, last + 1):
        total += number
    return total


@entry("P4.1", "1 + 2 + ... + 100,000,000 in a loop")
def long_loop(page: Page) -> None:
    """Adds a hundred million integers natively, and a hundredth of them in Python."""
    native_sum()  # compiles
    start = perf_counter()
    result = native_sum().item()
    native = perf_counter() - start
    start = perf_counter()
    fewer = python_sum(FEWER)
    python = (perf_counter() - start) * (N // FEWER)
    page.print(f"native: {native:8.4f} s")
    page.print(f"Python: {python:8.4f} s (measured for 1 to {FEWER:,}, times {N // FEWER})")
    page.answer("""
        Python looks up, at every turn, what `+` means for the two objects that `total` and `number`
        happen to be at that moment, makes a new integer object for the sum, and drops the old one:
        some fifty machine instructions, and none of them the addition that was wanted. The compiled
        loop knows its types before it runs. It keeps 16 sums in one vector register, several of
        those at a time, and adds them up at the end: less than one instruction for each number.

        A compiler may go further and replace the loop by n (n + 1) / 2. Ours does not; nor does a
        benchmark that wants to measure a loop profit from one that does.
    """)
    page.claim("the native sum", CORRECT, result, result == CORRECT)
    right = FEWER * (FEWER + 1) // 2
    page.claim(f"Python's sum of {FEWER:,}", right, fewer, fewer == right)
    page.claim(
        "native against Python",
        "> 20 times as fast",
        f"{python / native:.0f}",
        python > 20 * native,
    )
