"""E6.2, P6.2: layers as threads that wait for each other at a barrier."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from smelt.book.entry import Page, entry

SLEEP = 0.1  # seconds

ANSWER = """
A barrier is made for a number of threads. Each that comes to it waits; when the last one has come,
all go on at once. So everything before the barrier, in every thread, is over before anything behind
it begins, in any thread. The time of a phase is that of its slowest thread; the others idle. It
suits work that comes in phases, such as layers of which each reads all outputs of the one before,
or replicas that add up their gradients before any of them takes a step. A barrier deadlocks when
fewer threads come than it was made for: give it a timeout, or call `abort` in a thread that fails.
"""


@dataclass(frozen=True, slots=True)
class Event:
    """What a layer did, and when."""

    layer: str
    what: str
    at: float


def run_layers(sleeps: list[float], phases: int) -> list[Event]:
    """Runs a thread for each layer; after each phase all wait for the slowest."""
    barrier = threading.Barrier(len(sleeps))
    events: list[Event] = []
    begin = time.perf_counter()

    def note(layer: str, what: str) -> None:
        events.append(Event(layer, what, time.perf_counter() - begin))

    def layer(name: str, sleep: float) -> None:
        for phase in range(1, phases + 1):
            note(name, f"start {phase}")
            time.sleep(sleep)
            note(name, f"done {phase}")
            barrier.wait()

    threads = [
        threading.Thread(target=layer, args=(f"Layer {number}", sleep))
        for number, sleep in enumerate(sleeps, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(events, key=lambda event: event.at)


def times(events: list[Event], what: str) -> list[float]:
    """Returns when something happened in each layer."""
    return [event.at for event in events if event.what == what]


@entry("E6.2", "Layers with a barrier")
def layers_with_barrier(page: Page) -> None:
    """Three threads start, work for a while, and wait until all three are done.

    In which order they start is up to the system (the book saw 1, 3, 2).
    """
    events = run_layers([SLEEP] * 3, phases=1)
    for event in events:
        page.print(f"{1000 * event.at:6.1f} ms  {event.layer} {event.what.split()[0]}")
    page.print("all layers completed")
    starts, ends = times(events, "start 1"), times(events, "done 1")
    page.claim("three starts and three ends", (3, 3), (len(starts), len(ends)),
               len(starts) == len(ends) == 3)  # fmt: skip
    total = events[-1].at
    one_by_one = 3 * SLEEP
    page.claim("at the same time", f"< {one_by_one:.3f} s", f"{total:.3f} s", total < one_by_one)


@entry("P6.2", "Four layers of different speed, and a barrier between phases")
def four_layers(page: Page) -> None:
    """Four threads sleep for 10, 20, 30 and 40 ms, meet at a barrier, and do it again."""
    events = run_layers([0.01, 0.02, 0.03, 0.04], phases=2)
    page.table(
        ["milliseconds", "layer", "event"],
        [(f"{1000 * event.at:.1f}", event.layer, event.what) for event in events],
    )
    page.answer(ANSWER)
    last_done, first_start = max(times(events, "done 1")), min(times(events, "start 2"))
    page.claim(
        "no layer begins phase 2 before all ended phase 1",
        f"start 2 after {last_done:.4f} s",
        f"{first_start:.4f} s",
        first_start >= last_done,
    )
    ended = sorted(event.layer for event in events if event.what == "done 1")
    everyone = [f"Layer {number}" for number in (1, 2, 3, 4)]
    page.claim("all four ended phase 1", everyone, ended, ended == everyone)
