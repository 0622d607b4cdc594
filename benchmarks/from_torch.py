"""One training step of modules of PyTorch's, there and imported: agreement, and steps a second.

    python benchmarks/from_torch.py --peers /path/to/python/with/torch [--models resnet18 BertModel]

That Python also needs numpy and llvmlite, and torchvision and transformers for their models; a
model whose package is missing is left out, which is said. Each model has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

ROUNDS = 5
SECONDS = 1.0  # of each side in a round


def measure(name: str) -> dict[str, Any]:
    """Compares a model, and times its training step in both libraries, in turns."""
    import torch

    import smelt
    from smelt import optim
    from smelt.export.torch.examples import as_smelt
    from tests.export.torch_zoo import ZOO, compare, floats_of

    threads = int(os.environ["SMELT_THREADS"])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    example = ZOO[name]()
    start = time.perf_counter()
    model, errors = compare(example, compiled=True)
    compared = time.perf_counter() - start

    inputs, options = as_smelt(example.inputs), as_smelt(dict(example.options))
    optimizer = optim.SGD(model.parameters(), lr=1e-4)
    theirs = torch.optim.SGD(example.model.parameters(), lr=1e-4)

    @smelt.compile
    def step() -> Any:
        loss = sum((x * x).mean() for x in floats_of(model(*inputs, **options)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    def step_of_torch() -> Any:
        outputs = floats_of(example.model(*example.inputs, **example.options))
        loss = sum((x * x).mean() for x in outputs)
        theirs.zero_grad()
        loss.backward()
        theirs.step()
        return loss

    rates = {"smelt": [], "torch": []}
    sides = {"smelt": step, "torch": step_of_torch}
    for run in sides.values():
        run(), run()
    for _ in range(ROUNDS):
        for side, run in sides.items():
            rates[side].append(rate(run))
    parameters = sum(one.numel() for one in example.model.parameters())
    medians = {side: statistics.median(found) for side, found in rates.items()}
    return {**errors._asdict(), **medians, "parameters": parameters, "seconds": compared}


def rate(step: Callable[[], Any]) -> float:
    """Returns how many steps are run in a second."""
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < SECONDS or count < 2:
        step()
        count += 1
    return count / elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--models", nargs="*", help="names; all of them by default")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if given.one:
        print(json.dumps(measure(given.one)))
        return
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "SMELT_THREADS": given.threads, "PYTHONPATH": paths}
    listed = "from tests.export.torch_zoo import ZOO; print(*ZOO, sep='\\n')"
    names = (
        given.models
        or subprocess.run(
            [given.peers, "-c", listed], env=environment, check=True, capture_output=True, text=True
        ).stdout.splitlines()
    )
    heads = ("evaluated", "trained", "gradients", "Smelt", "PyTorch", "ratio", "s to compare")
    print(f"{'':24}{'parameters':>12}" + "".join(f"{head:>13}" for head in heads))
    for name in names:
        command = [given.peers, __file__, "--one", name]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            print(f"{name:24} {done.stderr.strip().splitlines()[-1]}")
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        cells = [f"{found[head]:.1e}" for head in heads[:3]]
        cells += [f"{found['smelt']:.1f}", f"{found['torch']:.1f}"]
        cells += [f"{found['smelt'] / found['torch']:.2f}", f"{found['seconds']:.1f}"]
        print(
            f"{name:24}{found['parameters']:12,}" + "".join(f"{cell:>13}" for cell in cells),
            flush=True,
        )


if __name__ == "__main__":
    main()
