"""The smelt command: one function a command."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from smelt import __version__
from smelt.cli.commands import COMMANDS
from smelt.errors import MissingExtra, SmeltError
from smelt.starting import INTERRUPTED, STOPPED, loaded

__all__ = ["main", "program_of_all"]

DESCRIPTION = "Deep learning in which the whole training step is one native function."
WRONG = 2  # the exit code for bad arguments, and for any other mistake in the request
LOST = 1  # the exit code when the output cannot be written
CLOSED = 128 + signal.SIGPIPE  # what a shell expects from a program whose reader has gone


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code.

    If the reader of the output has closed the pipe, as in `| head -1`, it ends without a message; a
    training keeps what it has.
    """
    is_program = arguments is None
    try:
        try:
            loaded()
            code = _run(arguments)
            if is_program and code == INTERRUPTED:
                _ignore_ctrl_c()
            return code
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # here a closed pipe can still be noticed
    except BrokenPipeError:
        _drop_output()
        return CLOSED
    except OSError as error:
        if error.filename is not None:  # of a file, not of the output
            raise
        _drop_output()
        print(f"smelt: the output cannot be written ({error.strerror})", file=sys.stderr)
        return LOST
    except KeyboardInterrupt:
        if is_program:
            _ignore_ctrl_c()
        print(STOPPED, file=sys.stderr)
        return INTERRUPTED


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ignore_ctrl_c() -> None:
    """Lets the end of the program, which is under way, come in peace."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        app = program_of_all()
        tokens = sys.argv[1:] if arguments is None else arguments
        if tokens and tokens[0] in COMMANDS:
            app[tokens[0]].help = None  # its docstring says more than its line in the list
        from cyclopts import CycloptsError

        from smelt.cli.program import explained

        try:
            command, given, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
        except CycloptsError as error:
            print(explained(app, error), file=sys.stderr)
            raise SystemExit(WRONG) from None
        given.apply_defaults()
        return command(*given.args, **given.kwargs) or 0  # None of --help and --version
    except SmeltError as error:
        print(f"smelt: {error}", file=sys.stderr)
        return WRONG


def program_of_all() -> Any:
    """Returns the program with all its commands, a cyclopts.App.

    Raises:
        MissingExtra: cyclopts is not installed.
    """
    if find_spec("cyclopts") is None:
        raise MissingExtra("the command line", "cli")
    from smelt.cli.program import program

    where = {name: (f"smelt.cli.commands:{name}", does) for name, (_, does) in COMMANDS.items()}
    return program("smelt", DESCRIPTION, __version__, where)
