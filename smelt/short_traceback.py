"""Short tracebacks: of an error of Smelt's that nobody caught, the user's own lines are shown.

The error itself keeps every frame, for debuggers and for whoever catches it: only what is printed
when it ends a program, or a cell of a notebook, leaves out the frames within Smelt.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any

from smelt import settings
from smelt.errors import SmeltError
from smelt.location import is_own

__all__ = ["install", "rendered", "shortened"]

REQUEST = "SMELT_FULL_TRACEBACK"


def install() -> None:
    """Lets Python print errors of Smelt's that end a program in short; who has told it to print
    errors in another way is left alone.
    """
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print


def _print(kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> None:
    if isinstance(error, SmeltError):
        error = shortened(error)
        frames = error.__traceback__
    sys.__excepthook__(kind, error, frames)


def rendered(error: SmeltError) -> list[str]:
    """Returns the parts of what IPython prints for an error that ends a cell."""
    import traceback  # slow to load

    shown = shortened(error)
    kind, frames = type(shown), shown.__traceback__
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        return traceback.format_exception(kind, shown, frames)
    # the first frame is that of IPython, which runs the cell
    return shell.InteractiveTB.structured_traceback(kind, shown, frames, tb_offset=1)


def shortened(error: SmeltError) -> SmeltError:
    """Returns a copy of an error with the frames of the user's own code only; the error itself
    where it has no such frames, or where all of them are wanted.
    """
    frames = _frames(error.__traceback__)
    kept = [frame for frame in frames if not _is_own(frame)]
    if not kept or _all_are_wanted(error):
        return error
    result = type(error).__new__(type(error))
    result.args = error.args
    vars(result).update(vars(error))
    result.__notes__ = [*getattr(error, "__notes__", ()), *_hints(len(frames) - len(kept))]
    result.__cause__ = _outer_cause(error)
    return result.with_traceback(_linked(kept))


def _all_are_wanted(error: SmeltError) -> bool:
    requested = os.environ.get(REQUEST, "0") not in ("", "0")
    return error.full_traceback or settings.current.full_traceback or requested


def _hints(hidden: int) -> list[str]:
    if not hidden:
        return []
    what = "1 frame" if hidden == 1 else f"{hidden} frames"
    return [f"({what} within Smelt not shown; smelt.settings(full_traceback=True) shows all)"]


def _outer_cause(error: SmeltError) -> BaseException | None:
    """Returns what an error came from, unless that happened within Smelt."""
    cause = error.__cause__
    if cause is None and not error.__suppress_context__:
        cause = error.__context__
    if cause is None or all(map(_is_own, _frames(cause.__traceback__))):
        return None
    return shortened(cause) if isinstance(cause, SmeltError) else cause


def _is_own(frame: TracebackType) -> bool:
    return is_own(frame.tb_frame.f_code.co_filename)


def _frames(first: TracebackType | None) -> list[TracebackType]:
    found = []
    while first is not None:
        found.append(first)
        first = first.tb_next
    return found


def _linked(frames: list[TracebackType]) -> TracebackType | None:
    result: Any = None
    for frame in reversed(frames):
        result = TracebackType(result, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return result
