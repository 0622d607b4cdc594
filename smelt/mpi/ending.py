"""Ending: a rank that raises takes the others along, with its message, and one that ends waits.

Without this a rank that raises leaves the others waiting in a collective for ever. A rank that is
killed is seen by the launcher, which ends the others.
"""

from __future__ import annotations

import atexit
import signal
import sys
from types import TracebackType

from smelt.errors import SmeltError
from smelt.mpi import agreement
from smelt.mpi.group import Group, current

__all__ = ["install", "uninstall"]

END = "the end of the program"
_before = sys.excepthook


def install() -> None:
    """Lets an exception that nobody catches, and the end of the program, be heard by all ranks."""
    global _before
    _before = sys.excepthook
    sys.excepthook = _raised
    atexit.register(_ended)


def uninstall() -> None:
    """Takes both away."""
    sys.excepthook = _before
    atexit.unregister(_ended)


def _raised(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    group = current()
    if isinstance(group, Group):
        print(f"rank {group.rank} of {group.size} ends all ranks:", file=sys.stderr)
    _before(kind, error, traceback)
    sys.stderr.flush()
    sys.stdout.flush()
    if isinstance(group, Group):
        is_interrupt = issubclass(kind, KeyboardInterrupt)
        group.communicator.Abort(128 + signal.SIGINT if is_interrupt else 1)


def _ended() -> None:
    """Meets the others at the end; one that is somewhere else learns it, and so does this one."""
    group = current()
    if not isinstance(group, Group):
        return
    try:
        agreement.agree(END)
    except SmeltError as error:
        print(f"rank {group.rank} of {group.size}: {error}", file=sys.stderr)
        sys.stderr.flush()
        sys.stdout.flush()
        group.communicator.Abort(1)
