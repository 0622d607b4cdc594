"""What a step costs on 1 to 1,024 ranks: a model, fitted to measurements on 1 and 2 ranks here.

python benchmarks/distributed/cost_model.py [--figure docs/distributed_cost.png]

A sum of n bytes over P ranks takes (Thakur, Rabenseifner, Gropp: "Optimization of collective
communication operations in MPICH", 2005)

    sum(n, P) = 2 log2(P) a + 2 (P - 1) / P n b

with a seconds a message and b seconds a byte (sending, and adding up). A step of weak scaling, each
rank with a batch of its own, takes

    step(P) = c u + sum(16 bytes, P) + (1 - h) sum(gradients, P),    u = max(1, P / cores)

with c seconds for one rank alone and the share h of the sum that is hidden behind the backward
pass. a and b are fitted to sums on 2 ranks, c is measured on 1, and h follows from the step on
2; the step on 4 ranks, which share the cores here, is predicted.
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
    print(f"a message takes {1e6 * a:.1f} us, a byte {1e9 * b:.2f} ns ({1e-9 / b:.2f} GB/s)")
    print("sum over 2 ranks, us: " + sums_text(found[2]["sums"], a, b, 2))
    print("sum over 4 ranks, us: " + sums_text(found[4]["sums"], a, b, 4))
    nbytes, alone = 4 * found[1]["floats"], found[1]["alone"]
    both = max(found[2]["alone"], alone)  # what two ranks do to each other's memory is no exchange
    exposed = found[2]["step"] - both - total(16, 2, a, b)
    hidden = min(1.0, max(0.0, 1 - exposed / total(nbytes, 2, a, b)))
    print(f"one rank takes {1e3 * alone:.2f} ms a step; {100 * hidden:.0f} % of the sum is hidden")
    for count in (2, 4):
        guess = step(count, both, nbytes, a, b, hidden, given.cores)
        print(
            f"{count} ranks: predicted {1e3 * guess:.2f} ms, measured "
            f"{1e3 * found[count]['step']:.2f} ms"
        )
    if given.figure is not None:
        draw(given.figure, alone, nbytes, {"this machine's memory": (a, b), **NETWORKS}, hidden)


def measured(count: int, rounds: int) -> dict[str, Any]:
    """Returns what the first of so many ranks prints."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    command = [str(mpiexec), "-n", str(count), sys.executable, str(SIDE), str(rounds)]
    environment = {**os.environ, "SMELT_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True, timeout=900
    )
    return json.loads(done.stdout.splitlines()[-1])


def total(nbytes: float, ranks: int, a: float, b: float) -> float:
    """Returns the seconds of a sum."""
    return 2 * math.log2(ranks) * a + 2 * (ranks - 1) / ranks * nbytes * b


def step(
    ranks: int, alone: float, nbytes: float, a: float, b: float, hidden: float, cores: float
) -> float:
    """Returns the seconds of a step; `cores` are those that all ranks share."""
    exchange = total(16, ranks, a, b) + (1 - hidden) * total(nbytes, ranks, a, b)
    return alone * max(1.0, ranks / cores) + exchange


def fitted(sums: dict[str, float]) -> tuple[float, float]:
    """Returns a and b by least squares of relative errors, on two ranks: 2 a + n b."""
    sizes = np.array([4.0 * int(size) for size in sums])
    seconds = np.array([*sums.values()])
    rows = np.stack([2 * np.ones_like(sizes), sizes], 1) / seconds[:, None]
    (a, b), *_ = np.linalg.lstsq(rows, np.ones_like(sizes), rcond=None)
    return max(float(a), 1e-9), max(float(b), 1e-13)


def sums_text(sums: dict[str, float], a: float, b: float, ranks: int) -> str:
    """Returns measured and modeled microseconds for some sizes."""
    shown = [(4 * int(size), seconds) for size, seconds in list(sums.items())[::3]]
    return ", ".join(
        f"{nbytes:,} bytes {1e6 * seconds:.0f} ({1e6 * total(nbytes, ranks, a, b):.0f})"
        for nbytes, seconds in shown
    )


def draw(
    path: Path, alone: float, nbytes: float, networks: dict[str, tuple[float, float]], hidden: float
) -> None:
    """Draws how much of a rank's time is spent computing, by the number of ranks."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    counts = [1 << power for power in range(11)]
    for name, (a, b) in networks.items():
        for share, style in ((hidden, "-"), (0.0, ":")):
            times = [step(count, alone, nbytes, a, b, share, math.inf) for count in counts]
            shares = [100 * alone / seconds for seconds in times]
            label = f"{name}, {100 * share:.0f} % hidden"
            axes.plot(counts, shares, style, marker=".", label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.set_ylim(0, 105)
    axes.set_xlabel("ranks")
    axes.set_ylabel("% of a step that is computing")
    axes.set_title(f"{nbytes / 1e6:.1f} MB of gradients, {1e3 * alone:.1f} ms a step on one rank")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
