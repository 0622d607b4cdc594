"""Two ranks of one thread each, of Smelt and of PyTorch's DistributedDataParallel on gloo.

python benchmarks/distributed/compare.py --peers /path/to/python/with/torch

A line a network: milliseconds of a step by itself, with gradients summed up after the backward pass
("blocking"), and meanwhile ("overlap"), medians over the rounds; the share of the exchange that is
hidden, (blocking - overlap) / (blocking - none); and how many bytes of gradients a step copies
besides sending them: into buckets, and out again. The two libraries take turns.

For "none" and "blocking" PyTorch's model is called without its wrapper; its gradients are summed up
by buckets of the same size then.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

SIDE = Path(__file__).with_name("side.py")
ROOT = SIDE.parents[2]
NETWORKS = ("mlp", "cnn", "lstm", "transformer", "gan")
MODES = ("none", "blocking", "overlap")
RANKS = 2
COPIES = {"smelt": 1, "torch": 2}  # of a gradient: into a bucket; PyTorch's also back into `.grad`


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peers", required=True, help="a Python that has PyTorch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--only", nargs="*", choices=NETWORKS, default=list(NETWORKS))
    given = parser.parse_args()
    print("milliseconds a step   none  blocking  overlap   hidden   MB of gradients   MB copied")
    for name in given.only:
        for library in ("smelt", "torch"):
            print(line(name, library, measured(library, name, given)), flush=True)


def measured(library: str, name: str, given: Any) -> dict[str, Any]:
    """Returns what the first rank prints."""
    numbers = [library, name, str(given.rounds), str(given.steps)]
    environment = {**os.environ, "SMELT_THREADS": "1", "OMP_NUM_THREADS": "1"}
    if library == "smelt":
        mpiexec = Path(sys.executable).with_name("mpiexec")
        command = [str(mpiexec), "-n", str(RANKS), sys.executable, str(SIDE), *numbers]
        environment["PYTHONPATH"] = str(ROOT)
        done = subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True, timeout=600
        )
        return json.loads(done.stdout.splitlines()[-1])
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517", "WORLD_SIZE": str(RANKS)}
    processes = [
        subprocess.Popen(
            [given.peers, str(SIDE), *numbers],
            env={**environment, **place, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(RANKS)
    ]
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    return json.loads(outputs[0].splitlines()[-1])


def line(name: str, library: str, found: dict[str, Any]) -> str:
    """Returns a line of the table."""
    middle = {mode: 1e3 * statistics.median(found["seconds"][mode]) for mode in MODES}
    exchange = middle["blocking"] - middle["none"]
    hidden = (middle["blocking"] - middle["overlap"]) / exchange if exchange > 0 else float("nan")
    times = "  ".join(f"{middle[mode]:7.2f}" for mode in MODES)
    megabytes = found["bytes"] / 1e6
    copied = megabytes * COPIES[library]
    return f"{name:12} {library:6} {times}   {hidden:6.0%}   {megabytes:15.2f}   {copied:9.2f}"


if __name__ == "__main__":
    main()
