"""smelt train: a complete training from one command."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from smelt.cli.parser import PLACED, Within
from smelt.data.digits import TRAINING, samples
from smelt.errors import ArgumentError, FileError
from smelt.recipes import digits
from smelt.settings import settings
from smelt.starting import INTERRUPTED
from smelt.train import new_folder, progress, read_config

__all__ = ["train"]

SEEDS = 1 << 64  # the generator takes the lowest 64 bits: a larger seed would repeat another


def train(
    recipe: Annotated[Literal["digits"] | None, PLACED] = None,
    epochs: Annotated[int, Within(1)] | None = None,
    lr: Annotated[float, Within(0)] | None = None,
    batch_size: Annotated[int, Within(1, TRAINING)] | None = None,
    seed: Annotated[int, Within(0, SEEDS - 1)] | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    threads: Annotated[int, Within(1)] | None = None,
) -> int:
    """Train a network on real data and keep the run in a folder.

    digits: a multilayer perceptron 64-128-64-10 learns 1,437 handwritten digits (8 x 8 pixels,
    bundled with Smelt) with Adam, and is tested on 360 others.

    The folder holds model.safetensors, metrics.jsonl, config.json, checkpoint.safetensors,
    curves.png and confusion.png. Ctrl-C ends a training early and keeps it as it is; `smelt train
    --resume RUN` goes on with it, and ends with the same bits as if it had not been ended.

    Args:
        recipe: what to train
        epochs: passes over the training data (default: 60)
        lr: learning rate at the start; it falls to 0 along half a cosine (default: 0.005)
        batch_size: samples a step (default: 64)
        seed: of the first weights and of the order of the samples (default: 0)
        out: new folder for the run (default: runs/RECIPE-1, or the next free number)
        resume: folder of a run to go on with, by its own settings
        threads: how many threads to use; results do not depend on it (default: as many as there
            are cores)
    """
    imported = time.process_time()
    given = {"epochs": epochs, "lr": lr, "batch_size": batch_size, "seed": seed}
    chosen = {name: value for name, value in given.items() if value is not None}
    if resume is not None:
        recipe, folder, chosen = _resumed(resume, {"recipe": recipe, "out": out, **chosen})
    elif recipe is None:
        raise ArgumentError("train: say what to train (digits), or --resume RUN")
    else:
        folder = new_folder("runs", recipe) if out is None else out
    config = {**digits.DEFAULTS, **chosen}
    passes = _counted(config["epochs"], "epoch")
    print(f"smelt train {recipe}: seed {config['seed']}, {passes}, run folder {folder}", flush=True)
    with settings(threads=threads):
        result = digits.run(folder, **config, callbacks=[progress()], resume=resume is not None)
    for line in _report(result, folder, imported):
        print(line)
    return INTERRUPTED if result.history.interrupted else 0


def _resumed(run: Path, given: dict[str, Any]) -> tuple[Literal["digits"], Path, dict[str, Any]]:
    """Returns recipe, folder and settings of a run that goes on."""
    more = [name for name, value in given.items() if value is not None]
    if more:
        raise ArgumentError(
            f"train --resume goes on by the settings of the run; leave out {', '.join(more)}"
        )
    config = read_config(run)
    recipe = config.pop("recipe", None)
    if recipe != "digits" or config.keys() != digits.DEFAULTS.keys():
        raise FileError(f"{run}: holds no run of smelt train")
    return "digits", run, config


def _report(result: digits.Result, folder: Path, imported: float) -> Iterator[str]:
    history = result.history
    if history.interrupted:
        kept = _counted(len(history.epochs), "finished epoch")
        yield f"stopped by Ctrl-C; the run folder has the model after {kept}"
    if history.epochs:
        right = round(result.accuracy * result.held_out)
        yield f"test accuracy  {result.accuracy:.4f} ({right} of {result.held_out} held-out digits)"
    yield f"run folder     {folder}"
    yield f"files          {', '.join(sorted(path.name for path in folder.iterdir()))}"
    trace = sum(times.trace for step in result.steps for times in step.times)
    compiling = sum(times.compile for step in result.steps for times in step.times)
    training = history.seconds - trace - compiling
    yield (
        f"time           import {imported:.2f} s, trace {trace:.2f} s, compile {compiling:.2f} s, "
        f"training {training:.2f} s"
    )
    given = f"{shlex.quote(str(folder))} {_near(next(samples()))}"
    yield f"try            {_program()} predict {given}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _program() -> str:
    """Returns what starts this program when it is typed in the present folder."""
    started, installed = Path(sys.argv[0]), shutil.which("smelt")
    if started.stem != "smelt":  # python -m smelt, or another program that calls `main`
        return f"{_near(sys.executable)} -m smelt"
    return "smelt" if installed and os.path.samefile(installed, started) else _near(started)


def _near(path: str | os.PathLike[str]) -> str:
    """Returns a path for the shell, from the present folder where that is shorter."""
    absolute = os.path.abspath(path)
    near = os.path.join(".", name) if os.sep not in (name := os.path.relpath(absolute)) else name
    return shlex.quote(min(near, absolute, key=len))
