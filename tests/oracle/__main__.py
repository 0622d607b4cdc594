"""Compares all of Smelt that PyTorch's databases know with PyTorch, and prints the counts.

    script/test-oracle /path/to/python/with/torch [--names sum] [--checks value,first] [--limit 5]

The exit status is 1 when a difference is not on the list of `known.py`, when a listed one is gone,
or when Smelt let an error of Python or NumPy through.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings

import numpy as np

from tests.oracle import modules, operators, optimizers, schedules
from tests.oracle.outcome import AGREE, ENDS, LISTED, NEW, RAW, Tally
from tests.oracle.record import record

# each has `walk(tally, names, checks, limit)`, which compares everything of one database
DATABASES = {
    "op_db": operators.walk,
    "module_db": modules.walk,
    "optim_db": optimizers.walk,
    "lr_scheduler": schedules.walk,
}
CHECKS = ("value", "compiled", "first", "second")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="test-oracle")
    parser.add_argument("--databases", default=",".join(DATABASES), help="which databases")
    parser.add_argument("--names", default="", help="a pattern of names in the databases")
    parser.add_argument("--checks", default=",".join(CHECKS), help="which of " + ", ".join(CHECKS))
    parser.add_argument(
        "--limit", type=int, default=sys.maxsize, help="samples for each name and dtype"
    )
    parser.add_argument(
        "--record", action="store_true", help="write PyTorch's answers for the tests without it"
    )
    return parser.parse_args()


def report(tally: Tally, complete: set[str]) -> bool:
    """Prints each difference once, then the counts; returns whether all is as the list says.

    Args:
        tally: the ends of the comparisons.
        complete: the databases of which everything was compared.
    """
    gone = tally.gone(complete)
    for line in tally.lines(tuple(end for end in ENDS if end not in (AGREE, LISTED))):
        print(line)
    for known in gone:
        print(f"[gone] {known}")
    print(f"{len(tally.names)} names")
    for end in ENDS:
        print(f"{tally.counts[end]:8} {end}")
    return not (gone or tally.counts[NEW] or tally.counts[RAW])


def main() -> int:
    given = options()
    checks = set(given.checks.split(","))
    databases = given.databases.split(",")
    pattern = re.compile(given.names)

    def names(name: str) -> bool:
        return bool(pattern.search(name))

    if given.record:
        record(names)
        return 0
    tally = Tally()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for database in databases:
            DATABASES[database](tally, names, checks, given.limit)
    complete = not given.names and checks == {*CHECKS} and given.limit == sys.maxsize
    return 0 if report(tally, {*databases} if complete else set()) else 1


if __name__ == "__main__":
    sys.exit(main())
