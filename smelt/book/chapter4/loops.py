"""P4.1: a plain loop over a hundred million numbers."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import smelt
from smelt.book.entry import Page, entry

N = 100_000_000
CORRECT = N * (N + 1) // 2  # 5,000,000,050,000,000
FEWER = 1_000_000

ANSWER = """
Python looks up, at every turn, what `+` means for the two objects that `total` and `number`
happen to be at that moment, makes a new integer object for the sum, and drops the old one: some
hundred machine instructions, of which one is the addition that was wanted. The compiled `while`
makes the same turns, but it knows its types before it runs, and makes no objects. The compiled
sum need not even go one by one: it keeps 16 sums in a vector, several of those at a time, and
adds them up at the end, with less than one instruction for each number.

A compiler may go further and replace the loop by n (n + 1) / 2. Ours does not; a benchmark that
wants to measure a loop would measure nothing then.
"""


@smelt.compile
def native_while() -> smelt.Tensor:
    """The loop as it is written: one number a turn."""
    zero = smelt.tensor(0)
    _, total = smelt.while_loop(
        lambda carry: carry[0] < N,
        lambda carry: (carry[0] + 1, carry[1] + carry[0] + 1),
        (zero, zero),
    )
    return total


@smelt.compile
def native_sum() -> smelt.Tensor:
    """1 + 2 + ... + N as a sum whose order is free; no array is made."""
    return smelt.arange(1, N + 1).sum()


def python_sum(last: int) -> int:
    """The same loop, one number at a time, by the interpreter."""
    total = 0
    for number in range(1, last + 1):
        total += number
    return total


def timed(call: Callable[[], object]) -> float:
    """Returns how many seconds a call takes."""
    start = perf_counter()
    call()
    return perf_counter() - start


@entry("P4.1", "1 + 2 + ... + 100,000,000 in a loop")
def long_loop(page: Page) -> None:
    """Adds a hundred million integers natively, and a hundredth of them in Python."""
    results = {"a compiled while": native_while().item(), "a compiled sum": native_sum().item()}
    times = {"a compiled while": timed(native_while), "a compiled sum": timed(native_sum)}
    python = timed(lambda: python_sum(FEWER)) * (N // FEWER)
    page.table(
        ["loop", "seconds", "times as fast as Python"],
        [(name, f"{taken:.4f}", f"{python / taken:.0f}") for name, taken in times.items()]
        + [(f"Python (1 to {FEWER:,}, times {N // FEWER})", f"{python:.2f}", "1")],
    )
    page.answer(ANSWER)
    for name, result in results.items():
        page.claim(name, CORRECT, result, result == CORRECT)
    fewer = python_sum(FEWER)
    right = FEWER * (FEWER + 1) // 2
    page.claim(f"Python's sum of {FEWER:,}", right, fewer, fewer == right)
    for name, least in (("a compiled while", 2), ("a compiled sum", 20)):
        gain = python / times[name]
        page.claim(f"{name} against Python", f"> {least} times", f"{gain:.0f}", gain > least)
