"""Short tracebacks: of an error that nobody caught, the user's own lines are shown.

The error itself keeps every frame, for debuggers and for whoever catches it: only what is printed
when it ends a program, or a cell of a notebook, leaves out the frames within Smelt: all of an error
of Smelt's, and of another one those between the user's own. So an error that arises within Smelt
and is none of Smelt's still shows where.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from smelt import settings
from smelt.errors import SmeltError
from smelt.location import is_own

__all__ = ["install", "render_in_short", "rendered", "shortened"]

REQUEST = "SMELT_FULL_TRACEBACK"


def install() -> None:
    """Lets Python print errors that end a program in short; who has told it to print errors in
    another way is left alone.
    """
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _print


def _print(kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> None:
    if isinstance(error, SmeltError):
        error = shortened(error)
        frames = error.__traceback__
    with _shown_in_short(error, frames) as frames:
        sys.__excepthook__(kind, error, frames)


def render_in_short(error: Exception) -> None:
    """Lets IPython show an error of the user's own, which passes through Smelt, in short, unless
    all of it is wanted now; it is shown when `settings` has ended.
    """
    if settings.current.full_traceback:
        error.full_traceback = True  # type: ignore[attr-defined]
    if "IPython" in sys.modules and not hasattr(error, "_render_traceback_"):
        error._render_traceback_ = functools.partial(rendered, error)  # type: ignore[attr-defined]


def rendered(error: Exception) -> list[str]:
    """Returns the parts of what IPython prints for an error that ends a cell."""
    shown = shortened(error) if isinstance(error, SmeltError) else error
    with _shown_in_short(shown, shown.__traceback__) as frames:
        return _rendered(type(shown), shown, frames)


def _rendered(
    kind: type[BaseException], shown: BaseException, frames: TracebackType | None
) -> list[str]:
    import traceback  # slow to load

    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        return traceback.format_exception(kind, shown, frames)
    # the first frame is that of IPython, which runs the cell
    return shell.InteractiveTB.structured_traceback(kind, shown, frames, tb_offset=1)


@contextmanager
def _shown_in_short(
    error: BaseException, frames: TracebackType | None
) -> Iterator[TracebackType | None]:
    """Within the block an error that is none of Smelt's has the frames that are shown."""
    every = _frames(frames)
    last = max((place for place, frame in enumerate(every) if not _is_own(frame)), default=0)
    kept = [frame for place, frame in enumerate(every) if place >= last or not _is_own(frame)]
    if len(kept) == len(every) or isinstance(error, SmeltError) or _all_are_wanted(error):
        yield frames
        return
    before, notes = error.__traceback__, getattr(error, "__notes__", None)
    short = _linked(kept)
    error.__traceback__ = short
    error.__notes__ = [*(notes or ()), *_hints(len(every) - len(kept))]
    try:
        yield short
    finally:
        error.__traceback__ = before
        if notes is None:
            del error.__notes__
        else:
            error.__notes__ = notes


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


def _all_are_wanted(error: BaseException) -> bool:
    requested = os.environ.get(REQUEST, "0") not in ("", "0")
    own = getattr(error, "full_traceback", False)
    return own or settings.current.full_traceback or requested


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
