"""What a recipe takes and gives back: the same for all, so that one command runs each of them.

A recipe is a module of this package with a function `run(folder, *, ..., callbacks, resume)`. Its
docstring is the recipe's help; what stands between the folder and the callbacks are its settings,
each with a default, explained under "Args:" of `run`. A setting `data` is the folder of the data
sets, and is no part of what the run remembers.
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
    """What came of a training.

    Attributes:
        figures: name -> number or text, in the order in which a person wants to read them; a name
            is words joined by "_".
        history: of every finished epoch.
        steps: the compiled training steps, for what compiling took.
        sample: a file that `smelt predict` reads with the run, where it can.
    """

    figures: Mapping[str, float | str]
    history: History
    steps: Sequence[Any] = ()
    sample: Path | None = None

    def save(self, folder: Path, seconds: float) -> None:
        """Writes the figures, and how long all took, to the run folder."""
        content = {**self.figures, "seconds": seconds}
        write_bytes(folder / RESULT, f"{json_text('Result', content, indent=2)}\n".encode())
