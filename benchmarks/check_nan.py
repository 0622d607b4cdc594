"""What `smelt.settings(check_nan=True)` costs of a training step, for each workload.

python benchmarks/check_nan.py

With and without it run in turn, in one process; what counts is the processor time of a step on one
thread, the median of the rounds. `call` is a call a step, `repeat` as many steps as a measurement
takes in one call.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import smelt
from smelt.bench.sides import smelt_library
from smelt.bench.workload import Workload
from smelt.bench.workloads import WORKLOADS

MODES = (False, True)  # of the switch
SECONDS = 0.3  # that a measurement takes


def main() -> None:
    """Prints one line a workload."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=WORKLOADS, default=list(WORKLOADS))
    options = parser.parse_args()
    print("microseconds a step    call    checked          repeat    checked")
    for name in options.only:
        print(f"{name:16}" + "  ".join(map(compared, ways(WORKLOADS[name], options.rounds))))


def ways(workload: Workload, rounds: int) -> list[dict[bool, float]]:
    """Returns the seconds of a step without and with the check, by call and by `repeat`."""
    arrays = tuple(smelt.tensor(array) for array in workload.arrays())
    step = smelt.compile(workload.step(smelt_library(), workload.weights(), False))

    def called(count: int) -> None:
        for _ in range(count):
            step(*arrays)

    with smelt.settings(threads=1):
        return [medians(run, rounds) for run in (called, lambda n: step.repeat(n, *arrays))]


def medians(run: Callable[[int], Any], rounds: int) -> dict[bool, float]:
    """Returns the median seconds of a step in each mode, measured in turn."""
    times: dict[bool, list[float]] = {mode: [] for mode in MODES}
    for mode in MODES:
        seconds(run, 2, mode)  # traces, compiles
    count = max(1, int(SECONDS / seconds(run, 10, False)))
    for _ in range(rounds):
        for mode in MODES:
            times[mode].append(seconds(run, count, mode))
    return {mode: statistics.median(found) for mode, found in times.items()}


def seconds(run: Callable[[int], Any], count: int, mode: bool) -> float:
    """Returns the processor time of a step."""
    with smelt.settings(check_nan=mode):
        start = time.process_time()
        run(count)
        return (time.process_time() - start) / count


def compared(found: dict[bool, float]) -> str:
    """Returns both times in microseconds, and how much the second is above the first."""
    more = 100 * (found[True] / found[False] - 1)
    return f"{1e6 * found[False]:10,.1f} {1e6 * found[True]:10,.1f} ({more:+.0f} %)"


if __name__ == "__main__":
    main()
