"""A training that was ended at any step and goes on ends with the bits of one that was not.

`SMELT_RESUMES=50` tries as many random steps; one alone: `check(tmp_path, kind, step)`.
`SMELT_KILLS=200` kills as many trainings at random moments.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.data import Augmented, DataLoader, IterableDataset, RandomSampler, TensorDataset
from smelt.optim.swa_utils import AveragedModel, get_ema_avg_fn

RESUMES = int(os.environ.get("SMELT_RESUMES", "3"))
KILLS = int(os.environ.get("SMELT_KILLS", "2"))
EPOCHS, SAMPLES, SIZE = 3, 44, 8
STEPS = EPOCHS * 6  # five batches of 8 and one of 4


class Job:
    """A training with everything that has a state: dropout, running statistics, moments, a schedule
    by the step, an average of the weights, early stopping.
    """

    def __init__(self, kind: str, seed: int = 0) -> None:
        smelt.manual_seed(seed)
        self.model = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2)
        )
        self.optimizer = optim.AdamW(self.model.parameters(), lr=0.02)
        self.averaged = AveragedModel(self.model, avg_fn=get_ema_avg_fn(0.9))
        numbers = np.random.default_rng(0)
        x = numbers.normal(size=(SAMPLES, 3)).astype(np.float32)
        self.pairs = x, (x[:, 0] > x[:, 1]).astype(np.int64)
        self.data = DATA[kind](*self.pairs)
        self.kind = kind

    def fit(self, run: Path, **options: Any) -> train.History:
        by_epoch = self.kind == "accumulated"
        scheduler = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, T_max=STEPS)
        chosen: dict[str, Any] = {
            "epochs": EPOCHS, "validation": self.pairs, "run": run,
            "metrics": {"accuracy": train.accuracy}, "max_grad_norm": 1.0, "progress": False,
            "averaged": self.averaged, "scheduler": scheduler,
            "scheduler_interval": "epoch" if by_epoch else "step",
            "accumulate": 2 if by_epoch else 1,
            "background_validation": self.kind == "background",
            "precision": "bfloat16" if self.kind == "rounded" else None,
        }  # fmt: skip
        if not isinstance(self.data, DataLoader):
            chosen["batch_size"] = SIZE
        stop = train.EarlyStopping("loss", patience=10**9, restore_best=False)
        given = {**chosen, **options}
        given["callbacks"] = [stop, *given.get("callbacks", [])]
        return train.fit(self.model, F.cross_entropy, self.optimizer, self.data, **given)

    def bits(self) -> dict[str, Any]:
        """Returns all that the training has changed."""
        state = {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": {"state": smelt.get_rng_state()},
        }
        return {
            f"{part}.{name}": np.asarray(value).tobytes()
            for part, values in state.items()
            for name, value in values.items()
        }


def jitter(sample: Any, generator: smelt.Generator) -> Any:
    return sample[0] + 0.1 * smelt.randn(3, generator=generator), sample[1]


class Batches:
    """Whole batches, in order; how many there are it does not say."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def __iter__(self) -> Iterator[Any]:
        for n in range(0, 40, SIZE):
            noise = 0.1 * smelt.randn(SIZE, 3)
            yield smelt.tensor(self.x[n : n + SIZE]) + noise, self.y[n : n + SIZE]


