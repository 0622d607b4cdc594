"""The same bits on every run: whatever the threads, the cache, the way of calling."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
STEPS = 500
PROGRAM = """
import hashlib, sys
import numpy as np
import smelt
from smelt import nn, optim
from smelt.nn import functional as F

way, steps = sys.argv[1], int(sys.argv[2])
smelt.manual_seed(11)
model = nn.Sequential(
    nn.Linear(96, 256), nn.GELU(), nn.LayerNorm(256), nn.Dropout(0.2), nn.Linear(256, 10)
)
optimizer = optim.AdamW(model.parameters(), lr=1e-3)
draw = np.random.default_rng(5)
x = smelt.tensor(draw.standard_normal((256, 96)).astype(np.float32))
y = smelt.tensor(draw.integers(0, 10, 256))

@smelt.compile
def step(x, y):
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss

if way == "calls":
    losses = np.array([step(x, y).item() for _ in range(steps)], np.float32)
elif way == "repeat":
    losses = step.repeat(steps, x, y).numpy()
else:
    losses = step.over(x, y, batch_size=256, epochs=steps).numpy()
digest = hashlib.sha256(losses.tobytes())
for value in (*model.state_dict().values(), smelt.default_generator().state):
    digest.update(value.numpy().tobytes())
assert np.isfinite(losses).all() and losses[-1] < losses[0]
print(digest.hexdigest())
"""


def digest(way: str, threads: int, cache: Path, steps: int = STEPS) -> str:
    """Trains in a process of its own and returns a digest of losses, parameters and generator."""
    environment = {**os.environ, "SMELT_THREADS": str(threads), "SMELT_CACHE": str(cache)}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-c", PROGRAM, way, str(steps)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The digest of a run on one thread with an empty cache, and the cache that it filled."""
    cache = tmp_path_factory.mktemp("cache")
    return digest("calls", 1, cache), cache


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("way", ["calls", "repeat", "over"])
def test_the_same_bits_on_any_threads_and_any_way(reference, way: str, threads: int) -> None:
    expected, cache = reference
    assert digest(way, threads, cache) == expected  # a warm cache


def test_the_same_bits_from_a_cold_cache(reference, tmp_path: Path) -> None:
    assert digest("repeat", 2, tmp_path) == reference[0]


def test_the_digest_sees_a_difference(reference) -> None:
    expected, cache = reference
    assert digest("repeat", 1, cache, STEPS - 1) != expected
    assert len(expected) == hashlib.sha256().digest_size * 2
