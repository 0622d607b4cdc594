"""What using Smelt costs before it computes: import, the first step cold and warm, an empty call.

python benchmarks/start.py --peers /path/to/python/with/torch/and/jax

First steps are given in processor time, which a busy machine does not stretch: of tracing, and of
all that comes after it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

TIMED = "import time; start = time.perf_counter(); {0}; print(time.perf_counter() - start)"

NETWORKS = {
    "perceptron": """
model = nn.Sequential(
    nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
)
x, y = smelt.rand(64, 64), smelt.randint(0, 10, (64,))
""",
    "18 residual blocks": """
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        parts = [(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)) for _ in "ab"]
        self.a, self.b = (nn.Sequential(*part) for part in parts)

    def forward(self, x):
        return F.relu(x + self.b(F.relu(self.a(x))))

model = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1), *[Block() for _ in range(18)],
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
)
x, y = smelt.rand(8, 3, 16, 16), smelt.randint(0, 10, (8,))
""",
    "16-layer Transformer": """
layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.1, batch_first=True)
model = nn.Sequential(
    nn.Embedding(50, 64), nn.TransformerEncoder(layer, 16), nn.Flatten(), nn.Linear(32 * 64, 10)
)
x, y = smelt.randint(0, 50, (8, 32)), smelt.randint(0, 10, (8,))
""",
}

FIRST_STEP = """
import time
import numpy as np
import smelt, smelt.nn.functional as F
from smelt import nn, optim
smelt.manual_seed(0)
{0}
optimizer = optim.Adam(model.parameters(), lr=1e-3)
ends = []
@smelt.compile
def step(x, y):
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    ends.append(time.process_time())
    return loss
start = time.process_time()
step(x, y)
end = time.process_time()
print({1})
"""
TRACE, REST = "ends[-1] - start", "end - ends[-1]"

EMPTY_CALL = """
import time, smelt
step = smelt.compile(lambda x: x)
x = smelt.tensor(1.0)
step(x)
best = float("inf")
for _ in range(20):
    start = time.perf_counter()
    for _ in range(2000):
        step(x)
    best = min(best, (time.perf_counter() - start) / 2000)
print(best)
"""


def seconds(python: str, code: str, cache: str) -> float:
    """Returns the number that `code` prints in a fresh process."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SMELT_CACHE": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as installed: modules are compiled once
    result = subprocess.run(
        [python, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return float(result.stdout)


def median(python: str, code: str, rounds: int, cold: bool = False) -> float:
    """Returns the median over fresh processes, each with an empty cache when `cold`."""
    with tempfile.TemporaryDirectory() as warm:
        seconds(python, code, warm)
        times = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as empty:
                times.append(seconds(python, code, empty if cold else warm))
    return statistics.median(times)


def first_steps() -> Iterator[tuple[str, str, str, bool]]:
    """Yields the rows of the first step of each network."""
    for name, code in NETWORKS.items():
        rest = FIRST_STEP.format(code, REST)
        yield f"{name}: trace", sys.executable, FIRST_STEP.format(code, TRACE), False
        yield f"{name}: first step, cold cache", sys.executable, rest, True
        yield f"{name}: first step, warm cache", sys.executable, rest, False


def main() -> None:
    """Prints a line per quantity."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="a Python that has torch and jax")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rows = [
        ("import numpy", sys.executable, TIMED.format("import numpy"), False),
        ("import numpy, llvmlite.binding", sys.executable,
         TIMED.format("import numpy, llvmlite.binding"), False),
        ("import smelt", sys.executable, TIMED.format("import smelt"), False),
        *first_steps(),
        ("empty compiled call", sys.executable, EMPTY_CALL, False),
    ]  # fmt: skip
    if options.peers:
        rows += [
            (f"import {name}", options.peers, TIMED.format(f"import {name}"), False)
            for name in ("torch", "jax")
        ]
    for what, python, code, cold in rows:
        print(
            f"  {what:<42}{1e3 * median(python, code, options.rounds, cold):>12.4f} ms", flush=True
        )


if __name__ == "__main__":
    main()
