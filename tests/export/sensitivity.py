"""How far trainings in float32 end from the same in float64, in C and in Python: not a test.

    python -m tests.export.sensitivity [NETWORK] [SEEDS]

For each seed of the start: the largest relative distance of a loss in 100 steps. It shows that a
network whose losses in C and in Python are apart is sensitive to rounding, whoever rounds: neither
is always nearer to float64, and in float64 both are the same.
"""

from __future__ import annotations

import sys

from tests.export.c_agreement import trained_once

STEPS, TARGET = 100, "gcc"


def main(name: str, seeds: int) -> None:
    print(f"{name}: distance of losses in {STEPS} steps")
    print(f"{'seed':>4}{'C, float64':>14}{'Python, float64':>18}{'C, Python':>14}{'both wide':>14}")
    for seed in range(1, seeds + 1):
        found = trained_once(name, TARGET, STEPS, seed=seed)
        found.wide = trained_once(name, TARGET, STEPS, wide=True, seed=seed)
        ours, python = found.from_wide()
        cells = f"{ours:>14.1e}{python:>18.1e}{found.losses:>14.1e}{found.wide.losses:>14.1e}"
        print(f"{seed:>4}{cells}", flush=True)


if __name__ == "__main__":
    main((sys.argv[1:] or ["resnet8"])[0], int((sys.argv[2:] or ["8"])[0]))
