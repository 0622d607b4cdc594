"""The smelt command: one function a command."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from smelt import __version__
from smelt.cli.bench import bench
from smelt.cli.book import book
from smelt.cli.fit import fit
from smelt.cli.info import info
from smelt.cli.parser import make_parser, parse
from smelt.cli.predict import predict
from smelt.cli.train import train
from smelt.errors import SmeltError
from smelt.starting import INTERRUPTED, STOPPED, loaded

__all__ = ["main"]

COMMANDS = (train, fit, predict, bench, book, info)
DESCRIPTION = "Deep learning whose whole training step is one native function."
WRONG = (
    2  # the exit code of argparse for bad arguments, and ours for whatever else is wrong with them
)
LOST = 1  # the exit code when the output cannot be written
CLOSED = 128 + signal.SIGPIPE  # what a shell expects of a program whose reader has gone


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code.

    Where nobody reads the output any more, as behind `| head -1`, it ends without a word; a
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
    parser = make_parser("smelt", DESCRIPTION, __version__, COMMANDS)
    command, given = parse(parser, arguments)
    try:
        return command(**given)
    except SmeltError as error:
        print(f"smelt: {error}", file=sys.stderr)
        return WRONG
