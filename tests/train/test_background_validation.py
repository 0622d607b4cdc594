"""Validation beside training: the same figures, by weights of one moment, told in order."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.data import DataLoader, TensorDataset
from smelt.errors import ArgumentError, StateError
from smelt.optim.swa_utils import AveragedModel

numbers = np.random.default_rng(0)
X = numbers.normal(size=(64, 4)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(np.int64)
HELD_OUT = X[:16], Y[:16]


def fitted(background: bool = True, **options: Any) -> tuple[nn.Module, train.History]:
    smelt.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2))
    model.append(nn.Linear(8, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    chosen: dict[str, Any] = {
        "epochs": 5, "batch_size": 16, "validation": HELD_OUT, "metrics": ["accuracy"],
        "progress": False, "background_validation": background, **options,
    }  # fmt: skip
    if "averaged" in options:
        chosen["averaged"] = AveragedModel(model)
    return model, train.fit(model, F.cross_entropy, optimizer, (X, Y), **chosen)


def bits(model: nn.Module) -> bytes:
    return b"".join(np.asarray(x).tobytes() for x in model.state_dict().values())


def figures(history: train.History) -> list[Any]:
    return [(epoch.number, epoch.loss, epoch.held_out) for epoch in history.epochs]


class Slow(train.Metric):
    """Takes as long as is said, and fails where it is said."""

    def __init__(self, seconds: float = 0.0, fails: bool = False) -> None:
        self.seconds, self.fails = seconds, fails
        self.threads: list[str] = []
        self.ends: list[float] = []

    def measure(self, output: Any, target: Any) -> Any:
        return output.sum()

    def compute(self, total: Any) -> Any:
        self.threads.append(threading.current_thread().name)
        time.sleep(self.seconds)
        self.ends.append(time.perf_counter())
        if self.fails:
            raise LookupError("no figure")
        return total


@pytest.mark.parametrize("options", [{}, {"averaged": True}, {"validation": 0.25}])
def test_figures_and_weights_are_those_of_a_validation_in_between(options: Any) -> None:
    (model, history), (expected, between) = fitted(**options), fitted(False, **options)
    assert figures(history) == figures(between)
    assert bits(model) == bits(expected)
    assert not [one for one in threading.enumerate() if one.name == "smelt validation"]


def test_validation_that_draws_leaves_the_numbers_of_the_training_alone() -> None:
    """A loader draws a seed for every pass, and this model noise whenever it is called."""
    loader = DataLoader(TensorDataset(*HELD_OUT), batch_size=8)

    class Noisy(nn.Module):
        def __init__(self) -> None:
            self.line = nn.Linear(4, 2)

        def forward(self, x: smelt.Tensor) -> smelt.Tensor:
            return self.line(x) + smelt.randn(2)

    def run(slow: float, **options: Any) -> tuple[bytes, list[Any]]:
        smelt.manual_seed(0)
        model = Noisy()
        metrics = {} if "validation" not in options else {"metrics": [Slow(slow)]}
        history = train.fit(
            model, F.cross_entropy, optim.SGD(model.parameters(), lr=0.1), (X, Y), epochs=3,
            batch_size=16, progress=False, **metrics, **options,
        )  # fmt: skip
        return bits(model), figures(history)

    options = {"validation": loader, "background_validation": True}
    found = run(0.0, **options)
    assert found == run(0.02, **options)
    assert found[0] == run(0.0)[0]


class Equal(nn.Module):
    """Two vectors that are the same after every step, and what they differ by at any moment."""

    def __init__(self) -> None:
        self.first = nn.Parameter(smelt.zeros(50_000))
        self.second = nn.Parameter(smelt.zeros(50_000))

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        torn = (self.first - self.second).abs().max()
        moved = self.first.max() - self.first.min()
        mean = (self.first + self.second).mean() + 0.0 * x.sum()
        return smelt.stack([mean, torn + moved])


class Moments(train.Metric):
    """How many moments the weights of the batches are of, and how far they were torn apart."""

    rows = True

    def measure(self, output: Any, target: Any) -> Any:
        return output.unsqueeze(0)

    def compute(self, total: Any) -> Any:
        time.sleep(0.002)
        return {"torn": total[:, 1].max(), "moments": len(np.unique(total[:, 0]))}


def torn(**options: Any) -> tuple[list[float], list[float]]:
    smelt.manual_seed(0)
    model = Equal()
    data = smelt.ones(400, 1), smelt.ones(400)
    held_out = [(smelt.ones(4, 1), smelt.ones(4))] * 200
    history = train.fit(
        model, lambda output, target: -output[0] * target.mean(),
        optim.SGD(model.parameters(), lr=1.0), data, epochs=8, batch_size=1, progress=False,
        validation=DataLoader(held_out, batch_size=None), metrics=[Moments()],
        background_validation=True, **options,
    )  # fmt: skip
    rows = [epoch.held_out for epoch in history.epochs]
    return [row["moments_torn"] for row in rows], [row["moments_moments"] for row in rows]


def test_every_snapshot_is_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torn() == ([0.0] * 8, [1.0] * 8)
    # what the test is for: a validation that looks at the live weights is seen
    monkeypatch.setattr("smelt.train.beside.copy.deepcopy", lambda model: model)
    monkeypatch.setattr(Equal, "load_state_dict", lambda self, state: None)
    with pytest.raises((AssertionError, StateError)):
        assert torn() == ([0.0] * 8, [1.0] * 8)


def test_callbacks_find_the_model_as_it_was_measured() -> None:
    seen: dict[bool, list[Any]] = {False: [], True: []}

    class Looks(train.Callback):
        def __init__(self, found: list[Any]) -> None:
            self.found = found

        def epoch(self, epoch: train.Epoch) -> None:
            model = self.training.update.model
            again = train.evaluate(model, HELD_OUT, loss=F.cross_entropy)["loss"]
            self.found.append((epoch.number, bits(model), again == epoch.held_out["loss"]))

    for background, found in seen.items():
        fitted(background, callbacks=[Looks(found)])
    assert seen[True] == seen[False]
    assert [(number, same) for number, _, same in seen[True]] == [(n, True) for n in range(1, 6)]


def test_early_stopping_ends_after_the_next_epoch_and_goes_back_to_the_best() -> None:
    def stopped(background: bool) -> tuple[bytes, int, int]:
        stop = train.EarlyStopping("loss", patience=2)
        model, history = fitted(background, epochs=60, callbacks=[stop])
        return bits(model), stop.best_epoch, len(history.epochs)

    beside, between = stopped(True), stopped(False)
    assert beside[1] == between[1]
    assert beside[0] == between[0]
    assert beside[2] == between[2] + 1  # the one that was trained meanwhile, measured too


def test_what_stops_within_an_epoch_leaves_the_ones_before_measured() -> None:
    class Stops(train.Callback):
        def step(self, progress: train.Progress) -> None:
            if progress.epoch == 3:
                raise train.StopTraining("enough")

    found = [figures(fitted(background, callbacks=[Stops()])[1]) for background in (True, False)]
    assert found[0] == found[1]
    assert [row[0] for row in found[0]] == [1, 2]


def test_the_best_weights_on_disk_are_those_that_were_measured(tmp_path: Path) -> None:
    found = []
    for background in (True, False):
        path = tmp_path / str(background)
        smelt.manual_seed(0)
        model = nn.Linear(4, 2)
        optimizer = optim.SGD(model.parameters(), lr=2.0)
        train.fit(
            model, F.cross_entropy, optimizer, (X, Y), epochs=8, batch_size=8, progress=False,
            validation=HELD_OUT, background_validation=background,
            run=train.RunFolder(path, model, monitor="loss"),
        )  # fmt: skip
        best = min(row["held_out_loss"] for row in train.read_metrics(path))
        kept = nn.Linear(4, 2)
        train.read_model(path, kept)
        assert train.evaluate(kept, HELD_OUT, loss=F.cross_entropy)["loss"] == best
        found.append(bits(kept))
    assert found[0] == found[1]


def test_training_goes_on_meanwhile() -> None:
    metric = Slow(0.5)
    steps: list[tuple[int, float]] = []

    class Clock(train.Callback):
        def step(self, progress: train.Progress) -> None:
            steps.append((progress.epoch, time.perf_counter()))

    fitted(metrics=[metric], epochs=3, callbacks=[Clock()])
    assert set(metric.threads) == {"smelt validation"}
    assert next(when for epoch, when in steps if epoch == 2) < metric.ends[0]


def test_what_goes_wrong_in_the_thread_ends_the_training(tmp_path: Path) -> None:
    metric = Slow(fails=True)
    with pytest.raises(LookupError, match="no figure"):
        fitted(metrics=[metric], run=tmp_path / "run")
    assert not [one for one in threading.enumerate() if one.name == "smelt validation"]
    assert train.read_checkpoint(tmp_path / "run")["step"] >= 4
    metric.fails = False
    _, history = fitted(metrics=[metric], run=tmp_path / "run", resume=True)
    assert [epoch.number for epoch in history.epochs] == [1, 2, 3, 4, 5]


def test_a_long_validation_does_not_outlive_an_interruption() -> None:
    class Interrupt(train.Callback):
        def step(self, progress: train.Progress) -> None:
            if progress.epoch == 2:
                raise KeyboardInterrupt

    seen = []

    class Held:
        """Batches for an hour."""

        def __iter__(self) -> Any:
            for _ in range(3600):
                seen.append(1)
                time.sleep(0.05)
                yield HELD_OUT

    start = time.perf_counter()
    _, history = fitted(validation=Held(), callbacks=[Interrupt()])
    assert history.interrupted
    assert history.epochs == []
    assert seen
    assert time.perf_counter() - start < 60
    assert not [one for one in threading.enumerate() if one.name == "smelt validation"]


def test_what_cannot_be_measured_beside_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="background_validation needs held-out data"):
        fitted(validation=lambda: {"loss": 1.0}, metrics=None)
    with pytest.raises(ArgumentError, match="background_validation needs held-out data"):
        fitted(validation=None, metrics=None)
    model = nn.Linear(4, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    given = model, F.cross_entropy, optimizer
    options: Any = {"epochs": 1, "background_validation": True, "progress": False}
    with pytest.raises(ArgumentError, match="a ReduceLROnPlateau needs the metrics"):
        train.fit(*given, (X, Y), validation=HELD_OUT, scheduler=plateau, **options)
    loader = DataLoader(TensorDataset(X, Y), batch_size=8)
    with pytest.raises(ArgumentError, match="cannot read the same loader"):
        train.fit(*given, loader, validation=loader, **options)

    class Changes(train.Callback):
        def epoch(self, epoch: train.Epoch) -> None:
            self.training.update.model[0].bias.data.zero_()

    with pytest.raises(StateError, match="a callback has changed the model"):
        fitted(callbacks=[Changes()])
    fitted(run=tmp_path / "run")
    with pytest.raises(StateError, match="background_validation=True, and this one has None"):
        fitted(False, run=tmp_path / "run", resume=True)
