"""Training steps of the book's networks and three more: Smelt, PyTorch and JAX, side by side.

python benchmarks/workloads.py --peers /path/to/python/with/torch/and/jax
python benchmarks/workloads.py --only gan sum-mod --threads 1

Each side runs in a process of its own, in turn with the others; what counts is the median, and of
one and two threads the better. Beside them stands the limit: the operations of the step's products
at the speed of a loop of nothing but multiply-adds, measured in its own turn. Before anything is
timed, the losses of the first steps of all sides are compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
from steps import WORKLOADS
from steps.sides import jax_side, peak_side, smelt_side, torch_side

SIDES = ("smelt", "torch", "torch.compile", "jax", "smelt peak")
COLUMNS = {  # of the table: the side, and which of its ways
    "Smelt, a call": ("smelt", "call"),
    "Smelt, repeat": ("smelt", "repeat"),
    "PyTorch": ("torch", "call"),
    "torch.compile": ("torch.compile", "call"),
    "JAX, a call": ("jax", "call"),
    "JAX, scan": ("jax", "scan"),
    "limit": ("smelt peak", "limit"),
}
TOLERANCE = 1e-3  # by which losses after a few steps may differ, relatively
Times = dict[str, float]


def main() -> None:
    """Times the workloads that the command line names and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has torch and jax")
    parser.add_argument("--only", nargs="*", choices=WORKLOADS, metavar="NAME", help="workloads")
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=SIDES, metavar="SIDE")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each side")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--json", type=Path, help="also write the times to this file")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        harness.serve(lambda: side(options.side))
        return
    times = {}
    for name in options.only or WORKLOADS:
        times[name] = best(name, options)
        print(line(name, times[name]), flush=True)
    print("\n" + markdown(times))
    if options.json:
        options.json.write_text(json.dumps(times, indent=1))


def side(text: str) -> Iterator[dict[str, Any]]:
    """Returns the side that "SIDE of WORKLOAD" names."""
    which, name = text.split(" of ")
    workload = WORKLOADS[name]
    if which.startswith("torch"):
        return torch_side(workload, compiled=which == "torch.compile")
    return {"smelt": smelt_side, "jax": jax_side, "smelt peak": peak_side}[which](workload)


def best(name: str, options: argparse.Namespace) -> Times:
    """Returns the median seconds of each column, of several numbers of threads the best."""
    fastest: Times = {}
    for threads in options.threads:
        losses: dict[str, list[float]] = {}

        def listen(side: str, told: dict[str, Any], losses: Any = losses) -> None:
            losses |= {side: told["losses"]} if "losses" in told else {}

        names = [f"{side} of {name}" for side in options.sides]
        medians = harness.compare(names, options.peers, options.rounds, threads, listen)
        agree(losses)
        for column, (side, way) in COLUMNS.items():
            seconds = medians.get(f"{side} of {name}", {}).get(way)
            if seconds is not None:
                fastest[column] = min(seconds, fastest.get(column, seconds))
    return fastest


def agree(losses: dict[str, list[float]]) -> None:
    """Ends the benchmark when two sides do not compute the same.

    Of torch.compile it is only said: on the LeNet-like network PyTorch 2.13 compiled goes another
    way than PyTorch itself, with which Smelt agrees.
    """
    (first, expected), *others = losses.items()
    for side, got in others:
        pairs = list(zip(expected, got, strict=True))
        if all(abs(a - b) <= TOLERANCE * max(abs(a), abs(b)) for a, b in pairs):
            continue
        message = f"the losses of {first} and {side} differ: {expected} and {got}"
        if not side.startswith("torch.compile"):
            sys.exit(message)
        print(message)


def line(name: str, times: Times) -> str:
    """Returns one workload's times in microseconds, as it is printed when it is done."""
    return f"{name:<16}" + "".join(f"{column}: {shown(times[column])}   " for column in times)


def markdown(times: dict[str, Times]) -> str:
    """Returns all times as a table in microseconds, the factors to Smelt's best in brackets."""
    rows = [
        "| step, microseconds | " + " | ".join(COLUMNS) + " |",
        "| --- |" + " --- |" * len(COLUMNS),
    ]
    for name, times_of in times.items():
        ours = min(
            (
                times_of[column]
                for column in COLUMNS
                if column in times_of and column.startswith("Smelt")
            ),
            default=0,
        )
        cells = [cell(times_of.get(column), ours) for column in COLUMNS]
        rows.append(f"| {WORKLOADS[name].title} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def cell(seconds: float | None, ours: float) -> str:
    """Returns a time, and how many times Smelt's best it is."""
    if seconds is None:
        return "-"
    return f"{shown(seconds)} ({seconds / ours:.2g})" if ours else shown(seconds)


def shown(seconds: float) -> str:
    """Returns microseconds with three digits at least."""
    micro = 1e6 * seconds
    return f"{micro:,.0f}" if micro >= 100 else f"{micro:.3g}"


if __name__ == "__main__":
    main()
