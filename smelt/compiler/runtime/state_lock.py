"""State locks: steps that change the same tensors run one after another, also on different threads.

A lock belongs to the memory that a step changes. Steps that change common memory share a lock: when
a second step is bound, the locks of all that it changes are joined.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from smelt.compiler.runtime.buffers import base_buffer
from smelt.errors import SmeltError
from smelt.locks import is_held_elsewhere, reentrant_lock

Result = TypeVar("Result")


class StateLock:
    """A reentrant lock that may become a part of another one."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._parent: StateLock | None = None
        self._is_torn = False
        _all.add(self)

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Returns function(*arguments); meanwhile no other thread runs a step that changes what is
        locked.

        Python's own `with` takes the lock and releases it: an exception that a signal handler
        raises, such as Ctrl-C, cannot come between the lock and its block.

        Raises SmeltError in a forked child, if a step was changing the state during the fork.
        """
        while True:
            root = self.root()
            with root._lock:
                if root._parent is None:  # else joined meanwhile
                    if root._is_torn:
                        raise SmeltError(_TORN)
                    return function(*arguments)

    def root(self) -> StateLock:
        """Returns the lock that this one is a part of."""
        lock = self
        while lock._parent is not None:
            lock = lock._parent
        return lock

    def join(self, other: StateLock) -> None:
        """Makes two locks one, when nobody else holds either."""
        while (a := self.root()) is not (b := other.root()):
            first, second = sorted((a, b), key=id)
            with first._lock, second._lock:
                if first._parent is None and second._parent is None:
                    second._parent = first
                    first._is_torn |= second._is_torn

    def settle_after_fork(self) -> None:
        """Remembers, in a child, whether another thread was changing the state."""
        if is_held_elsewhere(self._lock):
            self._lock = threading.RLock()
            self._is_torn = True


_all: weakref.WeakSet[StateLock] = weakref.WeakSet()
_known: weakref.WeakValueDictionary[int, StateLock] = weakref.WeakValueDictionary()
_registry = reentrant_lock()


def lock_of(arrays: Sequence[np.ndarray]) -> StateLock | None:
    """Returns the lock of the memory of all arrays; None without arrays."""
    found: list[StateLock] = []
    with _registry:
        for array in arrays:  # ids are not reused while the step that gets the lock lives
            key = id(base_buffer(array))
            lock = _known.get(key) or (found[0] if found else StateLock())
            _known[key] = lock
            found.append(lock)
    for other in found[1:]:
        found[0].join(other)
    return found[0] if found else None


def _settle() -> None:
    for lock in list(_all):
        lock.settle_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_settle)

_TORN = (
    "this process was forked while another thread ran a step that changes these tensors: their "
    "contents are half old and half new. Fork while no step runs, or start the process by spawn"
)
