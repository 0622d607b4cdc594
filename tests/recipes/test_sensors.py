"""The recipe sensors: the simulator, and a short training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smelt.recipes import sensors
from smelt.recipes.sensors import ACTIVITIES, LENGTH, RATE, made, measure, rotations
from tests.recipes.recipe_runs import WITH_PREDICTIONS, check_goes_on

pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")


def test_a_seed_makes_the_same_signals() -> None:
    (x, y), (again, labels), (other, _) = made(100, [1, 2]), made(100, [1, 2]), made(100, [1, 3])
    assert (x == again).all()
    assert (y == labels).all()
    assert (x != other).any()
    assert x.shape == (100, LENGTH, 3)


def test_turning_keeps_lengths() -> None:
    matrices = rotations(np.array([20.0, -80.0]), np.array([10.0, 300.0]))
    np.testing.assert_allclose(matrices @ matrices.swapaxes(1, 2), [np.eye(3)] * 2, atol=1e-12)
    upright = np.array([0, 0, 1.0]) @ rotations(np.array([60.0]), np.array([123.0]))[0]
    assert upright[2] == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["walking", "running", "stairs"])
def test_steps_come_at_the_rate_of_the_activity(name: str) -> None:
    number = list(ACTIVITIES).index(name)
    signals = measure(np.full(50, number), np.random.default_rng(0))
    strength = np.linalg.norm(signals, axis=-1)
    power = np.abs(np.fft.rfft(strength - strength.mean(1, keepdims=True), n=1024)) ** 2
    rate = np.fft.rfftfreq(1024, 1 / RATE)[power.argmax(1)]
    low, high = ACTIVITIES[name][0]
    # of sharp steps the second harmonic may be the strongest
    assert (((rate > 0.8 * low) & (rate < 1.2 * high)) | (rate > 1.6 * low)).all()


def test_who_sits_or_stands_feels_gravity_only() -> None:
    signals = measure(np.array([0, 1] * 20), np.random.default_rng(0))
    assert np.linalg.norm(signals.mean(1), axis=-1) == pytest.approx(np.ones(40), abs=0.1)
    assert np.abs(signals[0::2].mean(1)[:, 2]).max() < np.abs(signals[1::2].mean(1)[:, 2]).min()


def test_it_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors, "VALIDATION", 64)
    monkeypatch.setattr(sensors, "TEST", 64)
    result = sensors.run(tmp_path / "run", samples=512, epochs=6, batch_size=16, lr=1e-2)
    losses = [epoch.loss for epoch in result.history.epochs]
    assert losses[-1] < 0.7 * losses[0]
    drawn = {"curves.png", "confusion.png", "signals.png"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == WITH_PREDICTIONS | drawn


def test_a_training_that_goes_on_has_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "VALIDATION", 64)
    monkeypatch.setattr(sensors, "TEST", 64)
    check_goes_on(sensors.run, tmp_path, samples=128, epochs=2)
