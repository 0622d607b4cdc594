"""Texts as numbers by the library `tokenizers`, and vocabularies in files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import smelt
from smelt.data import Tokenizer, Vocabulary
from smelt.errors import ArgumentError, BoundsError, FileError, MissingExtra, StateError

TEXTS = ["a good film", "a bad film", "bad"]


def test_a_tokenizer_does_what_a_vocabulary_does(tmp_path: Path) -> None:
    library = pytest.importorskip("tokenizers")
    made = library.Tokenizer(library.models.WordLevel(unk_token="<unk>"))
    made.pre_tokenizer = library.pre_tokenizers.Whitespace()
    special = library.trainers.WordLevelTrainer(special_tokens=["<pad>", "<unk>"])
    made.train_from_iterator(TEXTS, special)
    tokenizer = Tokenizer(made)
    assert len(tokenizer) == 6
    assert tokenizer.decode(tokenizer.encode("good film")) == "good film"
    indices, mask = tokenizer.batch(["a good film", [2], "moon"])
    assert (indices.shape, mask.sum(1).tolist()) == ((3, 3), [3, 1, 1])
    assert indices[1].tolist() == [2, 0, 0]
    assert indices[2, 0].item() == 1
    made.save(str(tmp_path / "tokenizer.json"))
    assert Tokenizer(tmp_path / "tokenizer.json").encode("bad") == tokenizer.encode("bad")
    smelt.save(tokenizer.state_dict(), tmp_path / "state.safetensors")
    other = Tokenizer(library.Tokenizer(library.models.BPE()))
    with pytest.raises(ArgumentError, match="has no '<pad>'"):
        other.batch(["a"])
    other.load_state_dict(smelt.load(tmp_path / "state.safetensors"))
    assert other.encode("a bad film") == tokenizer.encode("a bad film")
    with pytest.raises(BoundsError, match="99 is not the number of one of the 6 tokens"):
        tokenizer.decode([99])
    with pytest.raises(ArgumentError, match="a int is neither"):
        Tokenizer(3)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(FileError, match="tokenizer.json: holds no tokenizer"):
        Tokenizer(tmp_path / "tokenizer.json")
    with pytest.raises(StateError, match="a state_dict has tokenizer"):
        other.load_state_dict({})


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtra, match=r"smelt-learn\[text\]"):
        Tokenizer("tokenizer.json")


def test_a_vocabulary_of_characters() -> None:
    letters = Vocabulary.characters(["hello"])
    assert letters.tokens == ["e", "h", "l", "o"]
    assert letters.decode(letters.encode("hole")) == "hole"
    with pytest.raises(ArgumentError, match="'x' is not in the vocabulary"):
        letters.encode("x")


def test_a_vocabulary_comes_out_of_a_file(tmp_path: Path) -> None:
    for made, fresh in [
        (Vocabulary.build(TEXTS), Vocabulary([])),
        (Vocabulary.characters(TEXTS), Vocabulary([], tokenize=list)),
    ]:
        smelt.save({"text": made.state_dict()}, tmp_path / "a.safetensors")
        fresh.load_state_dict(smelt.load(tmp_path / "a.safetensors")["text"])
        assert fresh.encode("a bad film") == made.encode("a bad film")
        assert fresh.decode(fresh.encode("a bad film")) == "a bad film"
    with pytest.raises(StateError, match="made by list, .* splits texts with split_words"):
        Vocabulary([]).load_state_dict(Vocabulary.characters(TEXTS).state_dict())
    with pytest.raises(StateError, match="a state_dict has tokens"):
        Vocabulary([]).load_state_dict({})
