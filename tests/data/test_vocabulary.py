"""Text as numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from smelt import dtypes
from smelt.data import Vocabulary, split_words
from smelt.errors import ArgumentError, ArgumentTypeError, BoundsError

REVIEWS = [
    "i love this movie",
    "this film is fantastic",
    "what a great experience",
    "absolutely wonderful and inspiring",
    "i really liked it",
    "i hate this movie",
    "this film is terrible",
    "what a bad experience",
    "absolutely awful and boring",
    "i really disliked it",
]

texts = some.lists(some.text("abc de", max_size=12), max_size=6)


def test_words_are_divided_at_white_space_in_lower_case() -> None:
    assert split_words("  A\tFILM\n is,  a film ") == ["a", "film", "is,", "a", "film"]
    assert split_words("") == []


def test_the_vocabulary_of_the_book() -> None:
    vocabulary = Vocabulary.build(REVIEWS, order="alphabet", specials=("<unk>",))
    assert vocabulary.tokens == (
        "<unk> a absolutely and awful bad boring disliked experience fantastic film great hate i "
        "inspiring is it liked love movie really terrible this what wonderful"
    ).split(" ")
    numbers, mask = vocabulary.batch(["I love unheard films", REVIEWS[0]], length=8, padding=0)
    assert numbers.tolist()[0] == [13, 18, 0, 0, 0, 0, 0, 0]
    assert mask.tolist()[0] == [True] * 4 + [False] * 4


def test_the_most_frequent_tokens_come_first_and_stay() -> None:
    corpus = ["b b b", "c c a a", "d"]
    assert Vocabulary.build(corpus).tokens == ["<pad>", "<unk>", "b", "a", "c", "d"]
    assert Vocabulary.build(corpus, minimum=2).tokens[2:] == ["b", "a", "c"]
    assert Vocabulary.build(corpus, size=4).tokens[2:] == ["b", "a"]
    assert Vocabulary.build(corpus, size=4, order="alphabet").tokens[2:] == ["a", "b"]
    assert Vocabulary.build(corpus, size=2).tokens == ["<pad>", "<unk>"]


def test_a_special_token_in_the_text_keeps_its_number() -> None:
    assert Vocabulary.build(["a <unk> <pad>"]).tokens == ["<pad>", "<unk>", "a"]


def test_tokens_have_numbers_and_numbers_tokens() -> None:
    vocabulary = Vocabulary(["a", "b"])
    assert (len(vocabulary), "b" in vocabulary, "c" in vocabulary) == (4, True, False)
    assert (vocabulary["b"], vocabulary["c"]) == (3, 1)
    assert vocabulary.encode("B c a") == [3, 1, 2]
    assert vocabulary.decode([3, 1, 2, 0, 0]) == "b <unk> a"


def test_characters_can_be_tokens() -> None:
    vocabulary = Vocabulary.build(["to be"], tokenize=list, join="", specials=(), order="alphabet")
    assert vocabulary.tokens == [" ", "b", "e", "o", "t"]
    assert vocabulary.decode(vocabulary.encode("bet to")) == "bet to"


def test_a_batch_is_cut_and_filled_up() -> None:
    vocabulary = Vocabulary(["a", "b"])
    numbers, mask = vocabulary.batch(["a b a", "b", ""])
    assert (numbers.dtype, mask.dtype) == (dtypes.int64, dtypes.bool_)
    assert numbers.tolist() == [[2, 3, 2], [3, 0, 0], [0, 0, 0]]
    assert mask.tolist() == [[True] * 3, [True, False, False], [False] * 3]
    assert vocabulary.batch(["a b a", [3]], length=2)[0].tolist() == [[2, 3], [3, 0]]
    assert vocabulary.batch([])[0].shape == (0, 0)


@given(texts, some.integers(0, 5))
def test_a_batch_holds_what_encode_gives(corpus: list[str], length: int) -> None:
    vocabulary = Vocabulary.build(corpus[::2])
    numbers, mask = (tensor.numpy() for tensor in vocabulary.batch(corpus, length))
    assert numbers.shape == mask.shape == (len(corpus), length)
    for row, real, text in zip(numbers, mask, corpus, strict=True):
        assert row[real].tolist() == vocabulary.encode(text)[:length]
        assert not row[~real].any()


@given(texts, some.sampled_from(["frequency", "alphabet"]))
def test_the_texts_of_a_vocabulary_come_back(corpus: list[str], order: str) -> None:
    vocabulary = Vocabulary.build(corpus, order=order)
    for text in corpus:
        assert vocabulary.decode(vocabulary.encode(text)) == " ".join(split_words(text))


def test_what_is_wrong_is_said() -> None:
    bare = Vocabulary(["a"], specials=())
    with pytest.raises(ArgumentError, match="'b' is not in the vocabulary of 1 tokens"):
        bare.encode("b")
    with pytest.raises(ArgumentError, match="no '<pad>'; give the number"):
        bare.batch(["a"])
    with pytest.raises(ArgumentError, match="more than once: 'a'"):
        Vocabulary(["a", "b", "a"])
    with pytest.raises(ArgumentError, match="order='count'"):
        Vocabulary.build([], order="count")
    with pytest.raises(ArgumentError, match="size=1 leaves no room"):
        Vocabulary.build([], size=1)
    with pytest.raises(ArgumentError, match="length=-1"):
        Vocabulary(["a"]).batch(["a"], length=-1)
    for number in (-1, 3):
        with pytest.raises(
            BoundsError, match=f"decode: {number} is not the number of one of the 3 tokens"
        ):
            Vocabulary(["a"]).decode([number])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda v: v.batch("good film"),
            r"list of texts, \[text\] for one, not 'good film'",
        ),
        (lambda v: v.batch(b"good"), "give a list of texts"),
        (lambda v: v.batch(["good", ["film"]]), "text 1 is a list that holds 'film'"),
        (lambda v: v.batch([b"good"]), r"text 0 is a bytes; give a text \(of bytes: text.decode"),
        (lambda v: v.batch([3]), "text 0 is a int"),
        (lambda v: v.decode("12"), "'12' is a text"),
        (lambda v: Vocabulary("abc"), "tokens='abc' is one text"),
        (lambda v: Vocabulary(["a"], specials="<unk>"), "specials='<unk>' is one text"),
        (lambda v: split_words(["a"]), "split_words: text must be a string, got a list"),
        (lambda v: v.encode(["a"]), "text must be a string"),
    ],
)
def test_one_text_is_no_list_of_texts(call: Callable[[Vocabulary], Any], message: str) -> None:
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        call(Vocabulary(["good", "film"]))
