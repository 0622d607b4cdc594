"""Work done ahead by threads, whose results come in order."""

from __future__ import annotations

import atexit
import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from smelt.errors import ChannelClosed, SmeltError
from smelt.location import location
from smelt.settings import get, settings

__all__ = ["prefetched"]

Result = TypeVar("Result")
FAREWELL = 1.0  # seconds that all threads together get for what they are doing, at the end


def prefetched(
    function: Callable[[int], Result], count: int, workers: int, ahead: int
) -> Iterator[Result]:
    """Yields function(0), function(1) ... function(count - 1), computed by threads.

    The threads have the caller's settings. They stop when the iterator is exhausted, closed or
    dropped, when it raises, and at the end of the program.

    Args:
        function: is called by several threads at a time, once for each number.
        count: how many results there are.
        workers: how many threads.
        ahead: how many results may be in work, or finished, and not yet read.

    Raises:
        BaseException: what `function` raised, where its result would have come, with the traceback
            of the thread.
    """
    work = _Work(function, count, ahead)
    threads = [
        threading.Thread(target=_run, args=(work, get()), name=f"smelt loader {n}", daemon=True)
        for n in range(min(workers, count))
    ]
    end = functools.partial(_end, work, threads)
    atexit.register(end)  # nobody closes an iterator that a program still holds when it ends
    try:
        for thread in threads:
            thread.start()
        for index in range(count):
            yield work.take(index)
    finally:
        atexit.unregister(end)
        end()


class _Work(Generic[Result]):
    """Which numbers were given to threads, and what became of them."""

    def __init__(self, function: Callable[[int], Result], count: int, ahead: int) -> None:
        self.process = os.getpid()
        self.function = function
        self.count = count
        self.ahead = ahead
        self.given = self.read = 0
        self.stopped = False
        self.results: dict[int, Result] = {}
        self.failures: dict[int, BaseException] = {}
        # its lock is re-entrant: the collector of garbage may close the iterator at any moment
        self.changed = threading.Condition()

    def next(self) -> int | None:
        """Returns a number for a thread to work on, when it is time; None when all is over."""
        with self.changed:
            self.changed.wait_for(
                lambda: self.stopped or self.given < min(self.count, self.read + self.ahead)
            )
            if self.stopped:
                return None
            self.given += 1
            return self.given - 1

    def do(self, index: int) -> None:
        """Computes a result and keeps it, or keeps what went wrong."""
        try:
            done: tuple[dict[int, Any], Any] = self.results, self.function(index)
        except BaseException as failure:
            done = self.failures, failure
        with self.changed:
            done[0][index] = done[1]
            self.changed.notify_all()

    def take(self, index: int) -> Result:
        """Returns a result, when it is there, and makes room for another."""
        if os.getpid() != self.process:  # where no thread works, and a lock may be held for ever
            raise ChannelClosed(
                "this loop over a DataLoader began before the process was forked, and its workers "
                "stayed there; begin a new loop in the child"
            )
        with self.changed:
            self.changed.wait_for(lambda: index in self.results or index in self.failures)
            if index in self.failures:
                raise _placed(self.failures.pop(index))
            self.read += 1
            self.changed.notify_all()
            return self.results.pop(index)

    def stop(self) -> None:
        """Lets the threads end."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()


def _placed(failure: BaseException) -> BaseException:
    """Adds the line of the user who waits, unless the message names one within the dataset."""
    if isinstance(failure, SmeltError):
        failure.location = failure.location or location()
    return failure


def _run(work: _Work[Any], chosen: dict[str, Any]) -> None:
    with settings(**chosen):
        while (index := work.next()) is not None:
            work.do(index)


def _end(work: _Work[Any], threads: list[threading.Thread]) -> None:
    """Stops the threads and waits for them, so that none touches the data any more; not for one
    that hangs.
    """
    if os.getpid() != work.process:
        return
    work.stop()
    end = time.monotonic() + FAREWELL
    for thread in threads:
        if thread is not threading.current_thread() and thread.ident is not None:
            thread.join(max(0.0, end - time.monotonic()))
