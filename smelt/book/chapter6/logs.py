"""E6.4: a thread writes the log, so that the training does not wait for the disk."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.book.entry import Page, entry
from smelt.data import Channel

LINES, DISK = 50, 0.002  # lines, and seconds that a slow disk takes for one
STEPS = 300


def write_slowly(line: str, disk: list[str]) -> None:
    """Stands for a disk, or a network, that takes its time."""
    time.sleep(DISK)
    disk.append(line)


def in_the_loop() -> tuple[float, list[str]]:
    """Returns how long the training loop was busy, when it writes each line itself."""
    disk: list[str] = []
    start = time.perf_counter()
    for step in range(LINES):
        write_slowly(f"step {step}", disk)
    return time.perf_counter() - start, disk


def by_a_thread() -> tuple[float, list[str]]:
    """The same with a channel, and a thread that writes what comes out of it."""
    disk: list[str] = []
    channel: Channel[str] = Channel(capacity=LINES)

    def logger() -> None:
        for line in channel:
            write_slowly(line, disk)

    thread = threading.Thread(target=logger)
    thread.start()
    start = time.perf_counter()
    for step in range(LINES):
        channel.send(f"step {step}")
    busy = time.perf_counter() - start
    channel.close()
    thread.join()  # the logger ends when the channel is empty: no line is lost
    return busy, disk


def logged_training(path: Path) -> list[float]:
    """Trains a small network and logs every step; returns the losses."""
    x = smelt.randn(256, 4)
    y = x.sum(1, keepdim=True).sin()
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    opt = optim.Adam(model.parameters(), lr=1e-2)
    step = train.training_step(model, opt, F.mse_loss)
    losses = []
    with train.MetricsWriter(path) as log:
        for number in range(STEPS):
            losses.append(float(step(x, y)))
            log.write({"step": number, "loss": losses[-1]})
    return losses


@entry("E6.4", "A logging thread")
def logging_thread(page: Page) -> None:
    """Metrics go into a channel; a thread takes them out and writes them.

    First by hand, with a disk that takes 2 ms a line. Then as one would use it:
    `train.MetricsWriter` appends a line of JSON for each row, whole lines only, and loses none,
    also when the training ends by an exception. (The book gives no metrics and no output.)
    """
    waited, first = in_the_loop()
    busy, second = by_a_thread()
    page.table(
        ["who writes", "lines", "the loop was busy for"],
        [("the loop", len(first), f"{1000 * waited:.1f} ms"),
         ("a thread", len(second), f"{1000 * busy:.1f} ms")],
    )  # fmt: skip
    page.claim("same lines in the same order", LINES, len(second), second == first)
    half = waited / 2
    page.claim("the loop does not wait", f"< {half:.3f} s", f"{busy:.4f} s", busy < half)

    with TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.jsonl"
        losses = logged_training(path)
        lines = path.read_text().splitlines()
        rows = train.read_metrics(folder)
    for line in (*lines[:2], "...", lines[-1]):
        page.print(line)
    page.claim("a line for each step", STEPS, len(lines), len(lines) == STEPS)
    logged = [row["loss"] for row in rows]
    page.claim("the losses as they were", True, logged == losses, logged == losses)
    page.claim("the training went on", f"< {losses[0] / 10:.4f}", losses[-1],
               losses[-1] < losses[0] / 10)  # fmt: skip
