"""Photographs and texts are the published ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smelt import dtypes
from smelt.data import load_catvnoncat, load_multi30k, load_sst2, load_tiny_shakespeare
from smelt.errors import ArgumentError


@pytest.mark.parametrize(
    ("split", "none", "cats", "mean"), [("train", 137, 72, 0.403950), ("test", 17, 33, 0.421068)]
)
def test_photographs(published: Path, split: str, none: int, cats: int, mean: float) -> None:
    pictures, labels = load_catvnoncat(split, published)
    assert (pictures.shape, pictures.dtype) == ((none + cats, 3, 64, 64), dtypes.float32)
    assert np.bincount(labels.numpy()).tolist() == [none, cats]
    assert pictures.numpy().mean(dtype=np.float64) == pytest.approx(mean, abs=1e-6)


def test_neighboring_pixels_of_a_photograph_are_alike(published: Path) -> None:
    """Were colors and places mixed up, neighbors would differ much more."""
    pictures = load_catvnoncat("test", published)[0].numpy()
    steps = [np.abs(np.diff(pictures, axis=axis)).mean() for axis in (2, 3)]
    assert max(steps) < 0.05
    assert np.abs(np.diff(pictures, axis=0)).mean() > 0.2


@pytest.mark.parametrize(
    ("split", "blame", "praise", "tokens", "longest"),
    [
        ("train", 3310, 3610, 128096, 51),
        ("dev", 428, 444, 16331, 47),
        ("test", 912, 909, 33653, 53),
    ],
)
def test_reviews(
    published: Path, split: str, blame: int, praise: int, tokens: int, longest: int
) -> None:
    sentences, labels = load_sst2(split, published)
    lengths = [len(sentence.split()) for sentence in sentences]
    assert np.bincount(labels.numpy()).tolist() == [blame, praise]
    assert len(sentences) == blame + praise
    assert (sum(lengths), max(lengths)) == (tokens, longest)


def test_plays(published: Path) -> None:
    text = load_tiny_shakespeare(published)
    assert (len(text), len(set(text))) == (1115394, 65)
    assert text.startswith("First Citizen:")


@pytest.mark.parametrize(("split", "count"), [("train", 29000), ("val", 1014), ("test", 1000)])
def test_captions(published: Path, split: str, count: int) -> None:
    english, french = load_multi30k(split, published)
    assert len(english) == len(french) == count
    assert all(english)
    assert all(french)


def test_the_first_captions_mean_the_same(published: Path) -> None:
    english, french = load_multi30k(folder=published)
    assert english[0] == "Two young, White males are outside near many bushes."
    assert french[0] == "Deux jeunes hommes blancs sont dehors près de buissons."


@pytest.mark.parametrize("load", [load_catvnoncat, load_sst2, load_multi30k])
def test_unknown_splits_are_refused(load: object) -> None:
    with pytest.raises(ArgumentError, match="split='all'"):
        load("all")
