"""smelt train: a complete training in one command; each recipe has its own subcommand."""

from __future__ import annotations

import inspect
import time
import typing
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from smelt.cli.program import Command, group
from smelt.cli.shell import predict_command, resume_command
from smelt.errors import ArgumentError, FileError
from smelt.limits import Within
from smelt.recipes import RECIPES, Result
from smelt.settings import settings
from smelt.starting import INTERRUPTED
from smelt.train import new_folder, progress, read_config
from smelt.train.ranks import let_first_rank_speak, own_folder
from smelt.train.run import FILES

__all__ = ["train"]

HANDED = ("folder", "callbacks", "resume")  # what a recipe gets that is no option of its command
PLACE = "data"  # where the data are: not a setting that the run remembers
Threads = Annotated[int, Within(1)] | None


def resume(*, resume: Path | None = None, data: Path | None = None, threads: Threads = None) -> int:
    """Train a network on real data and keep the run in a folder.

    The folder holds model.safetensors, metrics.jsonl, config.json, checkpoint.safetensors,
    result.json and figures. Ctrl-C ends a training early and keeps it as it is; `smelt train
    --resume RUN` continues it, and ends with the same bits as an uninterrupted training.
    `smelt train RECIPE --help` says what a recipe does, and its settings.

    Args:
        resume: folder of a run to continue, with its own settings
        data: folder of the data sets, if the run to continue reads one from elsewhere
        threads: how many threads to use; results do not depend on it (default: as many as there
            are cores)
    """
    if resume is None:
        raise ArgumentError(f"train: give a recipe ({', '.join(RECIPES)}), or --resume RUN")
    let_first_rank_speak()
    resume = own_folder(resume, resume=True, files=FILES)
    config = read_config(resume)
    recipe = config.pop("recipe", None)
    if recipe not in RECIPES or config.keys() != _settings(RECIPES[recipe]).keys() - {PLACE}:
        raise FileError(f"{resume}: holds no run of smelt train")
    if data is not None:
        if PLACE not in _settings(RECIPES[recipe]):
            raise ArgumentError(f"train --resume: the recipe {recipe} has no option --data")
        config[PLACE] = data
    return _train(recipe, resume, threads, config, goes_on=True)


def start(recipe: str, out: Path | None = None, threads: Threads = None, **chosen: Any) -> int:
    """Trains a recipe in a new folder."""
    let_first_rank_speak()
    folder = new_folder("runs", recipe) if out is None else out
    folder = own_folder(folder, resume=False, files=())
    return _train(recipe, folder, threads, chosen, goes_on=False)


def _train(
    recipe: str, folder: Path, threads: Threads, config: dict[str, Any], goes_on: bool
) -> int:
    imported, began = time.process_time(), time.perf_counter()
    chosen = {name: value for name, value in config.items() if value is not None}
    shown = ", ".join(f"{_words(name)} {value}" for name, value in chosen.items())
    print(f"smelt train {recipe}: {shown}, run folder {folder}", flush=True)
    with settings(threads=threads):
        result = RECIPES[recipe](folder, **config, callbacks=[progress()], resume=goes_on)
    if not result.history.interrupted:
        result.save(folder, time.perf_counter() - began)
    for line in _report(result, folder, imported):
        print(line)
    return INTERRUPTED if result.history.interrupted else 0


def _report(result: Result, folder: Path, imported: float) -> Iterator[str]:
    history = result.history
    if history.interrupted:
        count = len(history.epochs)
        kept = f"{count} finished epoch{'' if count == 1 else 's'}"
        yield f"stopped by Ctrl-C; the run folder has the model after {kept}"
        yield f"resume by: {resume_command(folder)}"
    figures = {_words(name): _shown(value) for name, value in result.figures.items()}
    facts = {
        **figures,
        "run folder": str(folder),
        "files": ", ".join(sorted(path.name for path in folder.iterdir())),
        "time": _times(result, imported),
    }
    if result.sample is not None:
        facts["try"] = predict_command(folder, result.sample)
    width = max(map(len, facts))
    for name, value in facts.items():
        yield f"{name:{width}}  {value}"


def _shown(value: float | str) -> str:
    """Returns a figure for a reader; a text of several lines begins on a line of its own."""
    if isinstance(value, float):
        return f"{value:.5g}"
    return f"\n{value}" if "\n" in str(value) else str(value)


def _times(result: Result, imported: float) -> str:
    trace = sum(times.trace for step in result.steps for times in step.times)
    compiling = sum(times.compile for step in result.steps for times in step.times)
    training = result.history.seconds - trace - compiling
    return (
        f"import {imported:.2f} s, trace {trace:.2f} s, compile {compiling:.2f} s, "
        f"training {training:.2f} s"
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _settings(run: Callable[..., Result]) -> dict[str, inspect.Parameter]:
    """Returns the parameters of a recipe that its user may choose."""
    parameters = inspect.signature(run).parameters
    return {name: each for name, each in parameters.items() if name not in HANDED}


def _command(recipe: str, run: Callable[..., Result]) -> Command:
    """Returns the command of a recipe: its settings, and `start`'s, are the options."""
    command: Any = partial(start, recipe)
    given = {**_settings(run), **inspect.signature(start).parameters}
    del given["recipe"], given["chosen"]
    order = [each.replace(kind=each.KEYWORD_ONLY) for each in given.values()]
    command.__name__ = f"train {recipe}"
    command.__signature__ = inspect.Signature(order)
    command.__annotations__ = _kinds(start) | _kinds(run)
    command.__doc__ = _help(run)
    return command


def _kinds(function: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(function, include_extras=True)


def _help(run: Callable[..., Result]) -> str:
    """Returns what the recipe's module says of itself, and what `run` says of its settings."""
    _, _, explained = (inspect.getdoc(run) or "").partition("Args:\n")
    return (
        f"{inspect.getdoc(inspect.getmodule(run))}\n\nArgs:\n"
        "    out: new folder for the run (default: runs/RECIPE-1, or the next free number)\n"
        "    threads: how many threads to use; results do not depend on it (default: as many as\n"
        f"        there are cores)\n{explained}"
    )


train: typing.Final = group(
    "train",
    "Train a network on real data and keep the run in a folder.",
    {recipe: _command(recipe, run) for recipe, run in RECIPES.items()},
    alone=resume,
    title="Recipes",
)
