"""The run folder: what a training writes to disk, readable at any time.

config.json          the settings of the run, written before it starts
metrics.jsonl        one line per epoch, written when the epoch ends
model.safetensors    the weights: of the best epoch if `monitor` is set, else of the last
checkpoint.safetensors   all that resuming needs, written from time to time and at the end
summary.json         model, data and machine of the training: written by `fit` before it starts
times.jsonl          where the time went, one line per call of `fit`, written when it ends
predictions.safetensors  predictions for held-out data: see `smelt.train.predictions`
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from smelt.atomic import writable_folder, write_bytes
from smelt.errors import ArgumentError, FileError
from smelt.export.checkpoint import load, save
from smelt.export.safetensors import load_file, save_file
from smelt.json_text import parsed
from smelt.nn.module import Module
from smelt.train.early_stopping import EarlyStopping
from smelt.train.folder_lock import HeldFile
from smelt.train.history import Callback, Epoch, History, Progress
from smelt.train.monitor import Mode, Monitor
from smelt.train.predictions import PREDICTIONS
from smelt.train.ranks import as_first_rank, first_rank, other_folder, own_folder
from smelt.train.writer import MetricsWriter, json_text

__all__ = [
    "RunFolder", "new_folder", "read_checkpoint", "read_config", "read_metrics", "read_model",
]  # fmt: skip

CONFIG, METRICS, MODEL = "config.json", "metrics.jsonl", "model.safetensors"
CHECKPOINT, SUMMARY, TIMES = "checkpoint.safetensors", "summary.json", "times.jsonl"
FILES = (CONFIG, METRICS, MODEL, CHECKPOINT, SUMMARY, TIMES, PREDICTIONS)
SAVE_EVERY = 10.0  # seconds of training that a crash may cost


class RunFolder(Callback):
    """Keeps a training on disk while it runs.

    Args:
        path: a folder that does not hold a run yet; it is created if it does not exist.
        model: the model whose weights are saved.
        config: the settings of the run; anything that JSON can represent. A Tensor or array with a
            single element becomes a number, a number that is not finite becomes null.
        resume: whether to resume the run in the folder; its settings stay. "auto": resume if there
            is a run, else begin one.
        monitor: the metric that decides which epoch is best, such as "loss" or "accuracy"; the
            weights of that epoch are kept. None keeps those of the last.
        mode: "min" or "max", whether the lowest or the highest value is best; None: as the metric
            says.
        save_every: seconds between checkpoints: the training time that a crash may cost.
        classes: the names of a classifier's classes, for `smelt report`; `fit` fills in those of
            data that name theirs, such as an ImageFolder.

    Attributes:
        saved_step: the step of the last checkpoint.
        summary: what `fit` trains, for summary.json; empty in your own loop.

    Raises:
        ArgumentError: JSON cannot represent `config`, or `mode` is neither.
        FileError: the folder cannot be written, or holds a run already, or, with `resume`, none. It
            is raised before training.
        MissingExtra: the library `safetensors` is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: Module,
        config: Mapping[str, Any] | None = None,
        *,
        resume: bool | Literal["auto"] = False,
        monitor: str | None = None,
        mode: Mode | None = None,
        save_every: float = SAVE_EVERY,
        classes: Sequence[str] = (),
    ) -> None:
        if resume == "auto":
            resume = as_first_rank((Path(os.fsdecode(path)) / CHECKPOINT).exists())
        path = own_folder(os.fsdecode(path), resume, FILES)
        self.path: Path = path if resume else writable_folder(path)
        if resume and not (self.path / CHECKPOINT).exists():
            raise FileError(
                f"{self.path}: holds no run that could be resumed (it has no {CHECKPOINT})"
            )
        if not resume and any((self.path / name).exists() for name in FILES):
            raise self._taken()
        self.model = model
        self.resume: bool = resume
        self.save_every = save_every
        self._monitor = None if monitor is None else Monitor(monitor, mode)
        self._config = json_text("RunFolder", config or {}, indent=2)
        self._saved = time.monotonic()
        self._weights_saved = -math.inf  # of no epoch so far
        self.saved_step: int = 0
        self.summary: dict[str, Any] = {}
        self.classes: tuple[str, ...] = tuple(map(str, classes))

    @property
    def keeps_best(self) -> bool:
        """Whether it keeps the weights of the best epoch, not of the last."""
        return self._monitor is not None and self._monitor.best is not None

    def _taken(self) -> FileError:
        return FileError(
            f"{self.path}: holds a run already; choose another folder, or resume the run by "
            'resume=True (also in RunFolder, if you make one yourself). resume="auto" resumes a '
            "run if there is one, and begins one otherwise"
        )

    def _check(self) -> None:
        if self._monitor is not None:
            self._monitor.check(self.training)

    def start(self, epochs: int) -> None:
        """Writes the settings, the initial weights, and an empty metrics file. When a run is
        resumed only the metrics change: they are cut to the epochs that its checkpoint includes.

        Raises:
            FileError: another training is running in the folder.
        """
        content = None if self.resume else f"{self._config}\n".encode()
        self._held = HeldFile(self.path / CONFIG, content)
        try:
            self._write_first()
        except BaseException:
            if self.resume:
                self._held.release()
            else:
                self._free()
            raise

    def _free(self) -> None:
        """Leaves the folder as it was found: without a run."""
        for name in FILES:
            (self.path / name).unlink(missing_ok=True)
        self._held.release()

    def abandon(self) -> None:
        """Ends a new training before its first step: the folder can be used again."""
        self.metrics.close()
        self._free()

    def _write_first(self) -> None:
        """Writes what is there before the first step; from then on there is a whole state."""
        if not self.resume:
            self._save_weights()
            self._save_state()
        rows = [epoch.row() for epoch in self.training.history.epochs] if self._is_told else []
        lines = "".join(f"{json_text('RunFolder', row)}\n" for row in rows)
        write_bytes(self.path / METRICS, lines.encode())
        if self.summary and not (self.path / SUMMARY).exists():
            text = json_text("RunFolder", {**self.summary, **self._monitored()}, indent=2)
            write_bytes(self.path / SUMMARY, f"{text}\n".encode())
        self.metrics: MetricsWriter = MetricsWriter(self.path / METRICS)

    def _monitored(self) -> dict[str, Any]:
        """Returns the metric that decides which epoch is best, for summary.json: this folder's, or
        else that of the first EarlyStopping; none where there is neither.
        """
        own = [] if self._monitor is None else [self._monitor]
        others = [one.monitor for one in self.training.callbacks if isinstance(one, EarlyStopping)]
        for monitor in [*own, *others]:
            return {"monitor": {"name": monitor.figure, "mode": monitor.best_is(self.training)}}
        return {}

    @property
    def _is_told(self) -> bool:
        """Whether it is a callback of `fit`, not of a loop of the user's."""
        return hasattr(self, "training")

    def save_checkpoint(self, state: Any = None) -> None:
        """Writes the checkpoint: everything that a training needs to resume from here.

        Args:
            state: what your own loop needs, of types that `smelt.save` takes; `read_checkpoint`
                returns it. None: what `fit` needs.

        Raises:
            ArgumentError: a state is missing outside `fit`, or is given within it.
            FileError: the file cannot be written; the previous one is still there.
        """
        if state is not None and self._is_told:
            raise ArgumentError(
                "save_checkpoint(state): fit writes the checkpoint of this run; call "
                "save_checkpoint() without a state, or smelt.save(state, path) for a file of your "
                "own"
            )
        if state is None and not self._is_told:
            raise ArgumentError(
                "save_checkpoint(): outside of fit, give the state that your loop needs to "
                "resume, such as save_checkpoint({'epoch': 3, 'optimizer': "
                "optimizer.state_dict()})"
            )
        save(self.training.state_dict() if state is None else state, self.path / CHECKPOINT)
        if state is None:
            self.saved_step = self.training.step
        self._saved = time.monotonic()

    def _save_state(self) -> None:
        """Writes a checkpoint of what `fit` trains; a loop of the user's writes its own."""
        if self._is_told:
            self.save_checkpoint()

    def _save_weights(self) -> None:
        save_file(self.model.state_dict(), self.path / MODEL)

    def step(self, progress: Progress) -> None:
        """Writes a checkpoint from time to time, also within a long epoch."""
        if self._is_due(self._saved):
            self._save_state()

    def _is_due(self, saved: float) -> bool:
        """Whether what was saved at a time is old enough, by the clock of the first rank."""
        return as_first_rank(time.monotonic() - saved > self.save_every)

    def epoch(self, epoch: Epoch) -> None:
        """Writes the epoch's line; the weights if it is the best, or, where none is kept, after the
        first epoch and from time to time; from time to time a checkpoint.
        """
        self.metrics.write(epoch.row())
        self.metrics.flush()  # the line of an epoch is there when the epoch is over
        is_due = self._is_due(self._saved)
        is_best = self._monitor is not None and self._monitor.improves(epoch, self.training)
        if is_best or (self._monitor is None and self._is_due(self._weights_saved)):
            self._save_weights()
            self._weights_saved = time.monotonic()
        if is_due or is_best:
            self._save_state()

    def end(self, history: History) -> None:
        """Writes the weights, unless those of a better epoch are there, and closes the metrics."""
        try:
            if not self.keeps_best:
                self._save_weights()
            if self._is_told:
                with MetricsWriter(self.path / TIMES) as times:
                    times.write(self.training.spent.row())
        finally:
            try:
                self.metrics.close()
            finally:
                self._held.release()

    def state_dict(self) -> dict[str, Any]:
        """Returns which epoch was the best so far."""
        return {} if self._monitor is None else self._monitor.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        if self._monitor is not None and state_dict:
            self._monitor.load_state_dict(state_dict)


