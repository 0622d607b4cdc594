"""The commands by name: each is imported, and made ready for the command line, when it is asked
for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["COMMANDS"]

COMMANDS = {  # name -> the module that has it, and what it does
    "train": ("smelt.cli.train", "Train a network on real data and keep the run in a folder."),
    "fit": (
        "smelt.cli.fit",
        "Train a model that predicts one column of a table from the others, and evaluate it.",
    ),
    "predict": (
        "smelt.cli.predict",
        "Predict the rows of a table, or read the digit in each image, with probabilities.",
    ),
    "export": (
        "smelt.cli.export",
        "Write the model of a run, with its preprocessing, as code or as an ONNX file.",
    ),
    "report": ("smelt.cli.report", "Write a web page about a run."),
    "compare": ("smelt.cli.report", "Write a web page that shows runs side by side."),
    "runs": ("smelt.cli.report", "List the runs in a folder."),
    "draw": ("smelt.cli.draw", "Write a web page on which a network reads digits that you draw."),
    "bench": ("smelt.cli.bench", "Time Smelt, PyTorch, JAX and NumPy."),
    "book": ("smelt.cli.book", "Run the programs, figures and problems of the book."),
    "info": (
        "smelt.cli.info",
        "Print versions, CPU features, threads, and the cache of compiled code.",
    ),
    "completion": ("smelt.cli.completion", "Print a script for shell completion."),
}


def __getattr__(name: str) -> Any:
    if name not in COMMANDS:
        raise AttributeError(f"there is no command {name!r}")
    from smelt.cli.program import App, command

    given = getattr(import_module(COMMANDS[name][0]), name)
    return given if isinstance(given, App) else command(given)
