"""The recipes shakespeare, sentiment and translate, on small texts; and without data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt.cli import main
from smelt.data import Vocabulary
from smelt.errors import ArgumentError, FileError
from smelt.recipes import RECIPES, sentiment, shakespeare, translate
from smelt.train import read_config
from tests.recipes import small_texts
from tests.recipes.recipe_runs import WITH_PREDICTIONS
from tests.recipes.small_texts import Stop

for library in ("matplotlib", "safetensors", "tokenizers", "sacrebleu"):
    pytest.importorskip(library)
MORE = {
    "shakespeare": {"curves.png", "sample.txt", "preprocessing.safetensors"},
    "sentiment": {"curves.png", "confusion.png", "preprocessing.safetensors"},
    "translate": {"curves.png", "tokenizer.json", "translations.txt"},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "shakespeare": {"steps": 40, "batch_size": 4, "lr": 0.01},
    "sentiment": {"epochs": 6, "batch_size": 16, "lr": 0.02},
    "translate": {"epochs": 3, "batch_size": 8, "beam_width": 2, "lr": 0.01},
}


@pytest.fixture(params=SETTINGS)
def recipe(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(shakespeare, "load_tiny_shakespeare", small_texts.play)
    monkeypatch.setattr(sentiment, "load_sst2", small_texts.reviews)
    monkeypatch.setattr(translate, "load_multi30k", small_texts.captions)
    monkeypatch.setattr(shakespeare, "EVERY", 10)
    monkeypatch.setattr(shakespeare, "WRITTEN", 100)
    for module in (shakespeare, translate):
        monkeypatch.setattr(module, "WIDTH", 32)
    monkeypatch.setattr(shakespeare, "BLOCKS", 1)
    monkeypatch.setattr(translate, "LAYERS", 1)
    monkeypatch.setattr(translate, "PIECES", 300)
    return request.param


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_it_learns_and_goes_on_with_the_same_bits(recipe: str, tmp_path: Path) -> None:
    run, settings = RECIPES[recipe], SETTINGS[recipe]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    with smelt.settings(threads=1):
        result = run(whole, **settings)
    losses = [epoch.held_out["loss"] for epoch in result.history.epochs]
    assert losses[-1] < 0.9 * losses[0]
    assert {path.name for path in whole.iterdir()} == WITH_PREDICTIONS | MORE[recipe]
    with pytest.raises(FileError, match="holds a run already"):
        run(whole, **settings)
    run(parts, callbacks=[Stop()], **settings)
    assert weights(parts) != weights(whole)
    resumed = run(parts, resume=True, **settings)
    assert weights(parts) == weights(whole)
    assert resumed.figures == result.figures


def test_the_command_keeps_figures(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = SETTINGS[recipe]
    options = [str(x) for name in settings for x in (f"--{name.replace('_', '-')}", settings[name])]
    out = tmp_path / "run"
    assert main(["train", recipe, *options, "--out", str(out)]) == 0
    assert settings.items() <= read_config(out).items()
    figures = json.loads((out / "result.json").read_text())
    shown = capsys.readouterr().out
    assert all(name.replace("_", " ") in shown for name in figures.keys() - {"seconds"})


@pytest.mark.parametrize("name", SETTINGS)
def test_a_folder_without_the_data_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nowhere"):
        RECIPES[name](tmp_path / "run", data=tmp_path / "nowhere")
    assert not (tmp_path / "run").exists()


# --- shakespeare ----------------------------------------------------------------------------------


def test_pieces_and_what_follows() -> None:
    x, y = shakespeare.pairs(np.arange(200), 64)
    assert x.shape == y.shape == (3, 64)
    assert x[:, 0].tolist() == [0, 64, 128]
    assert (y == x + 1).all()


def test_a_text_is_written_as_the_network_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written by a cold network is its most probable text, also behind 64 characters."""
    monkeypatch.setattr(shakespeare, "BLOCKS", 1)
    vocabulary = Vocabulary.characters(["abcdefgh"])
    smelt.manual_seed(1)
    model = shakespeare.make_model(vocabulary)
    model.embedding.weight.data = model.embedding.weight * 50  # so that the text is not dull
    written = shakespeare.write(model, vocabulary, 70, 1e-6, start="ab")
    numbers = vocabulary.encode("ab")
    for _ in range(70):
        numbers.append(model(smelt.tensor([numbers[-64:]]))[0, -1].argmax().item())
    assert written == vocabulary.decode(numbers[2:])
    assert len(set(written)) > 1


# --- sentiment ------------------------------------------------------------------------------------


def test_words_and_pairs() -> None:
    assert sentiment.words_and_pairs("a good film") == ["a", "good", "film", "a good", "good film"]


def test_padding_and_length_do_not_matter() -> None:
    vocabulary = Vocabulary.build(["good film", "bad film"], tokenize=sentiment.words_and_pairs)
    model = sentiment.make_model(vocabulary)
    alone = sentiment.classify(model, vocabulary, ["good film"])
    beside = sentiment.classify(model, vocabulary, ["good film", "a bad film film film bad"])
    assert alone[0] == pytest.approx(beside[0], abs=1e-6)


# --- translate ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", translate.MODELS)
def test_step_by_step_the_network_says_what_it_says_at_once(name: str) -> None:
    smelt.manual_seed(0)
    model = translate.MODELS[name](50)
    model.eval()
    source = smelt.tensor([[5, 6, 7, 0], [8, 9, 3, 4]])
    previous = smelt.tensor([[1, 5, 6, 7, 9], [1, 3, 3, 4, 8]])
    expected = model(source, previous).numpy()
    state = model.begin(source, 5)
    for place in range(5):
        logits, state = model.step(previous[:, place], state)
        np.testing.assert_allclose(logits.numpy(), expected[:, place], atol=1e-5)


@pytest.mark.parametrize("name", translate.MODELS)
def test_padding_does_not_matter(name: str) -> None:
    model = translate.MODELS[name](50)
    model.eval()
    source, previous = smelt.tensor([[5, 6, 7]]), smelt.tensor([[1, 5, 6]])
    longer = smelt.tensor([[5, 6, 7, 0, 0]])
    expected = model(source, previous).numpy()
    np.testing.assert_allclose(model(longer, previous).numpy(), expected, atol=1e-5)


def test_the_lstm_learns_to_translate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translate, "load_multi30k", small_texts.captions)
    monkeypatch.setattr(translate, "PIECES", 300)
    settings = {"epochs": 10, "batch_size": 8, "lr": 0.01, "beam_width": 2}
    result = translate.run(tmp_path / "run", model="lstm", **settings)
    assert result.figures["test_bleu"] > 50


def test_texts_are_learned_as_people_write_them() -> None:
    texts = ["Deux jeunes hommes blancs sont dehors près de l'église.", "Un homme - seul !"]
    tokenizer = translate.learn_pieces(texts)
    assert [tokenizer.decode(tokenizer.encode(text)).strip() for text in texts] == texts


def test_fewer_pairs_than_a_batch_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translate, "load_multi30k", small_texts.captions)
    with pytest.raises(ArgumentError, match="model='gru' must be one of transformer, lstm"):
        translate.run(tmp_path / "run", model="gru")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="batch_size=64"):
        translate.run(tmp_path / "run", samples=10)
    assert not (tmp_path / "run").exists()
