"""Side-by-side timing: each side in a process of its own, in turn, so that a noisy machine is fair.

A benchmark file is both the driver and every side. Run plainly it starts one process per side
(`--side NAME`), asks them in turn for one measurement a round, and prints medians and ratios:

    python benchmarks/digits.py --peers /path/to/python/with/torch/and/jax

Sides whose library is missing are left out and named. A side is a generator: it prepares and warms
up and yields what it has to tell then, after that a dictionary of seconds each time it is asked.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Side = Callable[[], Iterator[dict[str, Any]]]

ROOT = Path(__file__).resolve().parent.parent


def main(
    title: str,
    sides: dict[str, Side],
    unit: str = "us",
    threads: tuple[int, ...] = (1, 2),
    by_quantity: bool = False,
) -> None:
    """Runs the benchmark as the command line says; `sides` maps a name to its generator.

    `by_quantity` prints a line for each quantity with all sides in it, in place of one for each.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has torch and jax")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each side")
    parser.add_argument("--threads", type=int, nargs="*", default=list(threads))
    parser.add_argument("--only", nargs="*", help="sides to run")
    parser.add_argument("--json", type=Path, help="also write the medians to this file")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        serve(sides[options.side])
        return
    chosen = {
        name: side for name, side in sides.items() if not options.only or name in options.only
    }
    everything = {}
    for count in options.threads:
        print(f"\n{title}: {count} thread{'s' if count > 1 else ''}, medians of {options.rounds}")
        medians = compare(list(chosen), options.peers, options.rounds, count)
        (show_quantities if by_quantity else show)(medians, unit)
        everything[str(count)] = medians
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1))


def serve(side: Side) -> None:
    """Answers every line of standard input with one measurement, as JSON."""
    try:
        measurements = side()
        told = next(measurements)
    except ImportError as missing:
        print(json.dumps({"missing": str(missing)}), flush=True)
        return
    print(json.dumps({"ready": True} | told), flush=True)
    for _ in sys.stdin:
        print(json.dumps(next(measurements)), flush=True)


def compare(
    names: list[str],
    peers: str,
    rounds: int,
    threads: int,
    listen: Callable[[str, dict[str, Any]], None] = lambda name, told: None,
) -> dict[str, dict[str, float]]:
    """Returns the median seconds of every quantity of every side, measured in turn.

    `listen` is called with what each side has to tell once it is ready.
    """
    processes = {name: _start(name, peers, threads) for name in names}
    for name in list(processes):
        answer = json.loads(processes[name].stdout.readline() or '{"missing": "it died"}')
        if "missing" in answer:
            print(f"  {name} is left out: {answer['missing']}")
            processes.pop(name)
        else:  # it sleeps out of turn: some libraries' threads never stop looking for work
            processes[name].send_signal(signal.SIGSTOP)
            listen(name, answer)
    seen: dict[str, dict[str, list[float]]] = {name: {} for name in processes}
    for _ in range(rounds):
        for name, process in processes.items():
            process.send_signal(signal.SIGCONT)
            print("go", file=process.stdin, flush=True)
            for what, seconds in json.loads(process.stdout.readline()).items():
                seen[name].setdefault(what, []).append(seconds)
            process.send_signal(signal.SIGSTOP)
    for process in processes.values():
        process.send_signal(signal.SIGCONT)
        process.stdin.close()
        process.wait()
    return {
        name: {what: statistics.median(times) for what, times in seconds_of.items()}
        for name, seconds_of in seen.items()
    }


def _start(name: str, peers: str, threads: int) -> subprocess.Popen[str]:
    python = sys.executable if name.startswith("smelt") else peers
    count = str(threads)
    environment = os.environ | {
        "SMELT_THREADS": count,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=" + ("true" if threads > 1 else "false"),
        "PYTHONPATH": str(ROOT),
    }
    command = [python, sys.argv[0], "--side", name]
    if threads == 1 and sys.platform == "linux":
        command = ["taskset", "-c", "0", *command]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def show(medians: dict[str, dict[str, float]], unit: str) -> None:
    """Prints a line per side and quantity, with the ratio to the best of Smelt's."""
    scale = {"us": 1e6, "ms": 1e3, "s": 1.0}[unit]
    ours = [
        seconds
        for name, seconds_of in medians.items()
        if name.startswith("smelt")
        for seconds in seconds_of.values()
    ]
    best = min(ours, default=float("nan"))
    for name, seconds_of in medians.items():
        for what, seconds in seconds_of.items():
            print(f"  {name:<14}{what:<24}{scale * seconds:>12.2f} {unit}{seconds / best:>10.2f} x")


def show_quantities(medians: dict[str, dict[str, float]], unit: str) -> None:
    """Prints a line per quantity: each side's time, and the ratio of the first to the last."""
    scale, names = {"us": 1e6, "ms": 1e3, "s": 1.0}[unit], list(medians)
    print(f"  {'':<20}" + "".join(f"{name + ', ' + unit:>16}" for name in names) + f"{'ratio':>9}")
    for what in medians[names[0]]:
        times = [medians[name][what] for name in names if what in medians[name]]
        shown = "".join(f"{scale * seconds:>16.2f}" for seconds in times)
        print(f"  {what:<20}{shown}{times[0] / times[-1]:>9.2f}")
