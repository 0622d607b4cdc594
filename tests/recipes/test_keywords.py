"""The recipe keywords: the synthesizer, the spectrogram, a short training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt.recipes import keywords
from smelt.recipes.keywords import WORDS, Spectrogram, made, triangles
from tests.recipes.recipe_runs import WITH_PREDICTIONS, check_goes_on

pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")


def test_a_seed_says_the_same_words() -> None:
    (x, y), (again, labels), (other, _) = made(300, [1, 2]), made(300, [1, 2]), made(300, [1, 3])
    assert (x == again).all()
    assert (y == labels).all()
    assert (x != other).any()
    assert x.shape == (300, 8000)
    assert set(y.tolist()) == set(range(len(WORDS)))


def test_a_tone_is_in_its_band() -> None:
    time = np.arange(8000) / 8000
    tones = np.sin(2 * np.pi * np.array([[300.0], [2300.0]]) * time).astype(np.float32)
    spectrogram = Spectrogram()(smelt.tensor(tones)).numpy()
    assert spectrogram.shape == (2, 1, keywords.BANDS, 61)
    loudest = spectrogram[:, 0].mean(-1).argmax(-1)
    frequencies = np.linspace(0, 4000, 129)
    bands = triangles()
    for band, frequency in zip(loudest, (300, 2300), strict=True):
        assert bands[band, np.abs(frequencies - frequency).argmin()] > 0


def test_the_spectrogram_is_that_of_the_fourier_transform() -> None:
    signal = np.random.default_rng(0).normal(size=8000).astype(np.float32)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    frames = np.stack([signal[n : n + 256] * window for n in range(0, 8000 - 255, 128)])
    expected = np.log(triangles() @ (np.abs(np.fft.rfft(frames)) ** 2).T + 1e-3)
    got = Spectrogram()(smelt.tensor(signal[None])).numpy()[0, 0]
    np.testing.assert_allclose(got, expected, atol=2e-4)


def test_it_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keywords, "VALIDATION", 64)
    monkeypatch.setattr(keywords, "TEST", 64)
    result = keywords.run(tmp_path / "run", samples=256, epochs=6, batch_size=16)
    losses = [epoch.loss for epoch in result.history.epochs]
    assert losses[-1] < 0.95 * losses[0]
    assert result.figures["test_accuracy"] > result.figures["test_accuracy_of_a_linear_model"]
    drawn = {"curves.png", "confusion.png", "spectrogram.png"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == WITH_PREDICTIONS | drawn


def test_a_training_that_goes_on_has_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keywords, "VALIDATION", 64)
    monkeypatch.setattr(keywords, "TEST", 64)
    check_goes_on(keywords.run, tmp_path, samples=128, epochs=2)
