"""Checks that the types of all public names are known, as `pyright --verifytypes` counts them.

What people import is public: the modules of the reference. The compiler's rooms, the book and the
recipes are there to be read, and their types are mypy's to check.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
INTERNAL = ("bench", "book", "cli", "compiler", "control", "ir", "mpi", "ops", "recipes", "tracing")


def is_public(name: str) -> bool:
    """Whether a symbol is one that people may write."""
    parts = name.split(".")
    return len(parts) < 2 or parts[1] not in INTERNAL


def main() -> None:
    """Prints how complete the types are, and names each symbol whose type is not known."""
    command = [Path(sys.executable).with_name("pyright"), "--pythonpath", sys.executable]
    command += ["--verifytypes", "smelt", "--ignoreexternal", "--outputjson"]
    ran = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    try:
        symbols = json.loads(ran.stdout)["typeCompleteness"]["symbols"]
    except (ValueError, KeyError):
        sys.exit(f"pyright said no JSON:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    public = [one for one in symbols if one["isExported"] and is_public(one["name"])]
    unknown = sorted(one["name"] for one in public if not one["isTypeKnown"])
    share = 100 * (1 - len(unknown) / max(len(public), 1))
    print(f"types of {len(public):,} public symbols: {share:.1f} % known")
    if unknown or not public:
        sys.exit("\n".join(["not known:", *unknown]))


if __name__ == "__main__":
    main()
