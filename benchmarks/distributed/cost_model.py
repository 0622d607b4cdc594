"""What a step costs on 1 to 1,024 ranks: a model, fitted to measurements on 1 and 2 ranks here.

python benchmarks/distributed/cost_model.py [--figure docs/distributed_cost.png]

A sum of n bytes over P ranks takes (Thakur, Rabenseifner, Gropp: "Optimization of collective
communication operations in MPICH", 2005)

    sum(n, P) = 2 log2(P) (a + (u - 1) s) + 2 (P - 1) / P n b,    u = max(1, P / cores)

with a seconds a message and b seconds a byte (sending, and adding up); where ranks share cores, one
that waits spins, and each message waits for others' turns besides, s seconds. A step of weak
scaling, each rank with a batch of its own, takes

    step(P) = c u + k sum(16 bytes, P) + f sum(gradients, P)

with c seconds for one rank alone, k messages that are not about bytes (the agreement, and one for
each bucket but one), and the share f of the sum that shows: less than 1 by what is hidden behind
the backward pass, more by copies into buckets. a and b are fitted to sums on 2 ranks, s to the
smallest sum on 4, c is measured on 1, f on 2. With f = 1 the step on 2 ranks is predicted, with
the measured f that on 4.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

SIDE = Path(__file__).with_name("cost_side.py")
ROOT = SIDE.parents[2]
BUCKET_BYTES = 1 << 20
NETWORKS = {  # seconds a message, seconds a byte, as their vendors say; adding up by memory speed
    "10 Gbit/s Ethernet": (30e-6, 1 / 1.2e9),
    "100 Gbit/s InfiniBand": (2e-6, 1 / 11e9),
}


def main() -> None:
    """Prints the fit, predictions beside measurements, and draws the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    found = {count: measured(count, given.rounds) for count in (1, 2, 4)}
    a, b = fitted(found[2]["sums"])
    smallest, seconds = next(iter(found[4]["sums"].items()))
    shared = max(1.0, 4 / given.cores)
    left = seconds - total(4 * int(smallest), 4, a, b)
    turn = max(0.0, left / (4 * (shared - 1))) if shared > 1 else 0.0
    print(f"a message takes {1e6 * a:.1f} us, a byte {1e9 * b:.2f} ns ({1e-9 / b:.2f} GB/s)")
    print(f"where ranks share cores, a message waits {1e3 * turn:.2f} ms for the others' turns")
    print("sum over 2 ranks, us: " + sums_text(found[2]["sums"], a, b, 2))
    print("sum over 4 ranks, us: " + sums_text(found[4]["sums"], a, b, 4, turn * (shared - 1)))
    nbytes, alone = 4 * found[1]["floats"], found[1]["alone"]
    print(f"one rank takes {1e3 * alone:.2f} ms a step, {nbytes / 1e6:.2f} MB of gradients")
    guess = step(2, alone, nbytes, (a, b, turn), 1.0, given.cores)
    measured_two = found[2]["step"]
    print(f"2 ranks: predicted {1e3 * guess:.2f} ms, measured {1e3 * measured_two:.2f} ms")
    rest = measured_two - step(2, alone, nbytes, (a, b, turn), 0.0, given.cores)
    share = max(0.0, rest / total(nbytes, 2, a, b))
    print(f"so {share:.2f} of the sum shows")
    guess = step(4, alone, nbytes, (a, b, turn), share, given.cores)
    print(f"4 ranks: predicted {1e3 * guess:.2f} ms, measured {1e3 * found[4]['step']:.2f} ms")
    if given.figure is not None:
        draw(given.figure, alone, nbytes, {"this machine's memory": (a, b), **NETWORKS}, share)


def measured(count: int, rounds: int) -> dict[str, Any]:
    """Returns what the first of so many ranks prints."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    command = [str(mpiexec), "-n", str(count), sys.executable, str(SIDE), str(rounds)]
    environment = {**os.environ, "SMELT_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True, timeout=900
    )
    return json.loads(done.stdout.splitlines()[-1])


def total(nbytes: float, ranks: int, a: float, b: float, wait: float = 0.0) -> float:
    """Returns the seconds of a sum; `wait` is what a message waits for the turns of others."""
    return 2 * math.log2(ranks) * (a + wait) + 2 * (ranks - 1) / ranks * nbytes * b


def step(
    ranks: int,
    alone: float,
    nbytes: float,
    fit: tuple[float, float, float],
    share: float,
    cores: float,
) -> float:
    """Returns the seconds of a step; `cores` are those that all ranks share."""
    a, b, turn = fit
    shared = max(1.0, ranks / cores)
    messages = 1 + nbytes // BUCKET_BYTES
    short = messages * total(16, ranks, a, b, turn * (shared - 1))
    return alone * shared + short + share * total(nbytes, ranks, a, b, turn * (shared - 1))


def fitted(sums: dict[str, float]) -> tuple[float, float]:
    """Returns a and b by least squares of relative errors, on two ranks: 2 a + n b."""
    sizes = np.array([4.0 * int(size) for size in sums])
    seconds = np.array([*sums.values()])
    rows = np.stack([2 * np.ones_like(sizes), sizes], 1) / seconds[:, None]
    (a, b), *_ = np.linalg.lstsq(rows, np.ones_like(sizes), rcond=None)
    return max(float(a), 1e-9), max(float(b), 1e-13)


def sums_text(sums: dict[str, float], a: float, b: float, ranks: int, wait: float = 0.0) -> str:
    """Returns measured and modeled microseconds for some sizes."""
    shown = [(4 * int(size), seconds) for size, seconds in list(sums.items())[::3]]
    return ", ".join(
        f"{nbytes:,} bytes {1e6 * seconds:.0f} ({1e6 * total(nbytes, ranks, a, b, wait):.0f})"
        for nbytes, seconds in shown
    )


def draw(
    path: Path, alone: float, nbytes: float, networks: dict[str, tuple[float, float]], share: float
) -> None:
    """Draws how much of a rank's time is spent computing, by the number of ranks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8.5, 4), layout="constrained")
    counts = [1 << power for power in range(11)]
    for name, (a, b) in networks.items():
        for shown, style in ((share, "-"), (0.25, ":")):
            fit = a, b, 0.0
            times = [step(count, alone, nbytes, fit, shown, math.inf) for count in counts]
            shares = [100 * alone / seconds for seconds in times]
            axes.plot(counts, shares, style, marker=".", label=f"{name}, {shown:.2f} shows")
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.set_ylim(0, 105)
    axes.set_xlabel("ranks")
    axes.set_ylabel("% of a step that is computing")
    axes.set_title(f"{nbytes / 1e6:.1f} MB of gradients, {1e3 * alone:.1f} ms a step on one rank")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
