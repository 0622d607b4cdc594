"""Texts as numbers with a tokenizer of the library `tokenizers`, used like a `Vocabulary`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from smelt.atomic import read_bytes
from smelt.data.vocabulary import PADDING, check_texts, padded
from smelt.errors import ArgumentError, BoundsError, FileError, MissingExtra, StateError
from smelt.tensor import Tensor
from smelt.tensor.checked import checked_methods

__all__ = ["Tokenizer"]


@checked_methods
class Tokenizer:
    """Converts texts to numbers and back, with a tokenizer of the library `tokenizers`.

    Args:
        tokenizer: a `tokenizers.Tokenizer`, or the path of a `tokenizer.json`.
        padding: the padding token.

    Raises:
        FileError: the file is missing, or does not contain a tokenizer.
        ArgumentError: it is neither.
        MissingExtra: `tokenizers` is not installed.
    """

    def __init__(self, tokenizer: Any, padding: str = PADDING) -> None:
        library = _library()
        if isinstance(tokenizer, (str, os.PathLike)):
            tokenizer = _read(library, os.fspath(tokenizer), read_bytes(tokenizer))
        if not isinstance(tokenizer, library.Tokenizer):
            raise ArgumentError(
                f"Tokenizer: a {type(tokenizer).__name__} is neither a tokenizers.Tokenizer nor "
                "the path of a tokenizer.json"
            )
        self.tokenizer: Any = tokenizer
        self.padding: str = padding

    def __len__(self) -> int:
        """Returns the number of tokens, those that were added included."""
        return self.tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Returns the numbers of a text's tokens."""
        return list(self.tokenizer.encode(text).ids)

    def decode(self, numbers: Iterable[int]) -> str:
        """Returns the text of numbers, without special tokens.

        Raises:
            BoundsError: a number is not that of a token.
        """
        indices = [int(index) for index in numbers]
        for index in indices:
            if index < 0 or self.tokenizer.id_to_token(index) is None:
                raise BoundsError(
                    f"decode: {index} is not the number of one of the {len(self)} tokens"
                )
        return self.tokenizer.decode(indices)

    def batch(
        self,
        texts: Sequence[str | Sequence[int]],
        length: int | None = None,
        padding: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Returns texts as one array of numbers, padded to the same length, and a mask of the real
        tokens.

        Args, results and errors are as in `Vocabulary.batch`.
        """
        check_texts("Tokenizer.batch", texts)
        given = [text for text in texts if isinstance(text, str)]
        encoded = iter(self.tokenizer.encode_batch(given))
        rows = [list(next(encoded).ids) if isinstance(text, str) else list(text) for text in texts]
        filling = self.tokenizer.token_to_id(self.padding) if padding is None else padding
        if filling is None:
            raise ArgumentError(
                f"Tokenizer.batch: the tokenizer has no {self.padding!r}; give the number that "
                "fills up as padding="
            )
        return padded(rows, length, filling)

    def state_dict(self) -> dict[str, Any]:
        """Returns the tokenizer as text, for a file."""
        return {"tokenizer": self.tokenizer.to_str(), "padding": self.padding}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Self:
        """Takes the tokenizer of a `state_dict`; returns itself.

        Raises:
            StateError: it is not there.
        """
        if set(state_dict) != {"tokenizer", "padding"}:
            raise StateError(
                f"Tokenizer: a state_dict has tokenizer and padding, got {sorted(state_dict)}"
            )
        content = state_dict["tokenizer"].encode()
        self.tokenizer = _read(_library(), "state_dict", content)
        self.padding = state_dict["padding"]
        return self


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise MissingExtra("a Tokenizer", "text") from None
    return tokenizers


def _read(library: Any, called: str, content: bytes) -> Any:
    try:
        return library.Tokenizer.from_str(content.decode())
    except Exception as error:  # the library raises nothing more special
        raise FileError(f"{called}: holds no tokenizer ({error})") from None
