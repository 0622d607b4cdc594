"""smelt export: the model of a run, with its preprocessing, as code or as an ONNX file."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

from smelt import tabular
from smelt.atomic import replacing, writable_folder, write_bytes
from smelt.cli.csv_options import flag
from smelt.cli.formats import FORMATS, OPTIONS, Job
from smelt.cli.shell import resume_command
from smelt.errors import ArgumentError, FileError
from smelt.export.header_of_code import check_header
from smelt.export.inference import Inference, InferenceTensor
from smelt.export.traced_step import check_name
from smelt.limits import Within
from smelt.recipes import INFERENCES, RECIPES
from smelt.recipes.recipe import RESULT
from smelt.tabular.keeping import FORMAT
from smelt.train import read_config
from smelt.train.run import CONFIG, TIMES

__all__ = ["export"]

TABLE = "table"  # the recipe of a run of smelt fit
FOLDER = "export"  # within the folder of the run
NOT_KEPT = {"folder", "data", "callbacks", "resume"}  # arguments of a recipe that are no settings
LINE = 100  # characters of a line of the description

if TYPE_CHECKING:
    Format = str
else:
    Format = Literal[tuple(FORMATS)]


def export(
    run: Path,
    /,
    *,
    to: list[Format] | None = None,
    output: Path | None = None,
    name: str | None = None,
    rows: Annotated[int, Within(1)] = 1,
    target: str | None = None,
    cpu: str | None = None,
    features: str | None = None,
    machine: str | None = None,
) -> int:
    """Write the model of a run, with its preprocessing, as code or as an ONNX file.

    The formats: c (C source that needs no library), object (an object file, for microcontrollers,
    too), library (a file that smelt_runtime runs with NumPy alone), wasm (a module for browsers and
    Node), onnx (for other runtimes).

    What is written takes raw numbers: of a table the numbers as they are in its columns, nan where
    one is missing. It returns the probability of each class, or a value in the target's unit, as
    `smelt predict` does. NAME.json, beside it, says what is not arithmetic: the columns in their
    order, which index a category has, how a text becomes numbers, and the classes.

    Args:
        run: folder that `smelt fit` or `smelt train` made
        to: the formats
        output: folder for the files (default: export, within that of the run)
        name: of files and functions, an identifier of C (default: the target, or the recipe)
        rows: how many rows a call of the code takes; an ONNX file takes any number
        target: for object files: LLVM's name of the target, such as thumbv7em-none-eabihf
            (default: this machine)
        cpu: for object files and libraries: LLVM's name of the CPU, such as cortex-m4 or x86-64
        features: for object files: LLVM's features, such as +fp16
        machine: for libraries: x86_64 or aarch64 (default: this machine)
    """
    if not to:
        known = ", ".join(FORMATS)
        raise ArgumentError(f"{run}: give one format or several by --to; there are {known}")
    given = {"target": target, "cpu": cpu, "features": features, "machine": machine}
    options = _checked_options(to, given)
    if name is not None:
        check_name("export", name)
    inference = _inference(run)
    called = inference.name if name is None else name
    folder = run / FOLDER if output is None else output
    with TemporaryDirectory(prefix="smelt-") as scratch:
        parts = [Path(scratch) / kind for kind in dict.fromkeys(to)]
        lines = [_written(Job(inference, part, called, rows, options)) for part in parts]
        note = Path(scratch) / f"{called}.json"
        write_bytes(note, f"{_text(inference.description(rows))}\n".encode())
        _place(folder, [*(file for part in parts for file in sorted(part.iterdir())), note])
    print(f"{run}: {_signature(inference, rows)}")
    for line in lines:
        print(f"  {line}")
    print(f"  {note.name}: what these numbers are")
    print(f"folder  {folder}")
    return 0


def _checked_options(to: Sequence[str], given: Mapping[str, str | None]) -> dict[str, str]:
    """Returns the options that were given."""
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in chosen:
        if not set(to) & set(OPTIONS[name]):
            fitting = " and --to ".join(OPTIONS[name])
            raise ArgumentError(f"{flag(name)} goes with --to {fitting} only")
    return chosen


# --- the run --------------------------------------------------------------------------------------


def _inference(run: Path) -> Inference:
    """Returns the model of a run."""
    config = read_config(run)
    recipe = config.get("recipe")
    if recipe is None:
        raise FileError(
            f"{run}: holds a run of train.fit, whose model is defined in your own program; export "
            "it there, by train.read_model(run, model) and a function of smelt.export"
        )
    if recipe == TABLE:
        if not (run / FORMAT).exists():
            raise FileError(f"{run}: holds an unfinished run (it has no {FORMAT}); fit it again")
        return tabular.load(run).inference()
    if not isinstance(recipe, str) or recipe not in INFERENCES:
        known = ", ".join(map(repr, (*INFERENCES, TABLE)))
        raise FileError(f"{run}: holds a run of {recipe!r}; smelt export works for {known} only")
    if lacking := _settings(recipe) - config.keys():
        raise FileError(f"{run / CONFIG}: is damaged (it has no {', '.join(sorted(lacking))})")
    if not any((run / name).exists() for name in (RESULT, TIMES)):  # finished, or interrupted
        raise FileError(
            f"{run}: holds an unfinished run (it has no {TIMES}); finish it by "
            f"{resume_command(run)}"
        )
    return INFERENCES[recipe](run, config)


def _text(description: Mapping[str, Any]) -> str:
    """Returns JSON for people, too: a list or a map that fits is one line."""
    text = json.dumps(description, indent=2, ensure_ascii=False)
    return re.sub(r"[\[{]\n[^\[\]{}]*\n\s*[\]}]", _in_one_line, text)


def _in_one_line(found: re.Match[str]) -> str:
    joined = re.sub(r"\n\s*", "", re.sub(r",\n\s*", ", ", found[0]))
    return joined if len(joined) <= LINE else found[0]


def _settings(recipe: str) -> set[str]:
    """Returns the settings that a run of a recipe remembers."""
    return set(inspect.signature(RECIPES[recipe]).parameters) - NOT_KEPT


def _written(job: Job) -> str:
    """Writes the format that the folder of a job is called by; returns which files there are, and
    how much memory they need.
    """
    write, sizes = FORMATS[job.folder.name]
    job.folder.mkdir()
    said = sizes(write(job))
    return f"{', '.join(sorted(file.name for file in job.folder.iterdir()))}: {said}"


# --- the files ------------------------------------------------------------------------------------


def _place(folder: Path, files: Sequence[Path]) -> None:
    """Puts files into a folder, the last one last: it says that all is there."""
    twice = {file.name: file.parent.name for file in files}
    for file in files:
        if twice[file.name] != file.parent.name:
            raise ArgumentError(
                f"{file.parent.name} and {twice[file.name]} both write {file.name}; export them to "
                "two folders, or under two names"
            )
    contents = {writable_folder(folder) / file.name: file.read_bytes() for file in files}
    for path, new in contents.items():
        if path.is_dir():
            raise FileError(f"{path}: cannot be written (it is a folder); choose another name")
        if path.suffix == ".h":
            check_header(path, new.decode())
    with ExitStack() as stack:
        for path in reversed(contents):  # what is opened first is renamed last
            stack.enter_context(replacing(path)).write_bytes(contents[path])


# --- what is said ---------------------------------------------------------------------------------


def _signature(inference: Inference, rows: int) -> str:
    """Returns what goes in and what comes out."""
    inputs = ", ".join(_shown(one, rows) for one in inference.inputs)
    return f"{inputs} to {_shown(inference.output, rows)}"


def _shown(one: InferenceTensor, rows: int) -> str:
    return f"{one.name} {one.dtype.name}{[rows, *one.shape]}"
