"""What a reader of files opens, imports and calls, as Python's audit events tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
WATCHED = """
import json, os, sys
{setup}

EVENTS = ["open", "import", "exec", "compile", "os.system", "os.exec", "os.posix_spawn"]
EVENTS += ["subprocess.Popen", "pickle.find_class", "socket.connect", "ctypes.dlopen"]
EVENTS += ["os.remove", "os.rename", "os.mkdir"]
seen = []
def watch(event, given):
    if event in EVENTS:
        seen.append([event, str(given[0])])

def read(path):
    try:
        load(path)
    except refusals:
        pass

paths = sys.argv[1:]
{first}  # loads what is loaded late
before = set(sys.modules)
sys.addaudithook(watch)
for path in paths:
    read(path)
open(os.devnull).close()  # which shows that the hook sees what is opened
seen = [entry for entry in seen if entry[1] not in paths]
print(json.dumps([seen, sorted(set(sys.modules) - before)]))
"""


def audited(
    setup: str, first: str, paths: Sequence[Path], folder: Path
) -> tuple[list[list[str]], list[str]]:
    """Returns the events of reading files, except of opening these, and what was imported.

    Args:
        setup: defines `load`, a function of a path, and `refusals`, the errors that it may raise.
        first: reads some of the `paths` before anything is watched, by `load` or by `read`, which
            passes over refusals.
        paths: the files.
        folder: in which the program runs.
    """
    done = subprocess.run(
        [sys.executable, "-c", WATCHED.format(setup=setup, first=first), *map(str, paths)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen, imported = json.loads(done.stdout)
    return seen, imported
