"""E4.1, E4.2, T4.1: the sum of the squares of a million integers, in seven ways."""

from __future__ import annotations

import functools
import multiprocessing
import timeit
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np

import smelt
from smelt import plot
from smelt.book.entry import Page, entry

N = 1_000_000  # the book says "0 to 1,000,000"; its program sums 0..999,999
CORRECT = 333_332_833_333_500_000  # (N - 1) N (2 N - 1) / 6: beyond float64's whole numbers
FEW = 500  # elements for the pool that gets every number as a task of its own
WORKERS = 2
SMELT = {1: "Smelt, 1 thread", 2: "Smelt, 2 threads"}


def in_python() -> int:
    """One number after the other, by the interpreter."""
    return sum(number * number for number in range(N))


def in_numpy() -> int:
    """Two passes: an array of squares is written, then read."""
    numbers = np.arange(N)
    return int((numbers * numbers).sum())


@smelt.compile
def in_smelt() -> smelt.Tensor:
    """One native loop: neither the numbers nor their squares ever reach memory."""
    numbers = smelt.arange(N)  # int64, as Rust's u64: 3.3e17 fits
    return (numbers * numbers).sum()


def square(number: int) -> int:
    """The whole work of a task when every element is a task."""
    return number * number


def sum_of_squares(start: int, stop: int) -> int:
    """The work of a task when a chunk is one."""
    return sum(number * number for number in range(start, stop))


def seconds(call: Callable[[], object], rounds: int = 5) -> float:
    """Returns how long the quickest of some calls took."""
    return min(timeit.repeat(call, number=1, repeat=rounds))


@functools.cache
def native_times() -> dict[str, float]:
    """Returns seconds of Python, NumPy and Smelt, each in one process."""
    times = {"Python": seconds(in_python), "NumPy": seconds(in_numpy)}
    for threads in (1, 2):
        with smelt.settings(threads=threads):
            in_smelt()  # compiled once, outside the time
            times[SMELT[threads]] = seconds(in_smelt, 20)
    return times


@functools.cache
def pool_times() -> tuple[int, dict[str, float]]:
    """Returns the sum by chunks, and seconds: starting processes, in chunks, and per element."""
    context = multiprocessing.get_context("spawn")  # forking would copy locks of our threads
    bounds = [N * part // (4 * WORKERS) for part in range(4 * WORKERS + 1)]
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        started = seconds(lambda: list(pool.map(square, range(WORKERS))), 1)
        result = sum(pool.map(sum_of_squares, bounds[:-1], bounds[1:]))
        chunks = seconds(lambda: list(pool.map(sum_of_squares, bounds[:-1], bounds[1:])), 3)
        single = seconds(lambda: list(pool.map(square, range(FEW), chunksize=1)), 1)
    return result, {"start": started, "chunks": chunks, "one by one": single / FEW * N}


@entry("E4.1", "Sum of squares, serial and parallel, compiled")
def compiled_sum(page: Page) -> None:
    """Adds up 0^2 + 1^2 + ... + 999,999^2, as the book does in Rust with and without rayon.

    The step is traced once and becomes one native loop over vectors of 16 integers. With two
    threads it is cut into 32 parts, whose number does not depend on the threads: so any number of
    threads gives the same bits, of floats too. The book's serial version adds in 128 bits and its
    parallel one in 64, so its two times are not like for like; here both are int64.

    A native loop needs about a tenth of a nanosecond for a number, so a million of them is hardly
    work enough for a second thread, which has to be told first.
    """
    times = native_times()
    python = times["Python"]
    page.table(
        ["how", "seconds", "times as fast as Python"],
        [(how, f"{taken:.6f}", f"{python / taken:.2f}") for how, taken in times.items()],
    )
    for threads in (1, 2):
        with smelt.settings(threads=threads):
            result = in_smelt().item()
        page.claim(f"the sum by {SMELT[threads]}", CORRECT, result, result == CORRECT)
    gain = python / min(taken for how, taken in times.items() if how.startswith("Smelt"))
    page.claim("native against the interpreter", "> 20 times as fast", f"{gain:.0f}", gain > 20)
    arena = in_smelt.memory().arena
    page.claim("no array of numbers in memory", "< 10,000 bytes", arena, arena < 10_000)


@entry("E4.2", "Sum of squares in Python, serial and by a pool of processes")
def python_sum(page: Page) -> None:
    """The book's Python pool needs more than 600 s for what a plain loop does in 0.05 s.

    Not because Python cannot work in parallel: its program sends every number to another process
    as a task of its own. Each is pickled, goes through a pipe, wakes a process and comes back,
    for the sake of one multiplication. Given a *chunk* of numbers, a task costs the same and brings
    125,000 times as much work, and the pool is about as fast as its processes.

    Only the first 500 elements go one by one here; their time is scaled up to a million.
    """
    result, times = pool_times()
    serial = native_times()["Python"]
    page.table(
        ["how", "seconds", "remark"],
        [
            ("serial", f"{serial:.4f}", ""),
            (f"{WORKERS} processes, 8 chunks", f"{times['chunks']:.4f}", "pool already running"),
            (f"{WORKERS} processes, element by element", f"{times['one by one']:.1f}",
             f"from {FEW} elements"),
            ("starting the pool", f"{times['start']:.2f}", "imports Python and this library"),
        ],
    )  # fmt: skip
    page.claim("serial Python", CORRECT, in_python(), in_python() == CORRECT)
    page.claim("the pool, in chunks", CORRECT, result, result == CORRECT)
    ratio = times["one by one"] / times["chunks"]
    page.claim("chunks cure the pool", "> 50 times as fast", f"{ratio:.0f}", ratio > 50)


RUST = 0.0145  # seconds of the book's serial program
MORE_THAN = 600.0  # seconds after which the book stopped its pool
# the book's language, mode and seconds; what stands for it here
ROWS = [
    ("Rust", "serial", 0.0145, SMELT[1]),
    ("Rust", "parallel", 0.0019, SMELT[2]),
    ("Python", "serial", 0.0510, "Python"),
    ("Python", "parallel", MORE_THAN, "one by one"),
    ("Python", "parallel", MORE_THAN, "chunks"),
]


@entry("T4.1", "Sum of squares: the book's table and ours")
def table_of_times(page: Page) -> None:
    """The book's times (its machine has more cores) beside what this machine has just measured.

    Ratios compare; seconds do not. The book's last row is an artefact of its program (see E4.2); it
    gives "< 0.00002x", while 0.0145 / 600 is 0.000024.
    """
    times = {**native_times(), **pool_times()[1]}
    ours = times[SMELT[1]]
    page.table(
        ["language", "mode", "book: s", "against serial", "here", "s", "against serial"],
        [
            (language, mode, theirs if theirs < MORE_THAN else f"> {theirs:.0f}",
             f"{RUST / theirs:.3g}x", what, times[what], f"{ours / times[what]:.3g}x")
            for language, mode, theirs, what in ROWS
        ],
    )  # fmt: skip
    figure = plot.bars(
        {what: times[what] for *_, what in ROWS},
        reference={what: theirs for *_, theirs, what in ROWS},
        names=("here", "book"), unit="s", log=True, title="Sum of squares of a million integers",
    )  # fmt: skip
    page.figure("times", figure)
    order = [ours, times["NumPy"], times["Python"], times["one by one"]]
    rounded = [round(taken, 6) for taken in order]
    page.claim("native < NumPy < Python < a task each", "rising", rounded, order == sorted(order))