def read_checkpoint(path: str | os.PathLike[str]) -> Any:
    """Returns the state of a training: as `Training.load_state_dict` takes it, or what your own
    loop gave to `RunFolder.save_checkpoint`.

    Args:
        path: the folder of a run, or a file that `smelt.save` wrote of `Training.state_dict()`.

    Raises:
        FileError: there is none, or it is damaged.
    """
    place = Path(os.fsdecode(path))
    return load(place / CHECKPOINT if place.is_dir() else place)


def new_folder(parent: str | os.PathLike[str], name: str) -> Path:
    """Creates a folder `parent/name-1`, `parent/name-2` ..., the first that does not exist; several
    programs get different ones.

    Raises:
        FileError: it cannot be created.
    """
    if not first_rank():
        return other_folder()
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
        lacks = f"it has no {CONFIG}" if file.parent.is_dir() else "there is no such folder"
        raise FileError(f"{path}: is not the folder of a run ({lacks})") from None
    except (ValueError, RecursionError) as error:
        raise FileError(f"{file}: is damaged ({error})") from None
    if not isinstance(config, dict):
        raise FileError(f"{file}: is damaged (it holds no settings by name)")
    return config


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, float]]:
    """Returns a row for each finished epoch of a run; numbers that were not finite are nan.

    An incomplete last line, which is being written or was when the writer was killed, is left out.

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
        raise ValueError(f"{given!r} is not a row")
    return {name: math.nan if value is None else value for name, value in given.items()}


def read_model(path: str | os.PathLike[str], model: Module) -> None:
    """Loads the weights of a run into `model`.

    Raises:
        FileError: the run has no weights, or they are damaged.
        StateError: they belong to another model.
    """
    model.load_state_dict(load_file(Path(os.fsdecode(path)) / MODEL))
