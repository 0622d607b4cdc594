"""The interface of recipes: the same for all, so that one command runs each of them.

A recipe is a module of this package with a function `run(folder, *, ..., callbacks, resume)`. Its
docstring is the recipe's help. The parameters between the folder and the callbacks are its
settings, each with a default, and explained under "Args:" of `run`. A setting `data` is the folder
of the data sets; the run does not store it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from smelt.atomic import write_bytes
from smelt.errors import FileError
from smelt.export import load, save
from smelt.limits import SEEDS, Within
from smelt.train import History
from smelt.train.writer import json_text

__all__ = [
    "RESULT", "BatchSize", "DataFolder", "Epochs", "Rate", "Result", "Seed", "Steps",
    "keep_preprocessing", "kept_preprocessing",
]  # fmt: skip

RESULT = "result.json"
PREPROCESSING = "preprocessing.safetensors"  # what was computed from the training data
BatchSize = Annotated[int, Within(1)]
DataFolder = Path | str | None
Epochs = Annotated[int, Within(1)]
Rate = Annotated[float, Within(0)]
Seed = Annotated[int, Within(0, SEEDS - 1)]
Steps = Annotated[int, Within(1)]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a training.

    Attributes:
        figures: the results, name -> number or text, in the order in which they are shown; a name
            is words joined by "_".
        history: of every finished epoch.
        steps: the compiled training steps, which know the compile time.
        sample: a file that `smelt predict` can read with the run; None where it cannot.
    """

    figures: Mapping[str, float | str]
    history: History
    steps: Sequence[Any] = ()
    sample: Path | None = None

    def save(self, folder: Path, seconds: float) -> None:
        """Writes the results, and how long everything took, to the run folder."""
        content = {**self.figures, "seconds": seconds}
        write_bytes(folder / RESULT, f"{json_text('Result', content, indent=2)}\n".encode())


def keep_preprocessing(folder: Path, state: Mapping[str, Any]) -> None:
    """Writes into a run folder what was computed from the training data, such as scales.

    Args:
        folder: of the run.
        state: a `state_dict`.
    """
    save(dict(state), folder / PREPROCESSING)


def kept_preprocessing(folder: Path) -> dict[str, Any]:
    """Returns what `keep_preprocessing` wrote.

    Raises:
        FileError: there is none, or it is damaged.
    """
    path = folder / PREPROCESSING
    if not path.exists():
        raise FileError(
            f"{folder}: has no {PREPROCESSING}, without which its inputs are unknown; an older "
            "version of Smelt made this run, train again"
        )
    found: dict[str, Any] = load(path)
    return found
