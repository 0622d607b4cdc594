"""The training loop, eagerly and compiled."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt.nn.functional as F
from smelt import nn, optim
from smelt.data import TensorDataset
from smelt.errors import ArgumentError, NumericsError
from smelt.random import manual_seed
from smelt.settings import settings
from smelt.tensor import Tensor
from smelt.train import (
    Callback,
    Epoch,
    History,
    Progress,
    RunFolder,
    evaluator,
    fit,
    predict,
    read_metrics,
    read_model,
)


@pytest.fixture(params=[False, True], ids=["eager", "compiled"], autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with settings(compile=request.param):
        yield


@pytest.fixture
def data() -> TensorDataset:
    """40 samples of y = 2 a - b + 1."""
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    return TensorDataset(x, x @ np.array([[2], [-1]], np.float32) + 1)


class Line:
    """A linear model and everything around it."""

    def __init__(self, lr: float = 0.1) -> None:
        manual_seed(0)
        self.model = nn.Linear(2, 1)
        self.optimizer = optim.SGD(self.model.parameters(), lr=lr)

    def fit(self, data: Any, **options: Any) -> History:
        chosen = {"epochs": 10, "batch_size": 8, "progress": False, **options}
        return fit(self.model, F.mse_loss, self.optimizer, data, **chosen)


class Log(Callback):
    """Writes down what it is told, and does something after an epoch."""

    def __init__(self, then: Callable[[Epoch], object] = lambda epoch: None) -> None:
        self.events: list[Any] = []
        self.then = then

    def start(self, epochs: int) -> None:
        self.events.append(("start", epochs))

    def epoch(self, epoch: Epoch) -> None:
        self.events.append(epoch.number)
        self.then(epoch)

    def end(self, history: History) -> None:
        self.events.append(("end", history.interrupted))


def weights(model: nn.Module) -> dict[str, list[float]]:
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


def test_the_loss_falls_and_every_epoch_is_reported(data: TensorDataset) -> None:
    line, log = Line(), Log()
    history = line.fit(data, callbacks=[log])
    assert [epoch.number for epoch in history.epochs] == list(range(1, 11))
    assert history.epochs[-1].loss < 1e-3 < history.epochs[0].loss
    assert log.events == [("start", 10), *range(1, 11), ("end", False)]
    assert history.seconds == sum(epoch.seconds for epoch in history.epochs)
    np.testing.assert_allclose(line.model.weight.numpy(), [[2, -1]], atol=0.02)


def test_the_same_seed_gives_the_same_weights(data: TensorDataset) -> None:
    first, second = Line(), Line()
    manual_seed(1)
    first.fit(data)
    manual_seed(1)
    second.fit(data)
    assert weights(first.model) == weights(second.model)


def test_held_out_data_are_looked_at_in_evaluation_mode(data: TensorDataset) -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.5))
    model[1].eval()
    validate = evaluator(
        model, data, {"loss": F.mse_loss, "twice": lambda x, y: 2 * F.mse_loss(x, y)}
    )
    found = validate()
    assert found == validate()  # dropout would differ
    assert found["twice"] == pytest.approx(2 * found["loss"])
    assert (model.training, model[0].training, model[1].training) == (True, True, False)


def test_a_mean_over_several_batches_is_the_mean_over_all(data: TensorDataset) -> None:
    model = nn.Linear(2, 1)
    whole = evaluator(model, data, loss=F.mse_loss)()["loss"]
    outputs = predict(model, data.tensors[0]).numpy()
    cut = evaluator(model, data, loss=F.mse_loss, batch_size=17)()["loss"]
    assert cut == pytest.approx(whole, rel=1e-5)
    predicted = predict(model, data.tensors[0], batch_size=17).numpy()
    np.testing.assert_allclose(predicted, outputs, rtol=1e-5)


def test_a_schedule_goes_on_with_each_step(data: TensorDataset) -> None:
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    options = {"batch_size": 8, "scheduler": schedule, "progress": False}
    fit(model, F.mse_loss, optimizer, data, epochs=1, scheduler_interval="step", **options)
    assert float(schedule.get_last_lr()[0]) == pytest.approx(0.5**5)
    fit(model, F.mse_loss, optimizer, data, epochs=2, **options)
    assert float(schedule.get_last_lr()[0]) == pytest.approx(0.5**7)


def test_ctrl_c_between_epochs_keeps_the_last_finished_one(data: TensorDataset) -> None:
    line = Line()
    kept: list[dict[str, list[float]]] = []

    def interrupt(epoch: Epoch) -> None:
        kept.append(weights(line.model))
        if epoch.number == 3:
            signal.raise_signal(signal.SIGINT)

    log = Log(interrupt)
    history = line.fit(data, callbacks=[log])
    assert history.interrupted
    assert len(history.epochs) == 3
    assert log.events[-1] == ("end", True)
    assert weights(line.model) == kept[-1]


def test_ctrl_c_within_an_epoch_keeps_the_last_finished_step(data: TensorDataset) -> None:
    line, other = Line(), Line()

    class Interrupt(Log):
        def step(self, progress: Progress) -> None:
            if progress.epoch == 2 and progress.step == 3:
                signal.raise_signal(signal.SIGINT)

    history = line.fit(data, steps_per_epoch=3, callbacks=[Interrupt()], seed=1)
    assert (history.interrupted, len(history.epochs)) == (True, 1)
    other.fit(data, epochs=None, steps=6, seed=1)
    assert weights(line.model) == weights(other.model)


def test_ctrl_c_within_a_step_goes_back_to_what_is_whole(data: TensorDataset) -> None:
    line = Line()
    before = weights(line.model)

    def loss(output: Tensor, target: Tensor) -> Tensor:
        raise KeyboardInterrupt

    history = fit(line.model, loss, line.optimizer, data, epochs=2, progress=False, batch_size=8)
    assert (history.interrupted, history.epochs) == (True, [])
    assert weights(line.model) == before


def test_an_error_goes_on_after_the_callbacks_were_told(data: TensorDataset) -> None:
    def fail(epoch: Epoch) -> None:
        raise ZeroDivisionError

    log = Log(fail)
    with pytest.raises(ZeroDivisionError):
        Line().fit(data, callbacks=[log])
    assert log.events == [("start", 10), 1, ("end", False)]


def test_no_epochs_change_nothing(data: TensorDataset) -> None:
    line = Line()
    before = weights(line.model)
    assert line.fit(data, epochs=0).epochs == []
    assert weights(line.model) == before


@pytest.mark.parametrize("options", [{"epochs": -1}, {"batch_size": 0}, {"batch_size": 41}])
def test_settings_out_of_range_are_refused(data: TensorDataset, options: dict[str, int]) -> None:
    (name,) = options
    with pytest.raises(ArgumentError, match=name):
        Line().fit(data, **options)


def test_a_nan_ends_the_training_with_the_state_of_the_epoch_before(data: TensorDataset) -> None:
    line = Line()
    line.fit(data, epochs=2)
    before, moments = weights(line.model), line.optimizer.state_dict()
    line.optimizer.param_groups[0]["lr"] = 1e30
    log = Log()
    with pytest.raises(NumericsError, match=r"check_nan=True") as caught:
        line.fit(data, epochs=3, callbacks=[log])
    assert "in epoch 1 the loss is" in str(caught.value)
    assert log.events == [("start", 3), ("end", False)]
    assert weights(line.model) == before
    assert line.optimizer.state_dict().keys() == moments.keys()


def test_a_nan_saves_nothing_over_the_weights(data: TensorDataset, tmp_path: Path) -> None:
    line = Line()
    folder = RunFolder(tmp_path / "run", line.model, {})
    poisoned = Log(lambda epoch: poison(data) if epoch.number == 2 else None)
    with pytest.raises(NumericsError, match="in epoch 3 the loss is nan"):
        line.fit(data, run=folder, callbacks=[poisoned])
    found = nn.Linear(2, 1)
    read_model(folder.path, found)
    assert np.isfinite(weights(found)["weight"]).all()
    assert weights(found) == weights(line.model)
    assert len(read_metrics(folder.path)) == 2


def poison(data: TensorDataset) -> None:
    """Makes one target a nan."""
    data.tensors[1].copy_(data.tensors[1].at[7].set(float("nan")))


def test_weights_that_the_last_step_spoils_are_not_kept(data: TensorDataset) -> None:
    line = Line(lr=1e38)
    before = weights(line.model)
    large = TensorDataset(*[x[:8] * 100 for x in data.tensors])
    with pytest.raises(NumericsError, match="after epoch 1 (weight|bias) is not finite"):
        line.fit(large, epochs=2)
    assert weights(line.model) == before


def test_the_check_names_the_operation_in_fit(data: TensorDataset) -> None:
    line = Line()
    poison(data)
    with settings(check_nan=True), pytest.raises(NumericsError, match="nan") as caught:
        line.fit(data)
    assert "test_fit.py" in str(caught.value)
