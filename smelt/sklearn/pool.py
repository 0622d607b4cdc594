"""What fits have compiled, kept for later fits of the same structure.

A search over twenty settings fits a hundred models that differ in numbers only: weights, learning
rates, penalties. What is compiled for the first serves them all. Each fit borrows it, writes its
own numbers into its tensors, and takes the results out.
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
    """Lends what was made for a key to one borrower at a time.

    Args:
        limit: how many things stay while nobody uses them; those used longest ago go first.
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
        """Lends, within the block, something that was made for a key.

        Args:
            key: of two equal ones, what was made for one serves the other.
            make: makes it, where there is none that is free.
        """
        thing = self.taken(key)
        if thing is None:
            thing = make()
        yield thing
        # what was left by an error is not lent again
        self.give_back(key, thing)

    def taken(self, key: Hashable) -> Any:
        """Returns something that was made for a key and is free, None if there is nothing."""
        with self._lock:
            things = self._free.get(key)
            thing = things.pop() if things else None
            if things == []:
                del self._free[key]
            return thing

    def give_back(self, key: Hashable, thing: Any) -> None:
        """Keeps something that serves a key, for the next who wants it."""
        with self._lock:
            self._free.setdefault(key, []).append(thing)
            self._free.move_to_end(key)
            while len(self) > self.limit:
                oldest = next(iter(self._free))
                self.taken(oldest)

    def clear(self) -> None:
        """Lets everything go that nobody uses."""
        with self._lock:
            self._free.clear()
