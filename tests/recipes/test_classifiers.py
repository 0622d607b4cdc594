"""The recipes mnist and fashion, on the bundled digits; and without data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt.cli import main
from smelt.errors import ArgumentError, FileError
from smelt.recipes import RECIPES, fashion, mnist, pictures
from smelt.train import Epoch, History, read_config
from tests.recipes import small_pictures
from tests.recipes.recipe_runs import WITH_PREDICTIONS, check_goes_on, data_folder

pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")
FIGURES = {"curves.png", "confusion.png", "mistakes.png"}
SETTINGS = {"epochs": 3, "batch_size": 64, "seed": 3}


@pytest.fixture(params=["mnist", "fashion"])
def recipe(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(mnist, "load_mnist", small_pictures.load)
    monkeypatch.setattr(fashion, "load_fashion_mnist", small_pictures.load)
    return request.param


def test_it_learns_and_goes_on_with_the_same_bits(recipe: str, tmp_path: Path) -> None:
    result = check_goes_on(RECIPES[recipe], tmp_path, **SETTINGS)
    losses = [epoch.loss for epoch in result.history.epochs]
    assert losses[2] < 0.5 * losses[0]
    assert result.figures["test_accuracy"] > 0.8
    last = result.history.epochs[-1].held_out["accuracy"]
    assert result.figures["held_out_accuracy"] == last
    assert {path.name for path in (tmp_path / "whole").iterdir()} == WITH_PREDICTIONS | FIGURES


def test_few_samples_make_a_quick_run(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    few = ["--samples", "128", "--batch-size", "64", "--epochs", "1", "--out", str(out)]
    assert main(["train", recipe, *few]) == 0
    config = {"recipe": recipe, "epochs": 1, "lr": 0.01, "batch_size": 64, "samples": 128}
    assert read_config(out) == {**config, "seed": 0}
    assert "test accuracy" in capsys.readouterr().out


def test_more_samples_a_step_than_there_are_are_refused(recipe: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="batch_size=128 must lie between 1 and 100"):
        RECIPES[recipe](tmp_path / "run", samples=100)


@pytest.mark.parametrize("name", ["mnist", "fashion"])
def test_a_folder_without_the_data_is_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FileError, match=f"nowhere/.*{name}"):
        RECIPES[name](tmp_path / "run", data=tmp_path / "nowhere")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("model", [mnist.make_model(), fashion.make_model()])
def test_pictures_are_changed_in_training_only(model: smelt.nn.Module) -> None:
    x = smelt.rand(4, 28, 28)
    assert (model(x) != model(x)).any()
    model.eval()
    assert (model(x) == model(x)).all()


def test_a_piece_of_clothing_is_the_same_in_a_mirror() -> None:
    model, x = fashion.make_model().eval(), smelt.rand(4, 28, 28)
    np.testing.assert_allclose(model(x).numpy(), model(x.flip(2)).numpy(), rtol=1e-5, atol=1e-6)


def test_the_last_twelfth_is_held_out() -> None:
    (images, labels), (others, kinds) = pictures.hold_out(small_pictures.load, None, None)
    everything = small_pictures.load("train")
    assert len(kinds) == 1437 // 12
    assert (smelt.cat([images, others]) == everything[0]).all()
    assert (smelt.cat([labels, kinds]) == everything[1]).all()
    assert len(pictures.hold_out(small_pictures.load, None, 10)[0][1]) == 10


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_5000_pictures_are_held_out(dataset: str) -> None:
    load = {"mnist": mnist.load_mnist, "fashion-mnist": fashion.load_fashion_mnist}[dataset]
    (images, _), (others, _) = pictures.hold_out(load, data_folder(dataset), None)
    assert (len(images), len(others)) == (55000, 5000)


def test_time_to_an_accuracy() -> None:
    epochs = [Epoch(n, 1.0, {"accuracy": 0.9 + n / 100}, 2.0) for n in range(1, 5)]
    history = History(epochs)
    assert pictures.seconds_to(0.925, history) == 6.0
    assert pictures.seconds_to(0.99, history) == "not reached"
