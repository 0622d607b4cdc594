"""E6.1, P6.1: batches are loaded by a thread of their own, and go through a channel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import smelt
from smelt.book.entry import Page, entry
from smelt.data import Channel, DataLoader, TensorDataset

BATCHES = 5
LOADING, TRAINING = 0.02, 0.03  # seconds a batch: artificial delays

ANSWER = """
While the trainer works on a batch, the loader already prepares the next one; the channel between
them holds what is ready. A batch then takes as long as the slower of the two, not as long as both:
about max(a, b) instead of a + b. Only the first batch has to be waited for. The channel is bounded,
so a fast loader does not fill the memory: it waits when the channel is full.

A `DataLoader` with `num_workers=1` does the same with one argument, and gives the same batches in
the same order for any number of workers.
"""


def produce(channel: Channel[str]) -> None:
    """Sends five batches; closing tells the receiver that there are no more."""
    with channel:
        for number in range(BATCHES):
            channel.send(f"batch {number}")


@entry("E6.1", "A background loader with a channel")
def background_loader(page: Page) -> None:
    """A thread sends "batch 0" to "batch 4" through a channel; the main thread trains on them.

    The loop ends when the channel is closed and empty. In Rust the sender closes it by being
    dropped; here the `with` block does.
    """
    channel: Channel[str] = Channel(capacity=2)
    loader = threading.Thread(target=produce, args=(channel,))
    loader.start()
    received = []
    for batch in channel:
        page.print("training on", batch)
        received.append(batch)
    loader.join()
    expected = [f"batch {number}" for number in range(BATCHES)]
    page.claim("all batches, in order", expected, received, received == expected)
    page.claim("the channel ended the loop", True, channel.closed, channel.closed)


def load(number: int) -> int:
    """Prepares a batch, which takes a while."""
    time.sleep(LOADING)
    return number


def train_on(number: int) -> int:
    """Trains on a batch, which takes a while too."""
    time.sleep(TRAINING)
    return number


def in_turn(batches: int) -> list[int]:
    """Loads a batch, trains on it, loads the next."""
    return [train_on(load(number)) for number in range(batches)]


def overlapped(batches: int) -> list[int]:
    """Loads in a thread, trains in this one."""
    channel: Channel[int] = Channel(capacity=2)

    def loader() -> None:
        with channel:
            for number in range(batches):
                channel.send(load(number))

    thread = threading.Thread(target=loader)
    thread.start()
    done = [train_on(number) for number in channel]
    thread.join()
    return done


def timed(way: Callable[[int], list[int]], batches: int) -> tuple[float, list[int]]:
    """Returns how long a way took, and the batches it trained on."""
    start = time.perf_counter()
    result = way(batches)
    return time.perf_counter() - start, result


@entry("P6.1", "Loading beside training, timed against one after the other")
def overlapped_loading(page: Page) -> None:
    """A loader that takes 20 ms a batch and a trainer that takes 30 ms, twenty batches."""
    batches = 20
    apart, first = timed(in_turn, batches)
    together, second = timed(overlapped, batches)
    page.table(
        ["way", "seconds", "expected"],
        [
            ("one after the other", f"{apart:.3f}", f"{batches * (LOADING + TRAINING):.3f}"),
            ("overlapped", f"{together:.3f}", f"{LOADING + batches * TRAINING:.3f}"),
        ],
    )
    page.answer(ANSWER)
    ratio = together / apart
    best = max(LOADING, TRAINING) / (LOADING + TRAINING)
    page.claim("same batches in the same order", True, second == first, second == first)
    expected = f"about {best:.2f}, < 0.85"
    page.claim("time of overlapped loading", expected, f"{ratio:.2f}", ratio < 0.85)
    same = loader_order(0) == loader_order(3)
    page.claim("a DataLoader's order for 0 and 3 workers", True, same, same)


def loader_order(workers: int) -> list[list[int]]:
    """Returns the shuffled batches of a DataLoader."""
    rows = TensorDataset(smelt.arange(32))
    loader = DataLoader(rows, batch_size=8, shuffle=True, seed=0, num_workers=workers)
    return [batch.tolist() for (batch,) in loader]
