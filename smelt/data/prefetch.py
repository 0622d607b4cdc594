"""Work that threads do ahead, with results in order."""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from smelt.data.reader import Exhausted
from smelt.errors import ChannelClosed, SmeltError, WorkerError
from smelt.location import location
from smelt.settings import get, settings

__all__ = ["prefetched"]

Result = TypeVar("Result")
FAREWELL = 1.0  # seconds that all threads together get for what they are doing, at the end


def prefetched(
    functions: Sequence[Callable[[int], Result]],
    count: int | None,
    ahead: int,
    timeout: float | None = None,
    halt: Callable[[], object] = lambda: None,
) -> Iterator[Result]:
    """Yields f(0), f(1) ... f(count - 1), each by one of several functions that do the same.

    Each function has a thread, with the caller's settings. The threads stop when the iterator is
    exhausted, closed or dropped, when it raises, and at the end of the program.

    Args:
        functions: each is called by its own thread, with one number after the other.
        count: number of results; None if a function raises `Exhausted` for a number after the last
            one.
        ahead: how many results may be in progress, or finished but not yet read.
        timeout: seconds to wait for a result; None waits as long as it takes.
        halt: called when the threads should stop, to wake those that wait for something.

    Raises:
        WorkerError: a result did not come in time.
        BaseException: the error of a function, in place of its result, with the traceback of the
            thread.
    """
    work: _Work[Result] = _Work(count, ahead)
    chosen = functions if count is None else functions[:count]
    threads = [
        threading.Thread(
            target=_run, args=(work, function, get()), name=f"smelt loader {n}", daemon=True
        )
        for n, function in enumerate(chosen)
    ]
    end = functools.partial(_end, work, threads, halt)
    atexit.register(end)  # nobody closes an iterator that a program still holds when it ends
    try:
        for thread in threads:
            thread.start()
        for index in itertools.count() if count is None else range(count):
            try:
                result = work.take(index, timeout)
            except Exhausted:
                return
            yield result
    finally:
        atexit.unregister(end)
        end()


class _Work(Generic[Result]):
    """Which numbers were given to threads, and what became of them."""

    def __init__(self, count: int | None, ahead: int) -> None:
        self.process = os.getpid()
        self.count = sys.maxsize if count is None else count
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

    def do(self, function: Callable[[int], Result], index: int) -> None:
        """Computes a result and keeps it, or keeps what went wrong."""
        try:
            done: tuple[dict[int, Any], Any] = self.results, function(index)
        except BaseException as failure:
            done = self.failures, failure
        with self.changed:
            done[0][index] = done[1]
            self.changed.notify_all()

    def take(self, index: int, timeout: float | None) -> Result:
        """Returns a result, when it is there, and makes room for another."""
        if os.getpid() != self.process:  # where no thread works, and a lock may be held for ever
            raise ChannelClosed(
                "this loop over a DataLoader began before the process was forked, and its workers "
                "are only in the parent; begin a new loop in the child"
            )
        with self.changed:
            if not self.changed.wait_for(
                lambda: index in self.results or index in self.failures, timeout
            ):
                raise WorkerError(
                    f"DataLoader: result {index} (from 0) did not come in {timeout} s; a worker "
                    "hangs, or the timeout is too short"
                )
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


def _run(work: _Work[Any], function: Callable[[int], object], chosen: dict[str, Any]) -> None:
    with settings(**chosen):
        while (index := work.next()) is not None:
            work.do(function, index)


def _end(work: _Work[Any], threads: list[threading.Thread], halt: Callable[[], object]) -> None:
    """Stops the threads and waits for them, so that none touches the data any more; not for one
    that hangs.
    """
    if os.getpid() != work.process:
        return
    work.stop()
    halt()
    end = time.monotonic() + FAREWELL
    for thread in threads:
        if thread is not threading.current_thread() and thread.ident is not None:
            thread.join(max(0.0, end - time.monotonic()))
