"""What the tests of recipes share: where the data are, and a training that is left half way."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smelt.recipes import RECIPES, Result
from smelt.train import Callback, Epoch, StopTraining, read_config

FILES = {"checkpoint.safetensors", "config.json", "metrics.jsonl", "model.safetensors"}
FILES |= {"summary.json", "times.jsonl"}
WITH_PREDICTIONS = FILES | {"predictions.safetensors"}
WITH_PREPROCESSING = WITH_PREDICTIONS | {"preprocessing.safetensors"}


def data_folder(dataset: str) -> Path:
    """Returns the folder of the data sets; skips the test where it lacks one of them."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("SMELT_DATA", beside))
    if not (folder / dataset).is_dir():
        pytest.skip(f"{dataset} is neither in SMELT_DATA nor in ../shared/data")
    return folder


class StopAfterOne(Callback):
    """Ends a training after its first epoch."""

    def epoch(self, epoch: Epoch) -> None:
        if epoch.number == 1:
            raise StopTraining("for a test")


def check_goes_on(run: Callable[..., Result], folder: Path, **settings: Any) -> Result:
    """Checks that a training that was left and goes on ends with the bits of a whole one, and that
    the folder says all that `smelt train --resume` needs; returns the result of the whole one.
    """
    result = run(folder / "whole", **settings)
    run(folder / "parts", callbacks=[StopAfterOne()], **settings)
    run(folder / "parts", resume=True, **settings)
    whole, parts = (
        (folder / name / "model.safetensors").read_bytes() for name in ("whole", "parts")
    )
    assert whole == parts
    config = read_config(folder / "whole")
    assert RECIPES[config.pop("recipe")] is run
    given = {"folder", "data", "callbacks", "resume"}
    assert config.keys() == inspect.signature(run).parameters.keys() - given
    return result
