"""Compares all of Smelt that PyTorch's databases know with PyTorch, and prints the counts.

    script/test-oracle /path/to/python/with/torch [--names sum] [--checks value,first] [--limit 5]

Everything takes more than an hour, most of it for compiling; half of that when the object cache
still has the programs. In parts, whose counts add up in a file (the last one shows those of all):

    for part in 1 2 3 4 5 6 7 8; do
        script/test-oracle /path/to/python/with/torch --part $part/8 --counts /tmp/counts.json
    done

Ctrl-C ends a run with what was compared until then. The exit status is 1 when a difference is not
on the list of `known.py`, when a listed one is gone, when Smelt let an error of Python or NumPy
through, or when the run was interrupted.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import sys
import warnings
import zlib
from collections.abc import Callable

import numpy as np

from tests.oracle import modules, operators, optimizers, refusals, schedules
from tests.oracle.outcome import AGREE, ENDS, LISTED, NEW, RAW, Tally
from tests.oracle.record import record

# each has `walk(tally, names, checks, limit)`, which compares everything of one database
DATABASES = {
    "op_db": operators.walk,
    "module_db": modules.walk,
    "optim_db": optimizers.walk,
    "lr_scheduler": schedules.walk,
    "refusals": refusals.walk,
}
CHECKS = ("value", "compiled", "first", "second", "refused")


def fraction(text: str) -> tuple[int, int]:
    part, count = map(int, text.split("/"))
    if not 1 <= part <= count:
        raise argparse.ArgumentTypeError(f"{text}: the parts of {count} are 1 to {count}")
    return part, count


def wanted(given: argparse.Namespace) -> Callable[[str], bool]:
    """Returns which names are asked for: those of a pattern that fall into a part."""
    pattern, (part, count) = re.compile(given.names), given.part
    return lambda name: bool(pattern.search(name) and zlib.crc32(name.encode()) % count == part - 1)


def add_counts(tally: Tally, path: pathlib.Path) -> None:
    """Adds the counts of earlier runs to a tally, and writes the sums for the next one."""
    before = json.loads(path.read_text()) if path.exists() else []
    for *key, count in before:
        tally.counts[tuple(key)] += count
    path.write_text(json.dumps([[*key, count] for key, count in tally.counts.items()]))


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="test-oracle")
    parser.add_argument("--databases", default=",".join(DATABASES), help="which databases")
    parser.add_argument("--names", default="", help="a pattern of names in the databases")
    parser.add_argument(
        "--part", type=fraction, default=(1, 1), help="1/8: the first of eight parts of the names"
    )
    parser.add_argument("--checks", default=",".join(CHECKS), help="which of " + ", ".join(CHECKS))
    parser.add_argument(
        "--limit", type=int, default=sys.maxsize, help="samples for each name and dtype"
    )
    parser.add_argument(
        "--counts", type=pathlib.Path, help="a file to which this run's counts are added"
    )
    parser.add_argument(
        "--record", action="store_true", help="write PyTorch's answers for the tests without it"
    )
    return parser.parse_args()


def report(tally: Tally, complete: set[str], earlier: pathlib.Path | None) -> bool:
    """Prints each difference once, then the counts; returns whether all is as the list says.

    Args:
        tally: the ends of the comparisons.
        complete: the databases of which everything was compared.
        earlier: the file with the counts of earlier runs, which are shown too.
    """
    gone = tally.gone(complete)
    for line in tally.lines(tuple(end for end in ENDS if end not in (AGREE, LISTED))):
        print(line)
    for known in gone:
        print(f"[gone] {known}")
    right = not (gone or tally.total(NEW) or tally.total(RAW))
    if earlier:
        add_counts(tally, earlier)
    print(f"{len(tally.names)} names")
    print(*tally.table(), sep="\n")
    return right


def main() -> int:
    given = options()
    checks = set(given.checks.split(","))
    databases = given.databases.split(",")
    names = wanted(given)
    if given.record:
        record(names)
        return 0
    tally, interrupted = Tally(), False
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            for database in databases:
                DATABASES[database](tally, names, checks, given.limit)
        except KeyboardInterrupt:
            interrupted = True
            print("interrupted; what was compared until then:")
    everything = not given.names and given.part[1] == 1 and given.limit == sys.maxsize
    complete = {*databases} if everything and checks == {*CHECKS} and not interrupted else set()
    return 0 if report(tally, complete, given.counts) and not interrupted else 1


if __name__ == "__main__":
    sys.exit(main())
