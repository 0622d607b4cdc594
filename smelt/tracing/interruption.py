"""Interruption: whether the program called the running code, or Python did.

Python runs signal handlers, finalizers, and the callbacks of weak references and of the garbage
collector between any two instructions of a thread. Their frames lie on top of whatever the thread
is doing, such as a trace, but they are not part of it.
"""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys
import weakref
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_FINALIZE = weakref.finalize.__call__.__code__
_VARIADIC = 0x04  # the flag of a code object with *args


class Began:
    """The frame in which a thread began something that interruptions are not part of."""

    __slots__ = ("_frame", "_handlers", "_ordinary")

    def __init__(self, frame: FrameType) -> None:
        self._frame = frame
        self._handlers: list[CodeType | None] | None = None  # found when they are first needed
        # code that the program itself called, by id: comparing code objects takes microseconds
        self._ordinary: dict[int, CodeType] = {}

    def is_interrupted(self) -> bool:
        """Returns whether the caller is in an interruption since then, or runs after the end."""
        frame: FrameType | None = sys._getframe(2)
        ordinary = self._ordinary
        while frame is not self._frame:
            if frame is None:  # Ctrl-C came between the end and its being recorded
                return True
            code = frame.f_code
            if id(code) not in ordinary:
                if self._is_interruption(frame):
                    return True
                if code is not _FINALIZE:
                    ordinary[id(code)] = code
            frame = frame.f_back
        return False

    def _is_interruption(self, frame: FrameType) -> bool:
        """Returns whether Python itself called the function of a frame."""
        code = frame.f_code
        if code.co_filename.startswith(_PACKAGE):
            return False
        if code is _FINALIZE:  # a program passes nothing, Python the dead reference
            return _arguments(frame)[1:] != [None]
        if code.co_name == "__del__":
            return True
        arguments = _arguments(frame)
        if any(map(_is_dead, arguments)) or any(x is frame.f_back for x in arguments):
            return True
        return len(arguments) > 1 and any(code is other for other in self._takers_of_two())

    def _takers_of_two(self) -> list[CodeType | None]:
        """Returns the code of the signal handlers and of the collector's callbacks."""
        if self._handlers is None:
            self._handlers = _signal_handlers()
        return [*self._handlers, *map(_code_of, gc.callbacks)]


def _signal_handlers() -> list[CodeType | None]:
    """Returns the code of the signal handlers that are installed now."""
    handlers = map(signal.getsignal, _SIGNALS)
    return [_code_of(x) for x in handlers if callable(x) and x is not signal.default_int_handler]


def _code_of(function: Callable[..., Any]) -> CodeType | None:
    while isinstance(function, functools.partial):
        function = function.func
    function = getattr(function, "__func__", function)  # of a method
    code = getattr(function, "__code__", None)
    return code or getattr(type(function).__call__, "__code__", None)


def _arguments(frame: FrameType) -> list[Any]:
    """Returns the positional arguments of a running function, if it takes one to three."""
    code, count = frame.f_code, frame.f_code.co_argcount
    is_variadic = bool(code.co_flags & _VARIADIC)
    if count > 3 or not (count or is_variadic):
        return []
    found = frame.f_locals
    given = [found.get(name) for name in code.co_varnames[:count]]
    if is_variadic:
        rest = found.get(code.co_varnames[count + code.co_kwonlyargcount])
        given += rest[:3] if isinstance(rest, tuple) else ()
    return given


def _is_dead(value: Any) -> bool:
    """Returns whether a value is a dead weak reference, which is what its callback receives."""
    return isinstance(value, weakref.ref) and value() is None


_SIGNALS = signal.valid_signals()