class Stream(IterableDataset):
    """The samples, in order; how many there are it does not say."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y = x, y

    def __iter__(self) -> Iterator[Any]:
        return zip(self.x, self.y, strict=True)


DATA: dict[str, Callable[..., Any]] = {
    "arrays": lambda x, y: (x, y),
    "accumulated": lambda x, y: (x, y),
    "background": lambda x, y: (x, y),
    "rounded": lambda x, y: (x, y),
    "dataset": lambda x, y: Augmented(TensorDataset(x, y), jitter, seed=3),
    "loader": lambda x, y: DataLoader(TensorDataset(x, y), SIZE, shuffle=True, num_workers=2),
    "seeded loader": lambda x, y: DataLoader(TensorDataset(x, y), SIZE, shuffle=True, seed=5),
    "sampler": lambda x, y: DataLoader(
        TensorDataset(x, y), SIZE, sampler=RandomSampler(x, generator=smelt.Generator(4))
    ),
    "iterable": lambda x, y: Batches(x, y),
    "stream": lambda x, y: Stream(x, y),
}


class Interrupt(train.Callback):
    """Ends a training after a number of steps."""

    def __init__(self, step: int) -> None:
        self.after = step

    def step(self, progress: train.Progress) -> None:
        if self.training.step >= self.after:
            raise KeyboardInterrupt


def uninterrupted(kind: str, path: Path) -> tuple[dict[str, Any], list[Any]]:
    job = Job(kind)
    history = job.fit(path)
    return job.bits(), [(epoch.loss, epoch.held_out) for epoch in history.epochs]


def check(tmp_path: Path, kind: str, step: int) -> None:
    bits, epochs = uninterrupted(kind, tmp_path / "whole")
    first = Job(kind)
    assert first.fit(tmp_path / "run", callbacks=[Interrupt(step)]).interrupted
    smelt.manual_seed(99)
    second = Job(kind, seed=7)  # other weights, other random numbers: all comes from the file
    history = second.fit(tmp_path / "run", resume=True, callbacks=[Interrupt(10**9)])
    assert [(epoch.loss, epoch.held_out) for epoch in history.epochs] == epochs
    assert second.bits() == bits
    rows = train.read_metrics(tmp_path / "run")
    assert [row["epoch"] for row in rows] == list(range(1, EPOCHS + 1))


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("seed", range(RESUMES))
def test_a_resumed_training_has_the_bits_of_an_uninterrupted_one(
    kind: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smelt.train.loop.GROWTH", 1)  # one step in a call: it can end after each
    steps = {"accumulated": EPOCHS * 3, "iterable": EPOCHS * 5}.get(kind, STEPS)
    step = int(np.random.default_rng(seed).integers(1, steps))
    check(tmp_path, kind, step)


def test_a_training_that_ends_with_a_pass_goes_on_with_the_next_order(tmp_path: Path) -> None:
    """The order of the next pass is drawn from where the last one left the loader's generator."""
    check(tmp_path, "seeded loader", 12)
    check(tmp_path / "sampler", "sampler", 12)


# --- kills ----------------------------------------------------------------------------------------

KILLED = """
import sys
from smelt import train
from tests.train.test_resume import Job

job = Job(sys.argv[2])
folder = train.RunFolder(sys.argv[1], job.model, save_every=0.0)
print("began", flush=True)
job.fit(folder, epochs=100_000)
"""


def killed(path: Path, kind: str, seconds: float, checkpoints: int) -> None:
    """Trains in a process that writes a checkpoint after each call of steps, and kills it some time
    after so many; the first one is written before the step is compiled.
    """
    seen: set[int] = set()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", KILLED, str(path), kind]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while process.poll() is None and len(seen) < checkpoints:
            with contextlib.suppress(FileNotFoundError):
                seen.add((path / "checkpoint.safetensors").stat().st_mtime_ns)
            time.sleep(0.001)
        time.sleep(seconds)
        process.kill()


def test_a_training_that_is_killed_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    for seed in range(KILLS):
        path, kind = tmp_path / f"run{seed}", ("arrays", "background")[seed % 2]
        moment = float(np.random.default_rng(seed).uniform(0, 0.4))
        killed(path, kind, moment, checkpoints=1 if seed % 8 == 7 else 2)
        steps = train.read_checkpoint(path)["step"]
        print(f"kill {seed}: {kind}, after step {steps}")
        expected = Job(kind)
        expected.fit(tmp_path / f"whole{seed}", epochs=None, steps=steps + 3)
        bits = expected.bits()
        found = Job(kind, seed=7)
        found.fit(path, epochs=None, steps=steps + 3, resume=True)
        assert found.bits() == bits, seed
        train.read_model(path, found.model)
        assert found.bits() == bits, seed
