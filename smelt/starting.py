"""Ctrl-C while the smelt command loads its modules: one line and the exit code, as later.

The package is imported first, whatever is run, so this is its first import. It does something only
where the program that starts is the command, and imports only what Python has loaded before: the
module `signal` is made of enumerations, and takes milliseconds. Earlier Ctrl-C meets Python itself.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import sys

INTERRUPTED = 128 + _signal.SIGINT  # what a shell expects of a program that Ctrl-C ended
STOPPED = "smelt: stopped by Ctrl-C"


def _is_command() -> bool:
    """Whether this process is `smelt ...` or `python -m smelt ...`, and no child of it."""
    given = sys.orig_argv[1:]
    if sys.argv[:1] == ["-m"]:  # as long as Python looks for the module to run
        return "smelt" in given[given.index("-m") + 1 :][:1]
    return any(os.path.basename(name) in ("smelt", "smelt.exe") for name in given[:1])


def _stop(number: int, frame: object) -> None:
    os.write(2, f"{STOPPED}\n".encode())
    os._exit(INTERRUPTED)  # nothing has begun; half-loaded modules are not to be asked


def loaded() -> None:
    """Lets Ctrl-C raise KeyboardInterrupt again: the command has begun, and takes care of it."""
    if _signal.getsignal(_signal.SIGINT) is _stop:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)


if _is_command() and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _stop)  # in the main thread: the command imports nothing earlier
