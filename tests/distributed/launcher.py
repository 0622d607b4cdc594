"""Programs under a real mpiexec: `run` starts one on several ranks, and says what came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).with_name("programs")
MPIEXEC = Path(sys.executable).with_name("mpiexec")
# whose mpiexec ends ranks on Ctrl-C, where MPICH's passes it on
OPEN_MPI = MPIEXEC.resolve().name in ("mpirun.openmpi", "orterun", "prterun")
LONG = bool(os.environ.get("SMELT_LONG"))  # whether tests take all the time that they want
PATIENCE = 240.0  # seconds after which a program counts as hung, on a machine that is busy


@dataclass(frozen=True)
class Outcome:
    """How a program ended: its exit code, what it printed, how long it took, what ranks noted."""

    code: int
    output: str
    seconds: float
    ranks: list[Any]


def started(count: int, program: str, *arguments: Any, folder: Path) -> subprocess.Popen[str]:
    """Starts a program of the folder `programs` on so many ranks."""
    command = [str(MPIEXEC), "-n", str(count), sys.executable, str(PROGRAMS / f"{program}.py")]
    command += [str(folder), *map(str, arguments)]
    environment = {**os.environ, "SMELT_THREADS": "1"}
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    )


def ended(process: subprocess.Popen[str], folder: Path, began: float) -> Outcome:
    """Waits for a program's end; one that hangs is killed, and fails the test."""
    try:
        output, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        raise AssertionError(f"the ranks hang:\n{output}") from None
    notes = sorted(folder.glob("rank-*.json"))
    ranks = [json.loads(path.read_text()) for path in notes]
    return Outcome(process.returncode, output, time.monotonic() - began, ranks)


def run(count: int, program: str, *arguments: Any, folder: Path, code: int | None = 0) -> Outcome:
    """Runs a program; `code` is how it must end, None for any way."""
    folder.mkdir(exist_ok=True, parents=True)
    for path in folder.glob("rank-*.json"):
        path.unlink()
    began = time.monotonic()
    outcome = ended(started(count, program, *arguments, folder=folder), folder, began)
    assert code is None or outcome.code == code, outcome.output
    return outcome
