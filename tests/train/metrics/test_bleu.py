"""BLEU: the score of texts, and of numbers of tokens in batches of any lengths."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from smelt.errors import ArgumentError, ArgumentTypeError, DTypeError, MissingExtra, ShapeError
from smelt.train import BLEU, evaluate

WORDS = "<end> the cat sat on a mat and then it slept".split()
END, PADDING = 0, -100


def decode(tokens: list[int]) -> str:
    return " ".join(WORDS[token] for token in tokens)


@pytest.fixture
def library() -> Any:
    return pytest.importorskip("sacrebleu")


def test_it_is_the_score_of_sacrebleu(library: Any) -> None:
    assert BLEU().score(["the cat sat on a mat"], ["the cat sat on the mat"]) == pytest.approx(
        53.7284965911771
    )
    lower = BLEU(lowercase=True)
    score = lower.score(["The cat sat on a mat"], ["the cat sat on a mat"])
    assert score == pytest.approx(100)
    assert BLEU().signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_batches_may_have_any_lengths(library: Any) -> None:
    outputs = [[1, 2, 3, 4, 5, 6, 0, 9], [1, 2, 3, 4, 1, 6, 0, 8], [9, 10, 4, 5, 6, 7, 8, 9]]
    targets = [[1, 2, 3, 4, 1, 6, 0], [1, 2, 3, 4, 1, 6, 0], [9, 10, 4, 5, 6, 8, 0]]
    right = BLEU().score(
        [decode(row[: row.index(0)] if 0 in row else row) for row in outputs],
        [decode(row[:-1]) for row in targets],
    )
    padded = np.array([[*row, PADDING] for row in targets])
    batches = [
        (np.array(outputs[:1])[:, :7], padded[:1]),
        (np.array(outputs[1:]), np.array(targets[1:])),
    ]
    metric = BLEU(decode, end=END)
    assert evaluate(lambda x: x, iter(batches), metric) == {"bleu": right}
    assert 0 < right < 100


def test_what_does_not_fit_is_refused(library: Any) -> None:
    tokens = np.ones((2, 3), np.int64)
    with pytest.raises(ArgumentError, match="sacrebleu refuses the options.*tokenise"):
        BLEU(tokenise="13a")
    with pytest.raises(ArgumentError, match=r"needs BLEU\(decode=...\)"):
        BLEU()(tokens, tokens)
    with pytest.raises(DTypeError, match="outputs must be numbers of tokens, not float64"):
        BLEU(decode)(tokens.astype(float), tokens)
    with pytest.raises(ShapeError, match=r"needs \(n, length\) tokens"):
        BLEU(decode)(tokens[0], tokens[0])
    with pytest.raises(ArgumentError, match="1 translations and 0 references"):
        BLEU().score(["a"], [])
    with pytest.raises(ArgumentTypeError, match="give lists of texts"):
        BLEU().score("a", "a")


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("sacrebleu"):
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtra, match=r"smelt-learn\[metrics\]"):
        BLEU()
