"""One rank, for `cost_model.py`: seconds of a sum over ranks by its size, and of a training step.

python cost_side.py ROUNDS; rank 0 prints JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import distributed, nn, optim

ROUNDS = int(sys.argv[1])
SIZES = [1 << power for power in range(4, 23, 2)]  # floats
BATCH, WIDTH = 64, 512


def timed(function: Any, *arguments: Any, steps: int) -> float:
    """Returns the seconds of one of so many steps in a native call, the median of the rounds."""
    run = smelt.compile(function)
    run.repeat(2, *arguments)
    seconds = []
    for _ in range(ROUNDS):
        distributed.barrier()
        begin = time.perf_counter()
        run.repeat(steps, *arguments)
        seconds.append((time.perf_counter() - begin) / steps)
    return statistics.median(seconds)


def main() -> None:
    """Measures, and prints on the first rank."""
    distributed.init_process_group()
    sums = {}
    for size in SIZES:
        x = smelt.zeros(size)
        steps = max(3, min(300, (1 << 22) // size))
        sums[size] = timed(lambda x: distributed.all_reduce(x)[0] + x[0], x, steps=steps)
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(),
                          nn.Linear(WIDTH, 10))  # fmt: skip
    parallel = distributed.DistributedDataParallel(model, bucket_cap_mb=1.0)
    optimizer = optim.Adam(model.parameters(), lr=1e-4)
    random = np.random.default_rng(0)
    x = smelt.tensor(random.standard_normal((BATCH, WIDTH)).astype(np.float32))
    y = smelt.tensor(random.integers(0, 10, BATCH))

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(parallel(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def alone(x: Any, y: Any) -> Any:
        with parallel.no_sync():
            return step(x, y)

    found = {
        "ranks": distributed.get_world_size(),
        "sums": sums,
        "alone": timed(alone, x, y, steps=20),
        "step": timed(step, x, y, steps=20),
        "floats": sum(x.size for x in model.parameters()),
    }
    if distributed.get_rank() == 0:
        print(json.dumps(found), flush=True)


main()
