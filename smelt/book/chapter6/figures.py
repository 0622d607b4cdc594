"""F6.1, F6.2: three ways to use time, and a deadlock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from smelt import plot
from smelt.book.entry import Page, entry
from smelt.data import Channel

TASK = 0.02  # seconds of a piece of work
PIECES = 2

Lanes = dict[str, list[tuple[float, float, str]]]


class Recorder:
    """Notes which thread worked on what, from when to when."""

    def __init__(self) -> None:
        self.begin = time.perf_counter()
        self.lanes: Lanes = {}

    def work(self, thread: str, label: str) -> None:
        """Works for a while, and notes it."""
        start = time.perf_counter() - self.begin
        time.sleep(TASK)
        bar = (start, time.perf_counter() - self.begin, label)
        self.lanes.setdefault(thread, []).append(bar)

    @property
    def end(self) -> float:
        """When the last piece of work ended."""
        return max(end for bars in self.lanes.values() for _, end, _ in bars)


def sequential() -> Recorder:
    """One thread does all pieces, one after the other."""
    recorder = Recorder()
    for label in ("A1", "A2", "B1", "B2"):
        recorder.work("thread", label)
    return recorder


def concurrent() -> Recorder:
    """Two threads; B1 consumes what A2 produces, so it has to wait for it."""
    recorder = Recorder()
    channel: Channel[str] = Channel(1)

    def producer() -> None:
        recorder.work("A", "A1")
        recorder.work("A", "A2")
        channel.send("result of A2")

    def consumer() -> None:
        channel.receive()
        recorder.work("B", "B1")
        recorder.work("B", "B2")

    run_all(producer, consumer)
    return recorder


def parallel() -> Recorder:
    """Two threads that need nothing of each other."""
    recorder = Recorder()

    def lane(name: str) -> None:
        for number in range(1, PIECES + 1):
            recorder.work(name, f"{name}{number}")

    run_all(lambda: lane("A"), lambda: lane("B"))
    return recorder


def run_all(*functions: Callable[[], None]) -> None:
    """Runs each function in a thread, and waits for all."""
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@entry("F6.1", "Sequential, concurrent and parallel")
def timelines(page: Page) -> None:
    """Four pieces of work, as three programs really did them a moment ago.

    *Sequential*: one after the other. *Concurrent*: two threads, but B1 consumes what A2 produces,
    so B waits; two threads do not make it faster. *Parallel*: the threads need nothing of each
    other, and run at the same time.
    """
    runs = {"sequential": sequential(), "concurrent": concurrent(), "parallel": parallel()}
    lanes = {name: recorder.lanes for name, recorder in runs.items()}
    page.figure("timelines", plot.timelines(lanes))
    ends = {name: round(recorder.end, 3) for name, recorder in runs.items()}
    page.claim("sequential: the sum of all pieces", f">= {4 * TASK}", ends["sequential"],
               runs["sequential"].end >= 4 * TASK)  # fmt: skip
    a2, b1 = lanes["concurrent"]["A"][1], lanes["concurrent"]["B"][0]
    page.claim("concurrent: B1 begins after A2", f">= {a2[1]:.4f}", f"{b1[0]:.4f}", b1[0] >= a2[1])
    most = 0.8 * runs["sequential"].end
    page.claim("parallel: faster than sequential", f"< {most:.3f}", ends["parallel"],
               runs["parallel"].end < most)  # fmt: skip


def take_two(order: list[tuple[int, int]], patience: float) -> list[bool]:
    """Lets threads take two locks each, in their order; returns which of them got both."""
    locks = [threading.Lock() for _ in order]
    holding = threading.Barrier(len(order))
    got = [False] * len(order)

    def thread(number: int, first: int, second: int) -> None:
        with locks[first]:
            # wait until all hold their first lock, the unlucky moment; that never comes
            # when somebody waits for our lock already
            with suppress(threading.BrokenBarrierError):
                holding.wait(patience)
            got[number] = locks[second].acquire(timeout=patience)
            if got[number]:
                locks[second].release()

    run_all(
        *[
            lambda number=number, pair=pair: thread(number, *pair)
            for number, pair in enumerate(order)
        ]
    )
    return got


@entry("F6.2", "A deadlock of three threads")
def deadlock(page: Page) -> None:
    """A holds what C wants, B holds what A wants, C holds what B wants: nobody can go on.

    Each of three threads takes a lock and then asks for that of the next one. Here the wait has an
    end (in the book it has none). The cure is an order: whoever needs several locks takes
    them by ascending number, so that there can be no circle.
    """
    page.figure("deadlock", plot.deadlock())
    circle = take_two([(0, 1), (1, 2), (2, 0)], patience=0.1)
    ordered = take_two([(0, 1), (1, 2), (0, 2)], patience=0.1)
    page.print("A -> B -> C -> A: got both locks?", circle)
    page.print("by ascending number: got both?   ", ordered)
    page.claim("in a circle, somebody waits in vain", "not all", circle, not all(circle))
    page.claim("with an order, all go on", [True] * 3, ordered, all(ordered))
