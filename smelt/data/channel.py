"""Channel: a queue between threads that can be closed.

    channel = Channel(4)
    threading.Thread(target=produce, args=(channel,)).start()    # sends, then closes
    for batch in channel:                                        # until closed and empty
        train(batch)

A barrier, where threads wait for each other, is `threading.Barrier` of the standard library.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, Self, TypeVar

from smelt.errors import ArgumentError, ChannelClosed, ChannelTimeout
from smelt.locks import renew_after_fork

__all__ = ["Channel"]

Value = TypeVar("Value")


class Channel(Generic[Value]):
    """Passes values from any number of threads to any number of threads, each value to one.

    Values from one thread arrive in the order in which they were sent. If the channel is full,
    senders wait, so that they are never more than `capacity` values ahead.

    As a context manager it closes itself, with the error of the block if there is one.

    Args:
        capacity: values that may wait to be received.

    Raises:
        ArgumentError: `capacity` is not an integer, or is below 1.

    Example:
        >>> with Channel(2) as channel:
        ...     channel.send("batch 0")
        ...     channel.send("batch 1")
        >>> list(channel)
        ['batch 0', 'batch 1']
    """

    def __init__(self, capacity: int = 16) -> None:
        if not isinstance(capacity, int) or capacity < 1:
            raise ArgumentError(f"Channel: capacity={capacity!r} must be at least 1")
        self.capacity = capacity
        self._values: deque[Value] = deque()
        self._closed = False
        self._error: BaseException | None = None
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Gives the channel new locks in a forked process.

        Values that were waiting to be received are kept.
        """
        # one lock, re-entrant: the collector of garbage may close a channel at any moment
        lock = threading.RLock()
        self._space = threading.Condition(lock)
        self._supply = threading.Condition(lock)

    def send(self, value: Value, timeout: float | None = None) -> None:
        """Sends a value; waits while the channel is full.

        Args:
            value: goes to one receiver.
            timeout: seconds to wait; None waits without a limit.

        Raises:
            ChannelClosed: the channel was closed before there was room.
            ChannelTimeout: the channel stayed full.
        """
        with self._space:
            ready = self._space.wait_for(self._has_room, timeout)
            if self._closed:
                raise ChannelClosed("send: the channel is closed")
            if not ready:
                raise ChannelTimeout(
                    f"send: the channel stayed full ({self.capacity} values) for {timeout} s"
                )
            self._values.append(value)
            self._supply.notify()

    def receive(self, timeout: float | None = None) -> Value:
        """Returns the next value; waits while the channel is empty.

        Args:
            timeout: seconds to wait; None waits without a limit.

        Raises:
            ChannelClosed: the channel is closed, and everything has been received.
            ChannelTimeout: the channel stayed empty.
            BaseException: the error with which the channel was closed, after everything has been
                received.
        """
        with self._supply:
            ready = self._supply.wait_for(self._has_supply, timeout)
            if self._values:
                self._space.notify()
                return self._values.popleft()
            if self._error is not None:
                raise self._error
            if ready:
                raise ChannelClosed("receive: the channel is closed and empty")
            raise ChannelTimeout(f"receive: the channel stayed empty for {timeout} s")

    def close(self, error: BaseException | None = None) -> None:
        """Closes the channel: sending becomes an error; receivers get the remaining values, then
        the end.

        Args:
            error: raised in receivers in place of the end: it tells them that a sender failed. It
                is ignored if the channel is closed already.
        """
        with self._space:
            if not self._closed:
                self._closed, self._error = True, error
                self._space.notify_all()
                self._supply.notify_all()

    @property
    def closed(self) -> bool:
        """Whether the channel is closed; it may still contain values."""
        return self._closed

    def __len__(self) -> int:
        """Returns how many values wait to be received."""
        return len(self._values)

    def __iter__(self) -> Iterator[Value]:
        """Yields values until the channel is closed and empty; raises the error of its end."""
        while True:
            try:
                value = self.receive()
            except ChannelClosed:
                return
            yield value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.close(error)

    def _has_room(self) -> bool:
        return self._closed or len(self._values) < self.capacity

    def _has_supply(self) -> bool:
        return self._closed or bool(self._values)
