"""Blocks: `with` statements that give the running thread other values, and end in one step.

Ctrl-C raises an exception between any two instructions of Python, so also before the first one of
an `__exit__`, which then restores nothing. C code is not interrupted. So the `__exit__` of a block
is C code that calls a bound `dict.update`: the attributes of a `threading.local` are a dict. What
runs before it, in Python, has no effect yet, or stands within `try`.
"""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any, Final


class _End(io.IOBase):
    """The end of one run of a block. Its `__exit__` is that of files: C code that calls `close`."""

    closed = True  # so nothing calls `close` when the object is gone
    close: Callable[[], Any]

    def __init__(self, block: Block) -> None:
        self.block = block
        self.close = block.undo


class _Awaited(threading.local):
    def __init__(self) -> None:
        self.ends: list[_End] = []  # of the blocks that are about to begin in this thread


_awaited = _Awaited()


class _Exit:
    """The attribute `__exit__` of blocks.

    A `with` statement asks for it just before it calls `__enter__`. So each run of a block gets an
    end of its own, however nested it runs, and in whatever threads.
    """

    def __get__(self, block: Block | None, owner: type[Block]) -> Callable[..., Any]:
        if block is None:
            return _exit
        end = _End(block)
        _awaited.ends.append(end)
        return end.__exit__


def _exit(block: Block, *failure: Any) -> Any:
    return block.__exit__(*failure)


class Block(ContextDecorator):
    """A block in which attributes of a `threading.local` have other values; also a decorator.

    Args:
        place: the object that has the attributes.
        values: what they are within the block, by name.
    """

    __exit__: Final = _Exit()
    undo: Callable[[], Any] = staticmethod(lambda: None)  # what ends the latest run

    def __init__(self, place: threading.local, **values: Any) -> None:
        self._place = place
        self._values = values

    def __enter__(self) -> Any:
        place, values = self._place, self._values
        own = vars(place)  # of this thread, also where another one ends the block
        before = {name: getattr(place, name) for name in values}
        self._begin(functools.partial(own.update, values), functools.partial(own.update, before))

    def _begin(self, do: Callable[[], Any], undo: Callable[[], Any]) -> None:
        """Begins the block by `do`; `undo` ends it. Both are C code."""
        end = self._end()
        self.undo = end.close = undo
        try:
            do()
        except BaseException:
            undo()
            raise

    def _end(self) -> _End:
        """Returns the end that the `with` statement has asked for; a new one if none has."""
        ends = _awaited.ends
        for place in reversed(range(len(ends))):
            if ends[place].block is self:
                end = ends[place]
                del ends[place:]  # those behind it were interrupted before they began
                return end
        return _End(self)
