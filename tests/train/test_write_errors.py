"""A disk that is full, a folder that is gone, signals at every moment: what is on disk stays whole.

The training that goes on from there ends with the bits of one to which nothing happened.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from smelt import train
from smelt.errors import BoundsError, FileError
from tests.train.test_resume import Job

CHECKPOINT = "checkpoint.safetensors"
Break = Callable[[pytest.MonkeyPatch, Path], object]


class At(train.Callback):
    """Does something once, after a number of epochs."""

    def __init__(self, epoch: int, do: Callable[[], object]) -> None:
        self.number, self.do = epoch, do

    def epoch(self, epoch: train.Epoch) -> None:
        if epoch.number == self.number:
            self.do()


def folder(path: Path, job: Job) -> train.RunFolder:
    """Returns a run folder that is written to after every call of steps."""
    return train.RunFolder(path, job.model, save_every=0.0)


def no_space(*given: Any, **options: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refused(*given: Any, **options: Any) -> Any:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """Within the block no file of this process can grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def limited(patch: pytest.MonkeyPatch, path: Path) -> None:
    """Lets the system refuse whatever makes a file longer than 64 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))


BREAKS: dict[str, tuple[Break, str]] = {
    "full": (limited, "File too large"),
    "renaming": (lambda patch, path: patch.setattr(os, "replace", no_space), "No space left"),
    "syncing": (lambda patch, path: patch.setattr(os, "fsync", no_space), "No space left"),
    "read-only": (lambda patch, path: patch.setattr(os, "replace", refused), "Permission denied"),
}


@pytest.fixture
def mended() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("mended")
@pytest.mark.parametrize("kind", ["arrays", "background"])
@pytest.mark.parametrize("broken", BREAKS)
def test_what_cannot_be_written_leaves_the_last_whole_state(
    kind: str, broken: str, tmp_path: Path
) -> None:
    expected = Job(kind)
    expected.fit(tmp_path / "whole")
    breaks, reason = BREAKS[broken]
    path, first, told = tmp_path / "run", Job(kind), []
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Told(train.Callback):
        def end(self, history: train.History) -> None:
            told.append(len(history.epochs))

    with pytest.MonkeyPatch.context() as patch, pytest.raises(FileError, match=reason) as caught:
        broken_at = At(2, lambda: breaks(patch, path))
        first.fit(folder(path, first), callbacks=[broken_at, Told()])
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(path) in str(caught.value)
    assert told == [2]  # the callbacks hear of the end all the same
    assert not [name for name in os.listdir(path) if name.startswith(".smelt-")]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("smelt m")]
    assert 0 < train.read_checkpoint(path)["step"] <= 18
    second = Job(kind, seed=7)
    second.fit(path, resume=True)
    assert second.bits() == expected.bits()
    assert [row["epoch"] for row in train.read_metrics(path)] == [1, 2, 3]


@pytest.mark.usefixtures("mended")
@pytest.mark.parametrize("size", [0, 16, 600, 3000])
def test_a_disk_that_is_full_from_the_start_leaves_a_free_folder(size: int, tmp_path: Path) -> None:
    """Config, weights, checkpoint, metrics: whichever is the first that does not fit."""
    job, path = Job("arrays"), tmp_path / "run"
    with small_files(size), pytest.raises(FileError, match="File too large") as caught:
        job.fit(path)
    assert str(path) in str(caught.value)
    assert os.listdir(path) == []
    Job("arrays").fit(path)


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    path, job = tmp_path / "run", Job("arrays")
    gone = At(1, lambda: shutil.rmtree(path))
    with pytest.raises(FileError, match=r"run/\w+.safetensors: .* \(there is no folder"):
        job.fit(folder(path, job), callbacks=[gone])
    assert job.averaged.n_averaged.item() == 6  # the steps that were made are the model's


def test_an_error_of_the_training_says_what_went_wrong_at_its_end_too(tmp_path: Path) -> None:
    path, job = tmp_path / "run", Job("arrays")

    def fail() -> None:
        shutil.rmtree(path)
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        job.fit(path, callbacks=[At(1, fail)])
    (note, *_) = caught.value.__notes__
    assert note.startswith("and at the end: FileError: ")
    assert CHECKPOINT in note


def test_a_step_that_fails_leaves_the_later_state_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model goes back to the end of the epoch before; the checkpoint is of the step before."""
    monkeypatch.setattr("smelt.train.loop.GROWTH", 1)
    job = Job("arrays")
    job.data[1][-1] = 9  # a label that is no class, in the last batch
    with pytest.raises(BoundsError, match="a label lies outside"):
        job.fit(folder(tmp_path / "run", job), shuffle=False)
    assert train.read_checkpoint(tmp_path / "run")["step"] == 5
    found = Job("arrays", seed=7)
    found.fit(tmp_path / "run", resume=True, shuffle=False)
    expected = Job("arrays")
    expected.fit(tmp_path / "whole", shuffle=False)
    assert found.bits() == expected.bits()


# --- signals --------------------------------------------------------------------------------------

STOPPED = """
import os, signal, sys
from smelt import train
from tests.train.test_resume import Job
from tests.train.test_write_errors import folder

path, kind, phase, name = sys.argv[1:]
number = getattr(signal, name)
job = Job(kind)
calls = []

def now(*given):
    calls.append(1)
    if len(calls) == (5 if phase == "checkpoint" else 2):
        os.kill(os.getpid(), number)
        if name == "SIGINT":
            os.kill(os.getpid(), number)  # who is in a hurry presses it twice

class During(train.Callback):
    def step(self, progress):
        now() if phase == "step" else None

def around(owner, attribute):
    inner = getattr(owner, attribute)
    def call(*given, **options):
        now()
        return inner(*given, **options)
    setattr(owner, attribute, call)

if phase == "compile":
    import smelt.compiler.artifacts as place
    calls.append(1)
    around(place.Stages, "__init__")
if phase == "validation":
    around(train.metrics.base.Total, "add")
if phase == "checkpoint":
    around(os, "replace")
history = job.fit(folder(path, job), callbacks=[During()])
print("interrupted", history.interrupted)
"""


@pytest.mark.parametrize("kind", ["arrays", "background"])
@pytest.mark.parametrize("phase", ["compile", "step", "validation", "checkpoint"])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_at_any_moment_loses_nothing(
    kind: str, phase: str, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    command = [sys.executable, "-c", STOPPED, str(path), kind, phase, name]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    if phase == "compile":
        environment["SMELT_CACHE"] = str(tmp_path / "cache")  # what is kept there is not compiled
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    if name == "SIGTERM":
        assert done.returncode == 128 + signal.SIGTERM, done.stderr
    else:
        heard = "interrupted True" in done.stdout or "KeyboardInterrupt" in done.stderr
        assert heard, done.stderr
    assert not [file for file in os.listdir(path) if file.startswith(".smelt-")]
    expected = Job(kind)
    expected.fit(tmp_path / "whole")
    found = Job(kind, seed=7)
    found.fit(path, resume=True)
    assert found.bits() == expected.bits()
    assert [row["epoch"] for row in train.read_metrics(path)] == [1, 2, 3]
