"""The smelt command: one function a command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from smelt import __version__
from smelt.cli.book import book
from smelt.cli.info import info
from smelt.cli.parser import make_parser
from smelt.cli.predict import predict
from smelt.cli.train import INTERRUPTED, train
from smelt.errors import SmeltError

__all__ = ["main"]

DESCRIPTION = "Deep learning whose whole training step is one native function."
WRONG = (
    2  # the exit code of argparse for bad arguments, and ours for whatever else is wrong with them
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    parser = make_parser("smelt", DESCRIPTION, __version__, (train, predict, book, info))
    given = vars(parser.parse_args(arguments))
    command = given.pop("command")
    try:
        return command(**given)
    except SmeltError as error:
        print(f"smelt: {error}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("smelt: stopped by Ctrl-C", file=sys.stderr)
        return INTERRUPTED
