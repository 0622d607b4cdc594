"""E6.0: a spawned thread and the main thread, with and without waiting."""

from __future__ import annotations

import threading
import time

from smelt.book.entry import Page, entry

MESSAGES = 4


def count(name: str, pause: float, said: list[str]) -> None:
    """Says four messages, with a pause after each."""
    for number in range(1, MESSAGES + 1):
        said.append(f"{name} {number}")  # appending to a list is one step: no lock is needed
        if pause:
            time.sleep(pause)


def both(pause: float, join_first: bool) -> list[str]:
    """Lets a spawned thread and this one count; returns what was said, in order."""
    said: list[str] = []
    spawned = threading.Thread(target=count, args=("spawned", pause, said))
    spawned.start()
    if join_first:
        spawned.join()
    count("main", pause, said)
    spawned.join()
    return said


def part_of(name: str, said: list[str]) -> list[str]:
    """Returns what one of the threads said."""
    return [message for message in said if message.startswith(name)]


@entry("E6.0", "A spawned thread and the main thread")
def spawned_and_main(page: Page) -> None:
    """Two threads say four messages each: without sleep, with a sleep of 1 ms, and joined at once.

    Only the third order is certain. In the first two each thread keeps its own order and the rest
    is up to the operating system: without sleep one thread is mostly done before the other begins,
    and with it they take turns. The book's first variant may lose messages, because in Rust the
    process ends with the main thread; Python waits for threads unless they are daemons.
    """
    variants = {
        "no sleep": both(0.0, join_first=False),
        "1 ms sleep": both(0.001, join_first=False),
        "join right after spawn": both(0.001, join_first=True),
    }
    page.table(["variant", "order"], [(name, ", ".join(said)) for name, said in variants.items()])
    for variant, said in variants.items():
        for name in ("spawned", "main"):
            own = [f"{name} {number}" for number in range(1, MESSAGES + 1)]
            heard = part_of(name, said)
            page.claim(f"{variant}: {name} in its own order", own, heard, heard == own)
    joined = variants["join right after spawn"]
    expected = part_of("spawned", joined) + part_of("main", joined)
    page.claim("joined: first spawned, then main", expected, joined, joined == expected)
