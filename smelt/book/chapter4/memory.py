"""E4.b, P4.3: when memory is taken, and when it is given back."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable

import numpy as np

import smelt
from smelt.book.entry import Page, entry

BYTES = 100_000_000

ANSWER = """
In Rust a value is dropped where its owner's scope ends; that is decided when the program is
compiled. CPython counts references while it runs, and frees an object the moment that the
last one goes: at the end of a function for what only its names hold, so the pictures are
the same in both languages. The difference is in objects that refer to each other in a
ring. Their counts never get to 0; they wait for the cyclic collector, which comes when it
thinks it time. Arrays and tensors hold no references, so they cannot be part of a ring by
themselves, but a ring that holds one keeps it alive.

A list of floats needs four times the bytes of an array: 8 for the place and 24 for each
object. And within a compiled step there are no scopes at all: how long each intermediate
value lives is known before the first run, places are used again, and the peak is a number
that can be read off (`step.memory().peak`).
"""


@entry("E4.b", "A hundred million zero bytes")
def zero_bytes(page: Page) -> None:
    """Takes 100,000,000 bytes, prints how many there are and their sum, and gives them back.

    The memory is given back with the name, without any collector: CPython counts references, and
    that was the last one. What the compiler can see through needs no memory at all: in a compiled
    step the same sum never has the zeros anywhere.
    """
    tracemalloc.start()
    zeros = np.zeros(BYTES, np.uint8)
    held, _ = tracemalloc.get_traced_memory()
    length, total = len(zeros), int(zeros.sum())
    del zeros
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    page.print("length", length)
    page.print("sum", total)
    page.print(f"held {held:,} bytes, {left:,} after the name is gone")

    step = smelt.compile(lambda: smelt.zeros(BYTES // 4, dtype=smelt.int32).sum())
    compiled, needed = step().item(), step.memory().peak
    page.print(f"compiled: sum {compiled}, {needed:,} bytes needed")
    page.claim("length", BYTES, length, length == BYTES)
    page.claim("sum", 0, total, total == 0 and compiled == 0)
    page.claim("all of it is held", f">= {BYTES}", held, held >= BYTES)
    page.claim("and given back with the name", "< 1 % of it", left, left < BYTES // 100)
    page.claim("a compiled sum of zeros", "< 100,000 bytes", needed, needed < 100_000)


def traced(make: Callable[[], object]) -> tuple[int, int]:
    """Returns the bytes held inside a scope that makes something, and those left after it."""
    tracemalloc.start()

    def scope() -> int:
        thing = make()
        inside, _ = tracemalloc.get_traced_memory()
        del thing
        return inside

    inside = scope()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return inside, after


class Ring:
    """A record that refers to itself, so that its count of references never gets to 0."""

    def __init__(self) -> None:
        self.me = self


def fate_of_a_ring() -> tuple[bool, bool]:
    """Returns whether a ring is still there without its name, and gone after a collection."""
    gc.disable()
    ring = Ring()
    watch = weakref.ref(ring)
    del ring
    waits = watch() is not None
    gc.enable()
    gc.collect()
    return waits, watch() is None


@entry("P4.3", "Memory and scopes")
def scopes(page: Page) -> None:
    """Makes a large list, array and tensor within a function, and looks at memory after it."""
    makers: dict[str, Callable[[], object]] = {
        "list of a million floats": lambda: [float(number) for number in range(1_000_000)],
        "NumPy array of a million floats": lambda: np.ones(1_000_000),
        "tensor of a million floats": lambda: smelt.ones(1_000_000, dtype=smelt.float64),
    }
    measured = {name: traced(make) for name, make in makers.items()}
    page.table(
        ["what", "bytes inside", "bytes after the scope"],
        [(name, f"{inside:,}", f"{after:,}") for name, (inside, after) in measured.items()],
    )
    waits, collected = fate_of_a_ring()
    page.answer(ANSWER)
    for name, (inside, after) in measured.items():
        freed = inside >= 8_000_000 and after < 200_000
        page.claim(f"{name}: freed with its scope", "after < 200,000", after, freed)
    ratio = measured["list of a million floats"][0] / measured["tensor of a million floats"][0]
    page.claim("a list against a tensor", "about 4 times the bytes", ratio, 3 < ratio < 5)
    page.claim("a ring waits for the collector, and goes with it", (True, True), (waits, collected),
               waits and collected)  # fmt: skip
