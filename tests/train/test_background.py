"""Evaluation beside training."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.data import TensorDataset
from smelt.errors import ArgumentError, ChannelClosed
from smelt.train import BackgroundEvaluator, fit

LONG = 10.0  # seconds after which a test has failed


class Equal(nn.Module):
    """Parameters and a buffer that are all the same number after every step."""

    def __init__(self) -> None:
        self.first = nn.Parameter(smelt.zeros(400, 400))
        self.inner = nn.Linear(300, 300)
        self.register_buffer("last", smelt.zeros(7))
        self.fill(0.0)

    def fill(self, value: float) -> None:
        with smelt.no_grad():
            for tensor in (*self.parameters(), *self.buffers()):
                tensor.copy_(smelt.full(tensor.shape, value))


def values_of(model: nn.Module) -> Callable[[], dict[str, float]]:
    """Looks at every number of a model; there must be only one."""

    def validate() -> dict[str, float]:
        found = {float(v) for t in model.state_dict().values() for v in np.unique(t.numpy())}
        assert len(found) == 1, f"a torn snapshot: {found}"
        return {"value": found.pop()}

    return validate


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    gc.collect()
    assert not [t for t in threading.enumerate() if t.name == "smelt evaluation"]


def test_each_result_belongs_to_its_step() -> None:
    model = Equal()
    with BackgroundEvaluator(model, values_of) as evaluator:
        for step in range(10):
            model.fill(step)
            assert evaluator.submit(step)
    assert [(found.step, found.values["value"]) for found in evaluator.results] == [
        (step, float(step)) for step in range(10)
    ]
    assert all(found.seconds >= 0 for found in evaluator.results)


def test_a_copy_is_all_of_one_step_or_nothing() -> None:
    model = Equal()
    evaluator = BackgroundEvaluator(model, values_of)
    over = threading.Event()

    def train() -> None:
        step = 0
        while not over.is_set():
            step += 1
            with evaluator.lock:
                model.fill(step % 1000)

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    for number in range(40):
        evaluator.submit(number)
    over.set()
    thread.join(LONG)
    evaluator.close()
    assert len(evaluator.results) == 40


def test_training_goes_on_meanwhile() -> None:
    looking, go_on = threading.Event(), threading.Event()

    def wait(model: nn.Module) -> Callable[[], dict[str, float]]:
        def validate() -> dict[str, float]:
            looking.set()
            assert go_on.wait(LONG)
            return values_of(model)()

        return validate

    model = Equal()
    model.fill(1)
    with BackgroundEvaluator(model, wait) as evaluator:
        evaluator.submit(1)
        assert looking.wait(LONG)
        model.fill(2)
        assert evaluator.submit(2, wait=False)
        model.fill(3)
        assert not evaluator.submit(3, wait=False)
        assert evaluator.results == []
        go_on.set()
    assert [found.values["value"] for found in evaluator.results] == [1, 2]


def test_results_are_reported_as_they_come() -> None:
    told = []
    evaluator = BackgroundEvaluator(Equal(), values_of, report=lambda found: told.append(found))
    evaluator.submit(7)
    evaluator.flush()
    assert [found.step for found in told] == [7]
    evaluator.close()
    evaluator.close()
    with pytest.raises(ChannelClosed):
        evaluator.submit(8)


def test_an_error_of_a_look_arrives_with_its_traceback() -> None:
    def broken(model: nn.Module) -> Callable[[], dict[str, float]]:
        def validate() -> dict[str, float]:
            raise LookupError("no held-out data")

        return validate

    evaluator = BackgroundEvaluator(Equal(), broken)
    evaluator.submit(1)
    with pytest.raises(LookupError, match="no held-out data") as caught:
        evaluator.flush()
    assert "validate" in [entry.name for entry in caught.traceback]
    with pytest.raises(LookupError):
        evaluator.submit(2)
    with pytest.raises(LookupError):
        evaluator.close()


def test_a_dropped_evaluator_leaves_no_thread() -> None:
    results = []
    evaluator = BackgroundEvaluator(Equal(), values_of, report=results.append)
    evaluator.submit(1)
    del evaluator
    gc.collect()
    assert [found.step for found in results] == [1]


def test_compiled_looks_beside_compiled_training_are_those_in_between() -> None:
    """The same numbers come out whether one waits for each look, or looks beside training."""
    x, y = smelt.rand(256, 8), smelt.randint(0, 3, (256,))
    data = TensorDataset(x, y)

    def run(beside: bool) -> list[dict[str, float]]:
        smelt.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
        given = model, F.cross_entropy, optim.Adam(model.parameters(), lr=1e-2), data
        options = {"epochs": 5, "batch_size": 32, "progress": False}
        if not beside:
            history = fit(*given, validation=data, **options)
            return [epoch.held_out for epoch in history.epochs]
        evaluator = BackgroundEvaluator(
            model, lambda copy: train.evaluator(copy, data, {"loss": F.cross_entropy})
        )
        fit(*given, **options, callbacks=[evaluator])
        evaluator.close()
        assert [found.step for found in evaluator.results] == [1, 2, 3, 4, 5]
        return [found.values for found in evaluator.results]

    assert run(beside=True) == run(beside=False)


def test_what_is_no_look_is_refused() -> None:
    with pytest.raises(ArgumentError, match="must return a function .* got a dict"):
        BackgroundEvaluator(nn.Linear(2, 1), lambda copy: {"loss": 1.0})  # type: ignore
    evaluator = BackgroundEvaluator(nn.Linear(2, 1), lambda copy: lambda: 1.0)  # type: ignore
    evaluator.submit(0)
    with pytest.raises(ArgumentError, match="must return a dict.* got a float"):
        evaluator.close()
