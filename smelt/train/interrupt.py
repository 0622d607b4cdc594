"""Ctrl-C, SIGTERM and a closed terminal, handled at suitable moments."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["terminable", "uninterrupted"]

Handler = Callable[[int, FrameType | None], object]
# what ends a program: SIGTERM, and SIGHUP where the terminal is closed
ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Runs the block to its end before handling Ctrl-C, or SIGTERM and SIGHUP if a program handles
    them: the block is never interrupted in the middle.

    Only the main thread receives signals; in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[tuple[int, FrameType | None]] = []
    before: dict[int, Handler] = {}
    is_within = True

    def hear(number: int, frame: FrameType | None) -> None:
        if is_within:
            heard.append((number, frame))
        else:  # a signal that came before is about to end the program
            before[number](number, frame)

    try:
        for caught in (signal.SIGINT, *ENDS):
            handler = signal.getsignal(caught)
            if callable(handler):
                before[caught] = handler
                signal.signal(caught, hear)
        yield
    finally:
        is_within = False
        for number, handler in before.items():
            signal.signal(number, handler)
    if heard:
        before[heard[-1][0]](*heard[-1])


@contextmanager
def terminable() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise SystemExit, so that the training is saved; except
    for signals that the program handles itself, or ignores, as under `nohup`.
    """
    main = threading.current_thread() is threading.main_thread()
    caught = [number for number in ENDS if main and signal.getsignal(number) is signal.SIG_DFL]
    try:
        for number in caught:
            signal.signal(number, _terminate)
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)  # the exit code that a shell expects then
