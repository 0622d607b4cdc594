"""A thread that handles everything that is sent to it, in order, without loss."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from smelt.data.channel import Channel
from smelt.errors import ChannelClosed, ChannelTimeout
from smelt.settings import get, settings

__all__ = ["Consumer"]

Value = TypeVar("Value")


class _Progress:
    """How many values were handled, and what went wrong; the thread and its owner share it."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.handled = 0
        self.failure: BaseException | None = None
        self.told = False  # whether somebody got the failure
        self.changed = threading.Condition()

    def count(self) -> None:
        """Notes that one more value was handled."""
        with self.changed:
            self.handled += 1
            self.changed.notify_all()

    def fail(self, failure: BaseException) -> None:
        """Notes what went wrong; what went wrong first is kept."""
        with self.changed:
            self.failure = self.failure or failure
            self.changed.notify_all()

    @property
    def elsewhere(self) -> bool:
        """Whether this is a forked child, in which the thread does not run."""
        return os.getpid() != self.process

    def require_here(self) -> None:
        """Raises in a forked child, where nobody handles anything and locks may stay held."""
        if self.elsewhere:
            raise ChannelClosed(
                "this was made before the process was forked, and its thread is only in the "
                "parent; make a new one in the child"
            )

    def require_success(self) -> None:
        """Raises the failure, if there is one."""
        if self.failure is not None:
            self.told = True
            raise self.failure


class Consumer(Generic[Value]):
    """Calls a function with each value that is sent, in a separate thread.

    The thread has the settings of the thread that created it. Everything that was sent is handled
    before `close` returns, before the program ends, and before the consumer is deleted. After a
    failure nothing more is handled: the next `send`, `flush` or `close` raises the error.

    Args:
        handle: called with one value at a time. It must not refer to the consumer's owner, which
            would then never be deleted.
        capacity: number of values that may wait; `send` waits if there are more.
        name: of the thread.
        finish: called in the thread at its end, in any case.
    """

    def __init__(
        self,
        handle: Callable[[Value], object],
        capacity: int,
        name: str,
        finish: Callable[[], object] = lambda: None,
    ) -> None:
        self._channel: Channel[Value] = Channel(capacity)
        self._progress = _Progress()
        self._sent = 0
        self._lock = threading.RLock()  # a signal handler may send too
        work = (self._channel, handle, finish, self._progress, get())
        # a daemon, since Python waits for other threads before anybody can close the channel
        self._thread = threading.Thread(target=_run, args=work, name=name, daemon=True)
        self._end = weakref.finalize(self, _finish, self._channel, self._thread, self._progress)
        # by name, since what weakref itself registers may run when native code is gone already
        self._end.atexit = False
        atexit.register(self._end)
        self._thread.start()

    def send(self, value: Value, wait: bool = True) -> bool:
        """Queues a value, which is handled later.

        Args:
            value: what to handle.
            wait: whether to wait for room.

        Returns:
            Whether it was queued; always True with `wait`.

        Raises:
            ChannelClosed: the consumer is closed.
            BaseException: the error of an earlier value.
        """
        self._progress.require_here()
        try:
            self._channel.send(value, None if wait else 0)
        except ChannelTimeout:
            return False
        except ChannelClosed:
            self._progress.require_success()
            raise
        with self._lock:
            self._sent += 1
        return True

    def require_here(self) -> None:
        """Raises ChannelClosed in a forked child, in which the thread does not run."""
        self._progress.require_here()

    def check(self) -> None:
        """Raises the error of an earlier value, if any; does not wait."""
        self._progress.require_success()

    def flush(self) -> None:
        """Waits until everything that was sent is handled.

        Raises:
            BaseException: the error of an earlier value.
        """
        progress = self._progress
        progress.require_here()
        with progress.changed:
            progress.changed.wait_for(
                lambda: progress.failure is not None or progress.handled >= self._sent
            )
        progress.require_success()

    def close(self, quiet: bool = False) -> None:
        """Handles the remaining values, and ends the thread; further calls have no effect.

        Args:
            quiet: whether to ignore an error of an earlier value.

        Raises:
            BaseException: the error of an earlier value.
        """
        if self._progress.elsewhere:
            return  # what was sent before the fork is handled there
        self._channel.close()
        self._thread.join()  # Ctrl-C may come here; the end of the program then does the rest
        atexit.unregister(self._end)
        self._progress.told |= quiet
        self._end()
        if not quiet:
            self._progress.require_success()


def _run(
    channel: Channel[Any],
    handle: Callable[[Any], object],
    finish: Callable[[], object],
    progress: _Progress,
    chosen: dict[str, Any],
) -> None:
    def work() -> None:
        with settings(**chosen):
            for value in channel:
                handle(value)
                progress.count()

    for action in (work, finish):
        try:
            action()
        except BaseException as failure:
            channel.close()
            progress.fail(failure)


def _finish(channel: Channel[Any], thread: threading.Thread, progress: _Progress) -> None:
    if progress.elsewhere:
        return
    channel.close()
    if thread is not threading.current_thread():
        thread.join()
    if not progress.told:  # nobody may call again: at the end of the program, say it at least
        progress.require_success()
