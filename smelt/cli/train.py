"""smelt train: a complete training from one command."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from smelt.data.digits import samples
from smelt.recipes import digits
from smelt.settings import settings
from smelt.train import new_folder, progress

__all__ = ["train"]

INTERRUPTED = 130  # what a shell expects of a program that Ctrl-C ended


def train(
    recipe: Literal["digits"],
    epochs: int = 60,
    lr: float = 5e-3,
    batch_size: int = 64,
    seed: int = 0,
    out: Path | None = None,
    threads: int | None = None,
) -> int:
    """Train a network on real data and keep the run in a folder.

    digits: a multilayer perceptron 64-128-64-10 learns 1,437 handwritten digits (8 x 8 pixels,
    bundled with Smelt) with Adam, and is tested on 360 others.

    The folder holds model.safetensors, metrics.jsonl, config.json, curves.png and confusion.png.
    Ctrl-C ends a training early and keeps the model of the last finished epoch.

    Args:
        recipe: what to train
        epochs: passes over the training data
        lr: learning rate at the start; it falls to 0 along half a cosine
        batch_size: samples a step
        seed: of the first weights and of the order of the samples
        out: new folder for the run (default: runs/RECIPE-1, or the next free number)
        threads: how many threads to use; results do not depend on it (default: as many as there
            are cores)
    """
    imported = time.process_time()
    folder = new_folder("runs", recipe) if out is None else out
    print(f"smelt train {recipe}: seed {seed}, {epochs} epochs, run folder {folder}", flush=True)
    with settings(threads=threads):
        result = digits.run(
            folder,
            epochs=epochs,
            lr=lr,
            batch_size=batch_size,
            seed=seed,
            callbacks=[progress()],
        )
    for line in _report(result, folder, imported):
        print(line)
    return INTERRUPTED if result.history.interrupted else 0


def _report(result: digits.Result, folder: Path, imported: float) -> Iterator[str]:
    history = result.history
    if history.interrupted:
        kept = len(history.epochs)
        yield f"stopped by Ctrl-C; the run folder has the model after {kept} finished epochs"
    if history.epochs:
        right = round(result.accuracy * result.held_out)
        yield f"test accuracy  {result.accuracy:.4f} ({right} of {result.held_out} held-out digits)"
    yield f"run folder     {folder}"
    yield f"files          {', '.join(sorted(path.name for path in folder.iterdir()))}"
    trace = sum(times.trace for times in result.step.times)
    compiling = sum(times.compile for times in result.step.times)
    training = history.seconds - trace - compiling
    yield (
        f"time           import {imported:.2f} s, trace {trace:.2f} s, compile {compiling:.2f} s, "
        f"training {training:.2f} s"
    )
    yield f"try            smelt predict {folder} {next(samples())}"
