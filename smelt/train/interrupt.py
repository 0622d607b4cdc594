"""Ctrl-C and SIGTERM, at moments that suit."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["terminable", "uninterrupted"]

Handler = Callable[[int, FrameType | None], object]
TERMINATED = 128 + signal.SIGTERM  # the exit code that a shell expects then


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Lets the block run to its end before Ctrl-C, or SIGTERM where a program handles it, is
    heard: what belongs together is not torn apart.

    Only the main thread hears signals at all; on others this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[tuple[int, FrameType | None]] = []
    before: dict[int, Handler] = {}
    for caught in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(caught)
        if callable(handler):
            before[caught] = handler
            signal.signal(caught, lambda *given: heard.append(given))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if heard:
        before[heard[-1][0]](*heard[-1])


@contextmanager
def terminable() -> Iterator[None]:
    """Within the block SIGTERM raises SystemExit, so that what is under way is kept; unless the
    program handles SIGTERM itself.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)
