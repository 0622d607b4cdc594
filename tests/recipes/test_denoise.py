"""The recipe denoise: the bound, both models on the bundled digits, going on with each."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt.errors import ArgumentError, FileError
from smelt.recipes import denoise, gan
from smelt.train import Callback, Epoch, read_metrics
from tests.recipes import small_pictures
from tests.recipes.recipe_runs import FILES, check_goes_on

pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")
# the GAN is trained by a loop of its own, which writes no summary
KEPT = {"vae": FILES, "gan": FILES - {"summary.json", "times.jsonl"}}
FIGURES = {
    "vae": {"curves.png", "reconstructions.png", "restored.png", "samples.png"},
    "gan": {"curves.png", "drawn.png"},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "vae": {"model": "vae", "epochs": 6, "seed": 1},
    "gan": {"model": "gan", "epochs": 3, "samples": 256, "seed": 1},
}


@pytest.fixture(autouse=True)
def digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denoise, "load_fashion_mnist", small_pictures.load)
    monkeypatch.setattr(gan, "JUDGED", 1000)


def test_the_probabilities_of_all_levels_of_a_pixel_add_up_to_one() -> None:
    levels = (smelt.arange(256) / 255).reshape(256, 1, 1)
    for center, log_width in ((0.3, -3.0), (-0.2, -6.0), (1.1, 1.0), (0.5, -7.0)):
        given = [smelt.full((256, 1, 1), value) for value in (center, log_width)]
        logs = denoise.log_likelihood(levels, *given)
        assert logs.exp().sum().item() == pytest.approx(1.0, abs=2e-5)
        assert np.isfinite(logs.numpy()).all()


def test_the_probability_of_a_level_is_that_of_its_piece() -> None:
    def below(x: float) -> float:
        return 1 / (1 + math.exp(-(x - 0.4) / math.exp(-2.0)))

    one = smelt.full((1, 1, 1), 100 / 255)
    found = denoise.log_likelihood(one, smelt.full((1, 1, 1), 0.4), smelt.full((1, 1, 1), -2.0))
    expected = math.log(below(100.5 / 255) - below(99.5 / 255))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_pixels_that_do_not_know_of_each_other() -> None:
    training = smelt.tensor([[[0.0, 1.0]], [[0.0, 0.0]]])
    test = smelt.tensor([[[0.0, 0.0]]])
    smooth = 1 / 256
    expected = math.log((2 + smooth) / 3) + math.log((1 + smooth) / 3)
    assert denoise.independent(training, test) == pytest.approx(expected)


@pytest.mark.parametrize("model", ["vae", "gan"])
def test_it_learns_and_goes_on_with_the_same_bits(model: str, tmp_path: Path) -> None:
    result = check_goes_on(denoise.run, tmp_path, **SETTINGS[model])
    assert {path.name for path in (tmp_path / "whole").iterdir()} == KEPT[model] | FIGURES[model]
    rows = [read_metrics(tmp_path / name) for name in ("whole", "parts")]
    assert [row["loss"] for row in rows[0]] == [row["loss"] for row in rows[1]]
    figures = {name: float(value) for name, value in result.figures.items()}
    if model == "vae":
        assert rows[0][-1]["loss"] < 0.7 * rows[0][0]["loss"]
        assert figures["error_restored"] < figures["error_noisy"]
    else:
        assert figures["accuracy_on_real_of_a_judge_of_real"] > 0.8
        assert 0 <= figures["accuracy_on_drawn_of_a_judge_of_real"] <= 1


class Interrupt(Callback):
    """Presses Ctrl-C within the second epoch."""

    def epoch(self, epoch: Epoch) -> None:
        if epoch.number == 1:
            raise KeyboardInterrupt


def test_ctrl_c_leaves_the_last_finished_epoch_of_the_gan(tmp_path: Path) -> None:
    result = denoise.run(tmp_path / "run", callbacks=[Interrupt()], **SETTINGS["gan"])
    assert result.history.interrupted
    assert len(result.history.epochs) == 1
    assert result.figures == {}
    result = denoise.run(tmp_path / "run", resume=True, **SETTINGS["gan"])
    assert [epoch.number for epoch in result.history.epochs] == [1, 2, 3]


def test_a_model_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="model='flow' must be one of vae, gan"):
        denoise.run(tmp_path / "run", model="flow")  # type: ignore[arg-type]


def test_a_folder_without_the_data_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with pytest.raises(FileError, match="nowhere/fashion-mnist"):
        denoise.run(tmp_path / "run", data=tmp_path / "nowhere")
    assert not (tmp_path / "run").exists()
