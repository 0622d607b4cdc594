"""Where the time of a step goes: shares of its kernels by kind, and how near the machine they are.

    python benchmarks/time_shares.py [CASE ...] [--kernels 8]

For each workload of `smelt bench` (default: the book's nine, and recurrences and Transformers of
some widths): milliseconds of a step and its share of the peak, then for each kind of kernel its
share of the time, 10^9 operations and bytes a second. Kernels are timed by themselves, in warm
caches. With `--kernels` the longest ones stand below.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import smelt
from smelt.bench.sides import smelt_library
from smelt.bench.workload import Workload
from smelt.bench.workloads import WORKLOADS
from smelt.bench.workloads.sweeps import SWEEPS
from smelt.compiler.report.explain import Row, measure
from smelt.compiler.report.roofline import Peak, measured_peak

MORE = ("lstm-128-32-32", "lstm-256-32-32", "transformer-128-32-16", "transformer-256-32-16")
KINDS = {  # by a word in a kernel's name, the first that fits
    "matmul": "products",
    "convolution": "convolutions",
    "copy": "copies",
    "exp": "with exp or tanh",
    "tanh": "with exp or tanh",
    "sigmoid": "with exp or tanh",
    "erf": "with exp or tanh",
    "window": "pooling",
    "sqrt": "updates",
}
OTHER = "other"


@dataclass
class Share:
    """What the kernels of a kind take and do together."""

    seconds: float = 0.0
    operations: float = 0.0
    nbytes: float = 0.0


def compiled(workload: Workload) -> tuple[smelt.CompiledStep, tuple[smelt.Tensor, ...]]:
    """Returns a workload's step and its arguments."""
    arrays = tuple([smelt.tensor(array) for array in workload.arrays()])
    return smelt.compile(workload.step(smelt_library(), workload.weights(), False)), arrays


def seconds_of(step: smelt.CompiledStep, arrays: tuple[smelt.Tensor, ...], steps: int) -> float:
    """Returns the seconds of a step, of the best of some rounds of `repeat`."""
    step(*arrays)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        step.repeat(steps, *arrays)
        best = min(best, (time.perf_counter() - start) / steps)
    return best


def kind_of(row: Row) -> str:
    name = row.call.kernel.name
    return next((kind for word, kind in KINDS.items() if word in name), OTHER)


def by_kind(rows: Iterable[Row]) -> dict[str, Share]:
    shares: dict[str, Share] = defaultdict(Share)
    for row in rows:
        share = shares[kind_of(row)]
        share.seconds += row.seconds
        share.operations += row.operations
        share.nbytes += row.nbytes
    return dict(sorted(shares.items(), key=lambda pair: -pair[1].seconds))


def show(name: str, workload: Workload, kernels: int, peak: Peak) -> None:
    """Prints the lines of one workload."""
    step, arrays = compiled(workload)
    seconds = seconds_of(step, arrays, workload.steps)
    rows = measure(step.executables.newest)
    total = sum(row.seconds for row in rows)
    of_peak = workload.products / seconds / peak.gflops / 1e9
    print(f"{name}: {workload.title}")
    print(
        f"  {1e3 * seconds:.3f} ms, of which kernels {1e3 * total:.3f}; products and convolutions "
        f"at {of_peak:.0%} of the peak"
    )
    for kind, share in by_kind(rows).items():
        if share.seconds > 0.005 * total:
            print(f"  {kind:<18} {share.seconds / total:>5.0%} {_rates(share, peak)}")
    for row in sorted(rows, key=lambda row: -row.seconds)[:kernels]:
        shape = "x".join(map(str, row.shape)) or "scalar"
        times = f" x {row.trip_count}" if row.trip_count > 1 else ""
        print(
            f"    {row.seconds / total:>5.1%} {_rates(row, peak)}  "
            f"{row.call.kernel.name}{times}, {shape}"
        )
    print(flush=True)


def _rates(done: Share | Row, peak: Peak) -> str:
    gflops, gbytes = done.operations / done.seconds / 1e9, done.nbytes / done.seconds / 1e9
    return f"{gflops:>7.1f} GFLOP/s ({gflops / peak.gflops:>4.0%}) {gbytes:>6.1f} GB/s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--kernels", type=int, default=0, help="how many of the longest to show")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    every = WORKLOADS | {name: one for sweep in SWEEPS.values() for name, one in sweep.items()}
    with smelt.settings(threads=options.threads):
        peak = measured_peak(options.threads > 1)
        print(
            f"peak of {options.threads} thread(s): {peak.gflops:.0f} GFLOP/s, "
            f"{peak.gbytes:.0f} GB/s from main memory\n"
        )
        for name in options.cases or [*WORKLOADS, *MORE]:
            show(name, every[name], options.kernels, peak)


if __name__ == "__main__":
    main()
