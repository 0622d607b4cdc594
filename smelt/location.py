"""Location: the running module and the user's own line, which every error names."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import warnings
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from smelt.block import Block

if TYPE_CHECKING:
    from smelt.ir.graph import Derivative

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_BOOK = os.path.join(_PACKAGE, "book", "")  # its programs are written as a user would
_LIBRARY = os.path.dirname(contextlib.__file__) + os.sep  # Python's own
_INSTALLED = tuple(_LIBRARY + folder + os.sep for folder in ("site-packages", "dist-packages"))
_BELOW = (  # Smelt, NumPy, and Python's own library, but not what is installed beside it
    _PACKAGE,
    os.path.dirname(os.path.abspath(np.__file__)) + os.sep,
    _LIBRARY + "contextlib",
    _LIBRARY + "collections",
    functools.__file__,
    "<frozen",
    "<__array_function__",
)
_CHECKED = os.path.join(_PACKAGE, "tensor", "checked.py")  # its `call` is around every function
SHOWN_ENDS = 8  # names of modules at each end of a long path
_STARTERS = (os.path.join(os.sep, "bin", "smelt"), "<frozen runpy>")


class _Running(threading.local):
    """What this thread is in the middle of."""

    def __init__(self) -> None:
        self.modules: list[str] = []  # the module that is called and those that called it
        self.line = ""  # the user's line of an operation that is computed again elsewhere
        self.derivative: Derivative | None = None  # the rule that differentiation runs


running: Final = _Running()


def module_path() -> str:
    """Returns the path of the module that is running, such as `encoder.norm`, or ""."""
    return ".".join(running.modules)


def computed_again(line: str, path: str, derivative: Derivative | None) -> Block:
    """Within the block an operation is applied that was written at a line before, as part of a
    module (where `path` is not "") and perhaps of a derivative.
    """
    modules = [path] if path else []
    return Block(running, line=line, modules=modules, derivative=derivative)


def location(message: str = "") -> str:
    """Returns the path of the running module and the user's line, as they stand behind a message;
    "" where the message names a line already.
    """
    if "\n  at " in message:
        return ""
    path, line = _shortened(running.modules), user_line()
    module = f"\n  in module {path}" if path else ""
    return f"{module}\n  at {line}" if line else module


def _shortened(modules: list[str]) -> str:
    """Returns a path of modules that can be read, also where they are hundreds."""
    left_out = len(modules) - 2 * SHOWN_ENDS
    shown = modules
    if left_out > 1:
        shown = [*modules[:SHOWN_ENDS], f"({left_out} more)", *modules[-SHOWN_ENDS:]]
    return ".".join(shown)


def with_location(message: str) -> str:
    """Returns a message with the path of the running module and the user's line behind it."""
    return message + location(message)


def is_own(filename: str) -> bool:
    """Returns whether code is Smelt's, or of the libraries that it stands on."""
    return filename.startswith(_BELOW) and not filename.startswith(_BOOK)


def user_frame() -> FrameType | None:
    """Returns the innermost frame of the call stack that is the user's own code.

    That is neither Smelt's, nor the standard library's (which stands between a decorator and its
    function, copies modules, starts threads), nor what starts the program.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _is_users(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def called_function(otherwise: str) -> str:
    """Returns the name of Smelt's function that the user's line called, for an error below it.

    Args:
        otherwise: what to say where it is not known, as below a module.
    """
    name = otherwise
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _is_users(frame.f_code.co_filename):
        if frame.f_code.co_name == "call" and frame.f_code.co_filename == _CHECKED:
            name = frame.f_locals["function"].__name__
        frame = frame.f_back
    return name


@functools.lru_cache(maxsize=4096)
def _is_users(name: str) -> bool:
    ours = name.startswith(_PACKAGE) and not name.startswith(_BOOK)
    library = name.startswith((_LIBRARY, "<frozen")) and not name.startswith(_INSTALLED)
    return not (ours or library or name.endswith(_STARTERS))


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warns at the user's line, so that Python shows each line's warning once."""
    frame = user_frame()
    if frame is None:
        warnings.warn(message, category, stacklevel=2)
        return
    names, code, line = frame.f_globals, frame.f_code, frame.f_lineno
    shown, module = names.setdefault("__warningregistry__", {}), names.get("__name__")
    warnings.warn_explicit(message, category, code.co_filename, line, module, shown)


def user_line() -> str:
    """Returns `file:line` of the user's code that is running, or an empty string."""
    if running.line:
        return running.line
    frame = user_frame()
    return f"{_file_name(frame.f_code.co_filename)}:{frame.f_lineno}" if frame else ""


def _file_name(filename: str) -> str:
    """Returns the name of a file; for a cell of a notebook its number, as in `In[3]`."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None
    named = shell.compile.format_code_name(filename) if shell is not None else None
    return named[1] if named else filename
