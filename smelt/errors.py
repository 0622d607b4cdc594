"""Everything that Smelt raises on purpose, as one tree.

    SmeltError
    +-- ShapeError       operands whose shapes do not fit          (also a ValueError)
    +-- DTypeError       operands whose dtypes do not fit          (also a TypeError)
    +-- ArgumentError    a setting out of its range                (also a ValueError)
    +-- BoundsError      an index or label outside its axis        (also an IndexError)
    +-- AssignmentError  x[i] = v: tensors are values             (also a TypeError)
    +-- TraceError       Python asked a traced tensor for a value  (also a RuntimeError)
    +-- GradientError    a derivative that does not exist          (also a RuntimeError)
    +-- MovedError       a donated tensor was used again           (also a RuntimeError)
    +-- StateError       a state_dict that does not fit its module (also a KeyError)
    +-- CompileError     the compiler could not finish             (also a RuntimeError)
    +-- FileError        a file that is missing, damaged, or in the way (also an OSError)
    +-- ChannelClosed    a channel that nothing passes any more    (also an EOFError)
    +-- ChannelTimeout   a channel that was full or empty too long (also a TimeoutError)
    +-- MissingExtra     an optional dependency is not installed   (also an ImportError)

Every message says what is wrong, where (the operation, the operands with their shapes, the module
path, the user's own line), and what to do about it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from types import FrameType

__all__ = [
    "ArgumentError",
    "AssignmentError",
    "BoundsError",
    "ChannelClosed",
    "ChannelTimeout",
    "CompileError",
    "DTypeError",
    "FileError",
    "GradientError",
    "MissingExtra",
    "MovedError",
    "ShapeError",
    "SmeltError",
    "StateError",
    "TraceError",
]

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_BOOK = os.path.join(_PACKAGE, "book", "")  # its programs are written as a user would
_BETWEEN = {contextlib.contextmanager.__code__.co_filename, functools.wraps.__code__.co_filename}
_BETWEEN.add(threading.Thread.run.__code__.co_filename)  # what starts a thread
_STARTERS = (os.path.join(os.sep, "bin", "smelt"), "<frozen runpy>")


class SmeltError(Exception):
    """The root of every error that Smelt raises on purpose."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ShapeError(SmeltError, ValueError):
    """Operands whose shapes do not fit together."""


class DTypeError(SmeltError, TypeError):
    """Operands whose dtypes do not fit together."""


class ArgumentError(SmeltError, ValueError):
    """A setting outside the range in which it means something."""


class BoundsError(SmeltError, IndexError):
    """An index or a label outside the axis that it points into."""


class AssignmentError(SmeltError, TypeError):
    """Item assignment into a tensor, which is a value."""


class TraceError(SmeltError, RuntimeError):
    """Python asked a traced tensor for something that is known only when the step runs."""


class GradientError(SmeltError, RuntimeError):
    """A derivative that was asked for and does not exist."""


class MovedError(SmeltError, RuntimeError):
    """A tensor was used after its memory had been given away."""


class StateError(SmeltError, KeyError):
    """A state_dict whose keys or shapes do not fit the module."""


class CompileError(SmeltError, RuntimeError):
    """The compiler could not turn a step into native code."""


class FileError(SmeltError, OSError):
    """A file that is missing, damaged, or cannot be written."""


class ChannelClosed(SmeltError, EOFError):
    """A channel was used after nothing could pass through it any more."""


class ChannelTimeout(SmeltError, TimeoutError):
    """A channel stayed full, or empty, for longer than the caller would wait."""


class MissingExtra(SmeltError, ImportError):
    """An optional dependency that a feature needs is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the optional extra [{extra}]; install it with: "
            f'pip install "smelt[{extra}]"'
        )


def user_frame() -> FrameType | None:
    """Returns the innermost frame of the call stack that is the user's own code.

    That is neither Smelt's, nor what the standard library puts between a decorator and its
    function, nor what starts the program.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        ours = name.startswith(_PACKAGE) and not name.startswith(_BOOK)
        if not (ours or name in _BETWEEN or name.endswith(_STARTERS)):
            break
        frame = frame.f_back
    return frame


def user_line() -> str:
    """Returns `file:line` of the user's code that is running, or an empty string."""
    frame = user_frame()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""
