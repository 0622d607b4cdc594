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
from smelt.limits import SEEDS, Within
from smelt.train import History
from smelt.train.writer import json_text

__all__ = ["RESULT", "BatchSize", "DataFolder", "Epochs", "Rate", "Result", "Seed", "Steps"]

RESULT = "result.json"
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
