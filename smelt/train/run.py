"""The run folder: what a training leaves on disk, readable at any moment.

config.json          the settings of the run, written before it starts
metrics.jsonl        one line an epoch, written when the epoch ends
model.safetensors    the weights, written now and then and at the end
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smelt.atomic import writable_folder, write_bytes
from smelt.errors import FileError
from smelt.export.safetensors import load_file, save_file
from smelt.json_text import parsed
from smelt.nn.module import Module
from smelt.train.history import Callback, Epoch, History
from smelt.train.writer import MetricsWriter, json_text

__all__ = ["RunFolder", "new_folder", "read_config", "read_metrics", "read_model"]

CONFIG, METRICS, MODEL = "config.json", "metrics.jsonl", "model.safetensors"
SAVE_EVERY = 10.0  # seconds of training that a crash may cost


class RunFolder(Callback):
    """Keeps a training on disk while it runs.

    Args:
        path: a folder that does not hold a run yet; made when it is not there.
        model: whose weights are kept.
        config: the settings of the run; anything that JSON can say, a Tensor or array with a
            single element as a number, what is not finite as null.

    Raises:
        ArgumentError: JSON cannot say `config`.
        FileError: the folder cannot be written, or holds a run already. This comes before training.
        MissingExtra: the library `safetensors` is not installed.
    """

    def __init__(
        self, path: str | os.PathLike[str], model: Module, config: Mapping[str, Any]
    ) -> None:
        self.path = writable_folder(path)
        if any((self.path / name).exists() for name in (CONFIG, METRICS, MODEL)):
            raise self._taken()
        self.model = model
        self._config = json_text("RunFolder", config, indent=2)

    def _taken(self) -> FileError:
        return FileError(f"{self.path}: holds a run already; choose another folder")

    def start(self, epochs: int) -> None:
        """Writes the settings, the first weights, and metrics without a line.

        Raises:
            FileError: another training has begun in the folder meanwhile.
        """
        try:
            with open(self.path / CONFIG, "x") as file:  # of two trainings one makes this file
                file.write(f"{self._config}\n")
        except FileExistsError:
            raise self._taken() from None
        except OSError as error:
            raise FileError(f"{self.path}: cannot be written ({error.strerror})") from None
        self.save()
        write_bytes(self.path / METRICS, b"")
        self.metrics = MetricsWriter(self.path / METRICS)

    def save(self) -> None:
        """Writes the weights as they are now."""
        save_file(self.model.state_dict(), self.path / MODEL)
        self._saved = time.monotonic()

    def epoch(self, epoch: Epoch) -> None:
        """Writes the epoch's line, and now and then the weights."""
        self.metrics.write(epoch.row())
        self.metrics.flush()  # the line of an epoch is there when the epoch is over
        if time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def end(self, history: History) -> None:
        """Writes the weights, and closes the metrics."""
        self.save()
        self.metrics.close()


def new_folder(parent: str | os.PathLike[str], name: str) -> Path:
    """Makes a folder `parent/name-1`, `parent/name-2` ..., the first that does not exist; of
    several programs each gets one of its own.

    Raises:
        FileError: it cannot be made.
    """
    number, folder = 1, writable_folder(parent)
    while True:
        path = folder / f"{name}-{number}"
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        except OSError as error:
            raise FileError(f"{path}: cannot be made ({error.strerror})") from None
        else:
            return path


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the settings of a run.

    Raises:
        FileError: the folder does not hold a run, or its config.json is damaged.
    """
    file = Path(os.fsdecode(path)) / CONFIG
    try:
        config = parsed(file.read_text("utf-8"))
    except OSError:
        raise FileError(f"{path}: is not the folder of a run (it has no {CONFIG})") from None
    except (ValueError, RecursionError) as error:
        raise FileError(f"{file}: is damaged ({error})") from None
    if not isinstance(config, dict):
        raise FileError(f"{file}: is damaged (it holds no settings by name)")
    return config


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, float]]:
    """Returns a row for each finished epoch of a run; what was not finite is nan.

    The part of a line with which the file ends while it is written, or was when its writer was
    killed, is left out.

    Raises:
        FileError: the folder has no metrics.jsonl, or one of its lines is damaged.
    """
    file = Path(os.fsdecode(path)) / METRICS
    try:
        whole, _, _ = file.read_bytes().rpartition(b"\n")
        return [_row(parsed(line)) for line in whole.decode().split("\n") if line]
    except OSError:
        raise FileError(f"{path}: is not the folder of a run (it has no {METRICS})") from None
    except (ValueError, RecursionError) as error:
        raise FileError(f"{file}: is damaged ({error})") from None


def _row(given: Any) -> dict[str, float]:
    if not isinstance(given, dict):
        raise ValueError(f"{given!r} is no row")
    return {name: math.nan if value is None else value for name, value in given.items()}


def read_model(path: str | os.PathLike[str], model: Module) -> None:
    """Gives `model` the weights of a run.

    Raises:
        FileError: the run has no weights, or they are damaged.
        StateError: they are another model's.
    """
    model.load_state_dict(load_file(Path(os.fsdecode(path)) / MODEL))
