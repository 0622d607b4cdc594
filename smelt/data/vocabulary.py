"""Text as numbers: words, the vocabulary that numbers them, and batches of sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Self

import numpy as np

from smelt.deprecated import rename, renamed_argument, renamed_property
from smelt.errors import ArgumentError, BoundsError, StateError
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.checked import checked, checked_methods

__all__ = ["PADDING", "UNKNOWN", "Vocabulary", "padded", "split_words"]

PADDING, UNKNOWN = "<pad>", "<unk>"
Tokenizer = Callable[[str], list[str]]

rename(__name__, {"words": "split_words"})


@checked
def split_words(text: str) -> list[str]:
    """Returns the words of a text: in lower case, split at whitespace.

    Example:
        >>> split_words("I liked  this film!")
        ['i', 'liked', 'this', 'film!']
    """
    return text.lower().split()


@checked_methods
class Vocabulary:
    """Converts tokens to numbers and back.

    Args:
        tokens: in the order of their numbers, which begin after those of `specials`.
        specials: tokens with the first numbers. "<unk>" among them replaces unknown tokens; "<pad>"
            is for padding.
        tokenize: splits a text into tokens; `list` gives single characters.
        join: what `decode` puts between tokens; "" for characters.

    Raises:
        ArgumentError: a token is given twice.

    Example:
        >>> vocabulary = Vocabulary(["good", "film"])
        >>> vocabulary.encode("A good film"), vocabulary.decode([3, 2])
        ([1, 2, 3], 'film good')
        >>> indices, mask = vocabulary.batch(["good film", "film"])
        >>> indices.tolist(), mask.tolist()
        ([[2, 3], [3, 0]], [[True, True], [True, False]])
    """

    tokenise: Final = renamed_property("tokenise", "tokenize")

    @renamed_argument("tokenise", "tokenize")
    def __init__(
        self,
        tokens: Iterable[str],
        specials: Sequence[str] = (PADDING, UNKNOWN),
        tokenize: Tokenizer = split_words,
        join: str = " ",
    ) -> None:
        for name, given in (("tokens", tokens), ("specials", specials)):
            if isinstance(given, str):
                raise ArgumentError(
                    f"Vocabulary: {name}={given!r} is one text; give a list of tokens (of "
                    "characters: list(text), and tokenize=list)"
                )
        self.tokens: list[str] = [*specials, *tokens]
        self.tokenize = tokenize
        self.join = join
        self._numbers = {token: index for index, token in enumerate(self.tokens)}
        if len(self._numbers) < len(self.tokens):
            twice = [token for token, count in Counter(self.tokens).items() if count > 1]
            raise ArgumentError(f"Vocabulary: given more than once: {', '.join(map(repr, twice))}")

    @classmethod
    @checked
    @renamed_argument("tokenise", "tokenize")
    def build(
        cls,
        texts: Iterable[str],
        *,
        minimum: int = 1,
        size: int | None = None,
        order: str = "frequency",
        specials: Sequence[str] = (PADDING, UNKNOWN),
        tokenize: Tokenizer = split_words,
        join: str = " ",
    ) -> Self:
        """Returns the vocabulary of some texts.

        Args:
            texts: those of the training data.
            minimum: how often a token must occur.
            size: maximum number of entries, including `specials`; the most frequent tokens are
                kept, among equally frequent ones the first in the alphabet. None keeps all.
            order: of the numbers: "frequency" (the most frequent first) or "alphabet".
            specials: see `Vocabulary`.
            tokenize: see `Vocabulary`.
            join: see `Vocabulary`.

        Raises:
            ArgumentError: there is no such order, or `size` does not leave room for `specials`.
        """
        if order not in ("frequency", "alphabet"):
            raise ArgumentError(
                f'Vocabulary.build: order={order!r} must be "frequency" or "alphabet"'
            )
        if size is not None and size < len(specials):
            raise ArgumentError(
                f"Vocabulary.build: size={size} leaves no room for {list(specials)}"
            )
        if isinstance(texts, str):
            raise ArgumentError("Vocabulary.build: give a list of texts, [text] for one")
        counts = Counter(token for text in texts for token in tokenize(text))
        often = [t for t, n in counts.items() if n >= minimum and t not in specials]
        often.sort(key=lambda token: (-counts[token], token))
        kept = often if size is None else often[: size - len(specials)]
        chosen = sorted(kept) if order == "alphabet" else kept
        return cls(chosen, specials, tokenize, join)

    @classmethod
    @checked
    def characters(cls, texts: Iterable[str], specials: Sequence[str] = ()) -> Self:
        """Returns the vocabulary of the characters of some texts, in the order of the alphabet.

        Args:
            texts: those of the training data; a single text is allowed.
            specials: see `Vocabulary`.

        Example:
            >>> letters = Vocabulary.characters(["abba"])
            >>> letters.encode("ab"), letters.decode([1, 0])
            ([0, 1], 'ba')
        """
        return cls.build(texts, order="alphabet", specials=specials, tokenize=list, join="")

    def __len__(self) -> int:
        """Returns the number of tokens, `specials` included."""
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._numbers

    def __getitem__(self, token: str) -> int:
        """Returns the number of a token; that of "<unk>" when it is unknown.

        Raises:
            ArgumentError: it is unknown, and the vocabulary has no "<unk>".
        """
        index = self._numbers.get(token, self._numbers.get(UNKNOWN))
        if index is None:
            raise ArgumentError(
                f"{token!r} is not in the vocabulary of {len(self)} tokens, "
                f"which has no {UNKNOWN!r}"
            )
        return index

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens: {', '.join(self.tokens[:5])} ...)"

    def encode(self, text: str) -> list[int]:
        """Returns the numbers of a text's tokens.

        Raises:
            ArgumentError: a token is unknown, and the vocabulary has no "<unk>".
        """
        return [self[token] for token in self.tokenize(text)]

    def decode(self, numbers: Iterable[int]) -> str:
        """Returns the text of numbers; "<pad>" is left out.

        Raises:
            ArgumentError: a text is given.
            BoundsError: a number is not that of a token.
        """
        if isinstance(numbers, (str, bytes)):
            raise ArgumentError(f"decode: {numbers!r} is a text; give the numbers of tokens")
        indices = [int(index) for index in numbers]
        for index in indices:
            if not 0 <= index < len(self):
                raise BoundsError(
                    f"decode: {index} is not the number of one of the {len(self)} tokens"
                )
        return self.join.join(self.tokens[n] for n in indices if self.tokens[n] != PADDING)

    def batch(
        self,
        texts: Sequence[str | Sequence[int]],
        length: int | None = None,
        padding: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Returns texts as one array of numbers, padded to the same length, and a mask of the real
        tokens.

        Args:
            texts: each a text, or the numbers of its tokens.
            length: tokens per text: longer texts are truncated; that of the longest when None.
            padding: the padding number; that of "<pad>" when None.

        Returns:
            Numbers, int64 of shape (texts, length); mask, bool of the same shape, True for tokens
            of the text and False for padding. An attention's `key_padding_mask` is the opposite,
            `~mask`; the lengths are `mask.sum(1)`.

        Raises:
            ArgumentError: `texts` is one text, or one of them is neither text nor numbers,
                `length` is negative, `padding` is not given and the vocabulary has no "<pad>", or
                a token is unknown and there is no "<unk>".
        """
        check_texts("Vocabulary.batch", texts)
        rows = [self.encode(text) if isinstance(text, str) else list(text) for text in texts]
        return padded(rows, length, self._padding(padding))

    def state_dict(self) -> dict[str, Any]:
        """Returns the tokens, and how texts are split, as plain values, for a file."""
        return {
            "tokens": self.tokens,
            "tokenize": getattr(self.tokenize, "__name__", type(self.tokenize).__name__),
            "join": self.join,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Self:
        """Restores the tokens of a `state_dict`; returns the vocabulary itself.

        Raises:
            StateError: they are not there, or were made by another function than `tokenize`.
        """
        given = _with_new_names(state_dict)
        if set(given) != {"tokens", "tokenize", "join"}:
            raise StateError(
                f"Vocabulary: a state_dict has tokens, tokenize and join, got {sorted(state_dict)}"
            )
        mine, theirs = self.state_dict()["tokenize"], given["tokenize"]
        if theirs != mine:
            raise StateError(
                f"Vocabulary: the file's tokens were made by {theirs}, and this vocabulary splits "
                f"texts with {mine}; make it with tokenize={theirs}"
            )
        other = type(self)(given["tokens"], (), self.tokenize, given["join"])
        vars(self).update(vars(other))
        return self

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(_with_new_names(state))

    def _padding(self, given: int | None) -> int:
        index = self._numbers.get(PADDING) if given is None else given
        if index is None:
            raise ArgumentError(
                f"Vocabulary.batch: the vocabulary has no {PADDING!r}; give the number that fills "
                "up as padding="
            )
        return index


def _with_new_names(state: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a state with today's names; files of version 0.1 call the function `tokenise`."""
    return {"tokenize" if name == "tokenise" else name: value for name, value in state.items()}


def check_texts(called: str, texts: Any) -> None:
    """Raises for a single text instead of a list, or an entry that is neither text nor numbers."""
    if isinstance(texts, (str, bytes)):
        raise ArgumentError(f"{called}: give a list of texts, [text] for one, not {texts!r}")
    for index, text in enumerate(texts):
        tokens = () if isinstance(text, str) or not np.iterable(text) else text
        other = next((token for token in tokens if isinstance(token, (str, bytes))), None)
        if other is not None:
            raise ArgumentError(
                f"{called}: text {index} is a {type(text).__name__} that holds {other!r}; give a "
                "text, or the numbers of its tokens"
            )
        if isinstance(text, bytes) or not np.iterable(text):
            raise ArgumentError(
                f"{called}: text {index} is a {type(text).__name__}; give a text (of bytes: "
                "text.decode()), or the numbers of its tokens"
            )


def padded(
    rows: Sequence[Sequence[int]], length: int | None, padding: int
) -> tuple[Tensor, Tensor]:
    """Returns rows of numbers padded to the same length, and a mask of the real numbers.

    Args:
        rows: each the numbers of a text.
        length: length of a row: longer rows are truncated; that of the longest when None.
        padding: the padding number.

    Returns:
        Numbers, int64 of shape (rows, length); mask, bool of the same shape.

    Raises:
        ArgumentError: `length` is negative.
    """
    extent = max(map(len, rows), default=0) if length is None else length
    if extent < 0:
        raise ArgumentError(f"batch: length={length} must not be negative")
    indices = np.full((len(rows), extent), padding, np.int64)
    real = np.zeros(indices.shape, bool)
    for index, row in enumerate(rows):
        indices[index, : len(row)] = row[:extent]
        real[index, : len(row)] = True
    return as_tensor(indices), as_tensor(real)
