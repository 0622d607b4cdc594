"""The recipe cats, on photographs that are easily told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt.errors import FileError
from smelt.recipes import cats
from tests.recipes.recipe_runs import WITH_PREDICTIONS, check_goes_on

pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")
FIGURES = {"curves.png", "confusion.png", "answers.png"}
SETTINGS = {"epochs": 8, "batch_size": 8, "width": 4, "seed": 2}


def load(split: str = "train", folder: Any = None) -> tuple[smelt.Tensor, smelt.Tensor]:
    """Returns noise, and in the place of a cat a light disc in it."""
    random = np.random.default_rng(len(split))
    kinds = np.arange(48) % 3 == 0
    images = random.uniform(0, 0.5, (48, 3, 64, 64)).astype(np.float32)
    y, x = np.ogrid[:64, :64]
    images[kinds] += 0.5 * ((x - 32) ** 2 + (y - 32) ** 2 < 20**2)
    return smelt.tensor(images), smelt.tensor(kinds.astype(np.int64))


@pytest.fixture
def easy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cats, "load_catvnoncat", load)


@pytest.mark.usefixtures("easy")
def test_it_learns_and_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    result = check_goes_on(cats.run, tmp_path, **SETTINGS)
    losses = [epoch.loss for epoch in result.history.epochs]
    assert losses[-1] < losses[0]
    assert result.figures["test_accuracy"] > 0.8
    assert {path.name for path in (tmp_path / "whole").iterdir()} == WITH_PREDICTIONS | FIGURES


@pytest.mark.usefixtures("easy")
def test_settings_are_compared_by_photographs_that_were_not_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cats, "CHOICES", [{}, {"epochs": 1, "lr": 0.0}])
    monkeypatch.setattr(cats, "FOLDS", 3)
    figures = cats.run(tmp_path / "run", cross_validate=True, **SETTINGS).figures
    good, bad = str(figures["cross_validation"]).split("\n")
    assert good.startswith("as set ")
    assert bad.startswith("epochs 1, lr 0.0 ")
    good_loss, bad_loss = (float(line.split("loss ")[1].split()[0]) for line in (good, bad))
    assert good_loss < bad_loss


def test_a_fold_is_no_part_of_what_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    images, kinds = load()
    seen: list[set[float]] = []
    asked: list[set[float]] = []

    def fitted(training: Any, model: Any, **settings: Any) -> smelt.train.History:
        seen.append(set(training[0][:, 0, 0, 0].tolist()))
        return smelt.train.History()

    def classify(model: Any, photographs: smelt.Tensor) -> np.ndarray:
        asked.append(set(photographs[:, 0, 0, 0].tolist()))
        return np.full(len(photographs), 0.9)

    monkeypatch.setattr(cats, "fitted", fitted)
    monkeypatch.setattr(cats, "classify", classify)
    settings = {"epochs": 1, "lr": 1e-3, "batch_size": 8, "width": 2, "area": 0.5, "jitter": 0.1}
    figures = cats.cross_validated((images, kinds), settings)
    loss = -(np.log(0.9) + np.log(0.1)) / 2  # always "cat": as if cats were not rare
    np.testing.assert_allclose(figures, [[loss, 0.5]] * cats.FOLDS)
    every = set(images[:, 0, 0, 0].tolist())
    assert len(seen) == len(asked) == cats.FOLDS
    assert all(learned | held_out == every for learned, held_out in zip(seen, asked, strict=True))
    assert not any(learned & held_out for learned, held_out in zip(seen, asked, strict=True))
    assert set.union(*asked) == every


def test_the_answer_is_the_same_for_a_mirror_image() -> None:
    model, images = cats.make_model(4), load()[0][:4]
    there, back = (cats.classify(model, x) for x in (images, images.flip(3)))
    np.testing.assert_allclose(there, back, rtol=1e-6)


def test_a_folder_without_the_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nowhere/catvnoncat"):
        cats.run(tmp_path / "run", data=tmp_path / "nowhere")
    assert not (tmp_path / "run").exists()
