"""Training on batches of changing lengths, as a whole process, beside PyTorch.

python benchmarks/lengths.py --peers /path/to/python/with/torch

- `classifier`: a text classifier (embedding, GRU, linear; batch 32) on 1,000 batches, each padded
  to a length between 5 and 100.
- `translation`: an encoder and a decoder (GRUs with attention, 128 wide; batch 32) on an epoch of
  300 batches, each padded to its longest source and target, of 4 to 20 words.

Both libraries run the same text of each program, with `import smelt as torch` in one of them; the
step is compiled in Smelt and eager in PyTorch. Seconds are those of the process, import to end:
`cold` with an empty cache of compiled code, `warm` with that of the run before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
Batches = list[tuple[np.ndarray, ...]]


def classifier(torch: Any, compiled: Callable[..., Any]) -> tuple[Any, Batches]:
    """Returns the step of a text classifier, and batches of words and labels."""
    nn = torch.nn
    embedding, layer = nn.Embedding(5000, 64), nn.GRU(64, 64, batch_first=True)
    out = nn.Linear(64, 2)
    parts = nn.ModuleList([embedding, layer, out])
    optimizer = torch.optim.Adam(parts.parameters(), lr=1e-3)

    @compiled
    def step(words: Any, labels: Any) -> Any:
        _, last = layer(embedding(words))
        loss = nn.functional.cross_entropy(out(last[0]), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    random = np.random.default_rng(0)
    lengths = random.integers(5, 101, 1000)
    return step, [
        (random.integers(0, 5000, (32, length)), random.integers(0, 2, 32)) for length in lengths
    ]


def translation(torch: Any, compiled: Callable[..., Any]) -> tuple[Any, Batches]:
    """Returns the step of an encoder with a decoder that attends to it, and batches of words."""
    nn = torch.nn
    sources, targets = nn.Embedding(2000, 64), nn.Embedding(2000, 64)
    encoder, decoder = (nn.GRU(64, 128, batch_first=True) for _ in range(2))
    out = nn.Linear(256, 2000)
    parts = nn.ModuleList([sources, targets, encoder, decoder, out])
    optimizer = torch.optim.Adam(parts.parameters(), lr=1e-3)

    @compiled
    def step(source: Any, target: Any) -> Any:
        read, last = encoder(sources(source))
        written, _ = decoder(targets(target[:, :-1]), last)
        weights = torch.softmax(written @ read.transpose(1, 2), -1)
        logits = out(torch.cat([written, weights @ read], -1))
        loss = nn.functional.cross_entropy(logits.transpose(1, 2), target[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    random = np.random.default_rng(0)
    words = random.integers(4, 21, (300, 2, 32)).max(-1)  # of the longest sentences of a batch
    return step, [tuple(random.integers(0, 2000, (32, n)) for n in pair) for pair in words]


PROGRAMS = {"classifier": classifier, "translation": translation}


def side(library: str, program: str) -> dict[str, Any]:
    """Runs a program in this process; returns its loss, and the versions of its step."""
    if library == "torch":
        import torch

        step, batches = PROGRAMS[program](torch, lambda function: function)
        for batch in batches:
            loss = step(*map(torch.from_numpy, batch))
        return {"loss": loss.item(), "versions": 0}
    import smelt

    step, batches = PROGRAMS[program](smelt, smelt.compile)
    for batch in batches:
        loss = step(*batch)
    return {"loss": loss.item(), "versions": step.traces}


def measured(python: str, library: str, program: str, cache: str) -> dict[str, Any]:
    """Runs one side as a process; returns what it says and the seconds that it took."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SMELT_CACHE": cache}
    command = [python, __file__, "--side", library, program]
    start = time.perf_counter()
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(made.stdout) | {"seconds": time.perf_counter() - start}


def compare(peers: str, rounds: int) -> None:
    """Prints all programs of both libraries, in turn."""
    print("program      versions  seconds: cold, warm, torch | torch / cold, torch / warm")
    for program in PROGRAMS:
        found: list[tuple[dict[str, Any], ...]] = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as cache:
                runs = [(sys.executable, "smelt")] * 2 + [(peers, "torch")]
                found.append(tuple(measured(*run, program, cache) for run in runs))
        best = [min(run["seconds"] for run in side) for side in zip(*found, strict=True)]
        cold, warm, torch = best
        print(
            f"{program:12} {found[0][0]['versions']:8}  {cold:.2f}, {warm:.2f}, {torch:.2f} | "
            f"{torch / cold:.2f}, {torch / warm:.2f}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        print(json.dumps(side(*sys.argv[2:4])))
    else:
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        parser.add_argument("--peers", default=sys.executable, help="a Python that has torch")
        parser.add_argument("--rounds", type=int, default=3)
        options = parser.parse_args()
        compare(options.peers, options.rounds)
