"""Compiled code of fits, kept for later fits of the same structure.

A search over twenty settings fits a hundred models that differ in numbers only: weights, learning
rates, penalties. All use the code compiled for the first. Each fit borrows it, writes its own
numbers into its tensors, and reads the results.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from smelt.locks import reentrant_lock

__all__ = ["Pool"]

LIMIT = 32  # compiled things that are kept though nobody uses them


class Pool:
    """Lends an object that was made for a key to one borrower at a time.

    Args:
        limit: maximum number of unused objects; the least recently used are dropped first.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._free: OrderedDict[Hashable, list[Any]] = OrderedDict()
        self._lock = reentrant_lock()

    def __len__(self) -> int:
        """How many things are there that nobody uses."""
        return sum(map(len, self._free.values()))

    @contextmanager
    def lent(self, key: Hashable, make: Callable[[], Any]) -> Iterator[Any]:
        """Lends, within the block, an object that was made for a key.

        Args:
            key: an object made for one key can be used for an equal one.
            make: makes it, if there is no free one.
        """
        thing = self.taken(key)
        if thing is None:
            thing = make()
        yield thing
        # what was left by an error is not lent again
        self.give_back(key, thing)

    def taken(self, key: Hashable) -> Any:
        """Returns a free object that was made for a key, None if there is none."""
        with self._lock:
            things = self._free.get(key)
            thing = things.pop() if things else None
            if things == []:
                del self._free[key]
            return thing

    def give_back(self, key: Hashable, thing: Any) -> None:
        """Keeps an object for a key, for the next borrower."""
        with self._lock:
            self._free.setdefault(key, []).append(thing)
            self._free.move_to_end(key)
            while len(self) > self.limit:
                oldest = next(iter(self._free))
                self.taken(oldest)

    def clear(self) -> None:
        """Drops all unused objects."""
        with self._lock:
            self._free.clear()
