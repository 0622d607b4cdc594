"""T4.2: Python and Rust side by side, and where a compiled step stands."""

from __future__ import annotations

import threading
import time
import timeit
import weakref

import smelt
from smelt.book.entry import Page, entry

ROUNDS = 3000

TABLE = [
    ("speed", "moderate; depends on C libraries", "very high",
     "native after the first call, whole step at once"),
    ("memory", "garbage collected", "ownership, deterministic",
     "freed with the last name; a step's peak known before it runs; donated tensors move"),
    ("concurrency", "held back by the GIL", "thread-safe by design",
     "native code holds no GIL; results do not depend on the number of threads"),
    ("AI ecosystem", "mature: scikit-learn, TensorFlow, PyTorch",
     "growing: Autograd.rs, Candle, Burn, Linfa", "PyTorch's names, NumPy's arrays, safetensors"),
    ("learning curve", "easy", "moderate", "Python; a step is checked when it is traced"),
]  # fmt: skip


@smelt.compile
def work(x: smelt.Tensor) -> smelt.Tensor:
    """Some arithmetic that takes a while: a square of a matrix, its row sums' mean."""
    return (x @ x).sum(1).mean()


def seconds_of_squares() -> tuple[float, float]:
    """Returns how long a sum of 100,000 squares takes the interpreter, and a compiled step."""
    numbers = list(range(100_000))
    tensor = smelt.tensor(numbers)
    squares = smelt.compile(lambda x: (x * x).sum())
    squares(tensor)
    python = timeit.repeat(lambda: sum(n * n for n in numbers), number=1, repeat=5)
    return min(python), min(timeit.repeat(lambda: squares(tensor), number=1, repeat=20))


def ticks_beside(x: smelt.Tensor) -> tuple[int, float]:
    """Returns how often Python's main thread got to run while another was in native code."""
    thread = threading.Thread(target=work.repeat, args=(ROUNDS, x))
    start, ticks = time.perf_counter(), 0
    thread.start()
    while thread.is_alive():
        time.sleep(0.001)
        ticks += 1
    return ticks, time.perf_counter() - start


@entry("T4.2", "Python and Rust, and a compiled step")
def table_of_languages(page: Page) -> None:
    """The book's qualitative table, with a column for Python whose steps are compiled.

    Three of its lines can be measured at once: speed, when memory is given back, and whether Python
    goes on while native code runs.
    """
    page.table(["aspect", "Python", "Rust", "Smelt"], TABLE)
    python, native = seconds_of_squares()
    page.print(f"speed: native {python / native:.0f} times as fast as the interpreter")
    page.claim("speed", "> 10 times Python", f"{python / native:.0f}", python > 10 * native)

    tensor = smelt.ones(1000)
    gone = weakref.ref(tensor)
    del tensor
    fate = "gone" if gone() is None else "kept"
    page.claim("memory goes with the last name", "gone", fate, fate == "gone")

    with smelt.settings(threads=1):
        work(smelt.rand(128, 128))
    ticks, taken = ticks_beside(smelt.rand(128, 128))
    per_second = ticks / taken
    page.print(f"concurrency: {ticks} turns of the main thread in {taken:.2f} s of native code")
    page.claim(
        "Python runs beside native code", "> 100 turns a second", f"{per_second:.0f}",
        per_second > 100,
    )  # fmt: skip
