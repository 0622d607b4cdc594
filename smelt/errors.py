"""All errors that Smelt raises deliberately, as one tree.

    SmeltError
    +-- ShapeError       operands whose shapes do not fit          (also a ValueError)
    |   +-- DimensionError   a tensor of shape () that has no axis  (also a TypeError)
    +-- DTypeError       operands whose dtypes do not fit          (also a TypeError)
    +-- ArgumentError    a setting out of its range                (also a ValueError)
    |   +-- ArgumentTypeError  a value of the wrong kind, a misspelled keyword (also a TypeError)
    +-- BoundsError      an index or label outside its axis        (also an IndexError)
    +-- AssignmentError  x[i] = v: tensors are values             (also a TypeError)
    +-- TraceError       Python asked a traced tensor for a value  (also a RuntimeError)
    +-- GradientError    a derivative that does not exist          (also a RuntimeError)
    +-- NumericsError    a nan, or an infinity out of finite numbers (also a FloatingPointError)
    +-- MovedError       a donated tensor was used again           (also a RuntimeError)
    +-- ExchangeError    memory that another library cannot share (also a BufferError)
    +-- StateError       a state_dict that does not fit its module (also a KeyError)
    +-- DepthError       modules nested deeper than Python calls  (also a RecursionError)
    +-- CompileError     the compiler could not finish             (also a RuntimeError)
    +-- FileError        a file that is missing, damaged, or in the way (also an OSError)
    +-- ChannelClosed    a channel that nothing passes any more    (also an EOFError)
    +-- ChannelTimeout   a channel that was full or empty too long (also a TimeoutError)
    +-- MissingName      a name that Smelt does not have          (also an AttributeError)
    +-- WorkerError      a worker of a loader that ended, or hangs (also a RuntimeError)
    +-- MissingExtra     an optional dependency is not installed   (also an ImportError)

Every message says what is wrong, where (the operation, the operands with their shapes, the module
path, the user's own line), and what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smelt.location import location
from smelt.switches import current
from smelt.version import install_command

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "AssignmentError",
    "BoundsError",
    "ChannelClosed",
    "ChannelTimeout",
    "CompileError",
    "DTypeError",
    "DepthError",
    "DimensionError",
    "ExchangeError",
    "FileError",
    "GradientError",
    "MissingExtra",
    "MissingName",
    "MovedError",
    "NumericsError",
    "ShapeError",
    "SmeltError",
    "StateError",
    "TraceError",
    "WorkerError",
]


class SmeltError(Exception):
    """The base of every error that Smelt raises deliberately; its text says where it was raised."""

    full_traceback: bool = False  # whether to show the frames within Smelt as well

    def __init__(self, message: str = "", *details: Any) -> None:
        super().__init__(message, *details)
        self.location: str = location(message)
        if current.full_traceback:
            self.full_traceback = True  # also where it is shown when the block has ended

    @property
    def message(self) -> str:
        """What is wrong, without the location."""
        return str(self.args[0])

    def __str__(self) -> str:
        return self.message + self.location

    def _render_traceback_(self) -> list[str]:
        """Returns what IPython shows of an error that ends a cell."""
        from smelt.short_traceback import rendered

        return rendered(self)


class ShapeError(SmeltError, ValueError):
    """Operands whose shapes do not fit together."""


class DimensionError(ShapeError, TypeError):
    """A tensor of shape () where one with at least one axis is needed, as in len(x)."""


class DTypeError(SmeltError, TypeError):
    """Operands whose dtypes do not fit together."""


class ArgumentError(SmeltError, ValueError):
    """A setting outside its valid range."""


class ArgumentTypeError(ArgumentError, TypeError):
    """A value of a type that a function does not take, a missing argument, a misspelled keyword."""


class BoundsError(SmeltError, IndexError):
    """An index or a label outside its axis."""


class AssignmentError(SmeltError, TypeError):
    """Item assignment into a tensor, which is a value."""


class TraceError(SmeltError, RuntimeError):
    """Python asked a traced tensor for something that is known only when the step runs."""


class GradientError(SmeltError, RuntimeError):
    """A requested derivative that does not exist."""


class NumericsError(SmeltError, FloatingPointError):
    """A nan, or an infinity made of finite numbers, reached a result, a state or a gradient."""


class MovedError(SmeltError, RuntimeError):
    """A tensor was used after its memory had been given away."""


class ExchangeError(SmeltError, BufferError):
    """Memory that cannot be shared with another library in the requested way."""


class StateError(SmeltError, KeyError):
    """A state_dict whose keys or shapes do not fit the module."""


class CompileError(SmeltError, RuntimeError):
    """The compiler could not turn a step into native code."""


class DepthError(SmeltError, RecursionError):
    """Modules are nested more deeply than Python's recursion limit allows."""


class FileError(SmeltError, OSError):
    """A file that is missing, damaged, or cannot be written."""


class ChannelClosed(SmeltError, EOFError):
    """A channel was used after nothing could pass through it any more."""


class ChannelTimeout(SmeltError, TimeoutError):
    """A channel stayed full, or empty, for longer than the caller would wait."""


class MissingName(SmeltError, AttributeError):
    """A name that a module or an object of Smelt does not have.

    Args:
        message: what is wrong.
        hint: returns what to write instead. It is called only when the error is shown, since
            `hasattr` shows none.
    """

    def __init__(self, message: str = "", hint: Callable[[], str] = str) -> None:
        super().__init__(message)
        self._hint = hint

    @property
    def message(self) -> str:
        """What is wrong, and what to write instead."""
        return super().message + self._hint()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message,), {**vars(self), "_hint": str}


class WorkerError(SmeltError, RuntimeError):
    """A worker of a DataLoader ended, or made nothing for longer than its timeout."""


class MissingExtra(SmeltError, ImportError):
    """An optional dependency that a feature needs is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the optional extra [{extra}]; install it with: "
            f"{install_command(extra)}"
        )
        self._made_of = feature, extra

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._made_of, vars(self)
