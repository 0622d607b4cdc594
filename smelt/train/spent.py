"""Where the time of a training goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smelt.train.feed import Feed
    from smelt.train.step import Update

__all__ = ["Spent"]


class Spent:
    """Measures where the time of one call of `fit` goes.

    Args:
        update: the update whose steps are traced and compiled.
        feed: the feed whose batches the steps wait for.

    Attributes:
        stepping: seconds of steps, including waiting for batches and compiling.
        validating: seconds of validation; if it runs in the background, of waiting for it.
        telling: seconds of callbacks: progress, files, and the user's own.
    """

    def __init__(self, update: Update, feed: Feed) -> None:
        self._update, self._feed = update, feed
        self._began = time.perf_counter()
        self.stepping: float = 0.0
        self.validating: float = 0.0
        self.telling: float = 0.0

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Counts the block as a part: "validating" or "telling"."""
        began = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, part, getattr(self, part) + time.perf_counter() - began)

    def row(self) -> dict[str, float]:
        """Returns the seconds of each part, which add up to "seconds", as times.jsonl keeps them.

        "tracing" and "compiling" are those of the training step, "data" is its waiting for batches,
        "steps" the rest of the steps, "other" everything else.
        """
        times = [each for step in self._update.steps for each in step.times]
        tracing = sum(each.trace for each in times)
        compiling = sum(each.compile for each in times)
        data, seconds = self._feed.waited, time.perf_counter() - self._began
        parts = {
            "steps": max(0.0, self.stepping - tracing - compiling - data),
            "tracing": tracing,
            "compiling": compiling,
            "data": data,
            "validation": self.validating,
            "callbacks": self.telling,
        }
        return {
            **parts,
            "other": max(0.0, seconds - sum(parts.values())),
            "seconds": seconds,
        }
