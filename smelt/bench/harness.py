"""Side-by-side timing: each side in a process of its own, in turn, so that a noisy machine is fair.

A side is a generator: it prepares and warms up and yields what it has to tell then, after that a
dictionary of seconds by quantity each time it is asked. `samples` starts a process for each side,
asks them in turn for one measurement a round, and returns all of them. Out of turn a process
sleeps: the threads of some libraries never stop looking for work.

A side whose library is missing is left out and named. The sides of peers run in a Python of their
own, and import this package without Smelt: `smelt` is an empty stand-in there.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Side = Callable[[], Iterator[dict[str, Any]]]
Samples = dict[str, dict[str, list[float]]]  # side -> quantity -> seconds of every round
Listen = Callable[[str, dict[str, Any]], None]

OURS = ("smelt", "numpy")  # how the sides begin that run in this Python
ROOT = Path(__file__).resolve().parent.parent.parent
STAND_IN = """
import runpy, sys, types
package = types.ModuleType("smelt")
package.__path__ = [sys.argv.pop(1)]
sys.modules["smelt"] = package
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


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


def samples(
    script: str | Path,
    names: Sequence[str],
    peers: str,
    rounds: int,
    threads: int,
    listen: Listen = lambda name, told: None,
    environment: Mapping[str, str] | None = None,
) -> Samples:
    """Returns the seconds of every quantity of every side, measured in turn.

    Args:
        script: a file that serves one side: `script --side NAME`.
        names: of the sides; those that begin with "smelt" or "numpy" run in this Python.
        peers: the Python of the others.
        rounds: measurements of each side.
        threads: that each side may use.
        listen: is called with a side's name and what it has to tell when it is ready, or
            {"missing": why} where it is left out.
        environment: more variables for all sides.
    """
    processes: dict[str, subprocess.Popen[str]] = {}
    seen: Samples = {}
    try:
        for name in names:  # one after another: what they tell of themselves is not disturbed
            process = processes[name] = _start(script, name, peers, threads, environment or {})
            if _is_ready(name, process, listen):
                seen[name] = {}
        for _ in range(rounds):
            for name, times in seen.items():
                for what, seconds in _answer(processes[name]).items():
                    times.setdefault(what, []).append(seconds)
        return seen
    finally:
        for process in processes.values():
            process.send_signal(signal.SIGCONT)
            process.communicate()  # it ends with its input


def _is_ready(name: str, process: subprocess.Popen[str], listen: Listen) -> bool:
    """Waits for what a side has to tell, and lets it sleep; returns whether there is one."""
    assert process.stdout is not None
    answer = json.loads(process.stdout.readline() or '{"missing": "it died"}')
    listen(name, answer)
    if "missing" in answer:
        return False
    process.send_signal(signal.SIGSTOP)
    return True


def _answer(process: subprocess.Popen[str]) -> dict[str, float]:
    """Returns one measurement of a process that sleeps before and after it."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.send_signal(signal.SIGCONT)
    print("go", file=process.stdin, flush=True)
    answer: dict[str, float] = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGSTOP)
    return answer


def _start(
    script: str | Path, name: str, peers: str, threads: int, more: Mapping[str, str]
) -> subprocess.Popen[str]:
    count = str(threads)
    environment = os.environ | {
        "SMELT_THREADS": count,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=" + ("true" if threads > 1 else "false"),
        **more,
    }
    if name.startswith(OURS):
        environment["PYTHONPATH"] = str(ROOT)
        command = [sys.executable, str(script), "--side", name]
    else:
        command = [peers, "-c", STAND_IN, str(ROOT / "smelt"), str(script), "--side", name]
    if threads == 1 and sys.platform == "linux":
        command = ["taskset", "-c", "0", *command]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


# --- benchmarks of one file -----------------------------------------------------------------------


def main(
    title: str,
    sides: dict[str, Side],
    unit: str = "us",
    threads: tuple[int, ...] = (1, 2),
    by_quantity: bool = False,
) -> None:
    """Runs a benchmark as the command line says; `sides` maps a name to its generator.

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
    chosen = [name for name in sides if not options.only or name in options.only]
    everything = {}
    for count in options.threads:
        print(f"\n{title}: {count} thread{'s' if count > 1 else ''}, medians of {options.rounds}")
        medians = compare(chosen, options.peers, options.rounds, count)
        (show_quantities if by_quantity else show)(medians, unit)
        everything[str(count)] = medians
    if options.json:
        options.json.write_text(json.dumps(everything, indent=1))


def compare(names: list[str], peers: str, rounds: int, threads: int) -> dict[str, dict[str, float]]:
    """Returns the median seconds of every quantity of every side of the file that is running."""

    def listen(name: str, told: dict[str, Any]) -> None:
        if "missing" in told:
            print(f"  {name} is left out: {told['missing']}")

    found = samples(sys.argv[0], names, peers, rounds, threads, listen)
    return {
        name: {what: statistics.median(times) for what, times in seconds_of.items()}
        for name, seconds_of in found.items()
    }


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
