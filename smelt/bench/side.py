"""The program that serves one side of one case: `side.py --side "smelt of char-gpt"`."""

from __future__ import annotations

import sys

from smelt.bench.case import GROUPS
from smelt.bench.harness import serve

if __name__ == "__main__":
    which, _, case = sys.argv[2].partition(" of ")
    (found,) = (cases[case] for cases in GROUPS.values() if case in cases)
    serve(found.sides[which])
