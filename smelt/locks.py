"""Locks that a child process made by fork can take, whoever held them when it was made."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Protocol


class Renewable(Protocol):
    """What has locks on which threads wait."""

    def renew(self) -> None:
        """Makes new locks; nobody holds the old ones, or waits for them."""


_locks: weakref.WeakSet[Any] = weakref.WeakSet()
_renewed: weakref.WeakSet[Renewable] = weakref.WeakSet()


def reentrant_lock() -> Any:
    """Returns a lock that one thread may take several times, and that is free after a fork.

    What it guards must be whole at every moment: the thread that changed it is gone in the child.
    """
    lock = threading.RLock()
    _locks.add(lock)
    return lock


def renew_after_fork(owner: Renewable) -> None:
    """Has a child process renew an object: in a condition, for one, the parent's threads wait for
    ever, and would be notified in the place of the child's.
    """
    _renewed.add(owner)


def is_held_elsewhere(lock: Any) -> bool:
    """Returns whether another thread holds a lock."""
    if not lock.acquire(blocking=False):
        return True
    lock.release()
    return False


def _free() -> None:
    for lock in list(_locks):
        if is_held_elsewhere(lock):
            lock._at_fork_reinit()  # as the standard library does with its own
    for owner in list(_renewed):
        owner.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free)
