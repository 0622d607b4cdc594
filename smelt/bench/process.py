"""What a whole process takes: its time, its processor time, and its memory at the most."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Process", "run_process"]


@dataclass(frozen=True, slots=True)
class Process:
    """What a process that has ended wrote, if that was captured, and what it took: seconds, seconds
    of processors, MiB at the peak.
    """

    output: str
    seconds: float
    cpu: float
    mebibytes: float


def run_process(command: Sequence[str], capture: bool = False, **options: Any) -> Process:
    """Runs a command to its end, and returns what it took.

    Args:
        command: the program and its arguments.
        capture: whether its standard output is returned; else it goes where this program's goes.
        options: of `subprocess.Popen`.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    began = time.perf_counter()
    stdout = subprocess.PIPE if capture else None
    with subprocess.Popen(command, stdout=stdout, text=True, **options) as process:
        output = process.stdout.read() if process.stdout is not None else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command), output)
    seconds = time.perf_counter() - began
    return Process(output, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
