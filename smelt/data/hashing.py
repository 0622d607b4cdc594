"""Text and named values as rows of fixed length, without anything to fit: the hashing trick.

The hash is MurmurHash3, with scikit-learn's columns and signs, so both give the same rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np

from smelt.data.fitted import FittedTransform
from smelt.errors import ArgumentError, DTypeError, StateError
from smelt.tensor import Tensor, as_tensor

__all__ = ["FeatureHasher", "HashingVectorizer"]

WORD = 0xFFFFFFFF
TOKEN = r"(?u)\b\w\w+\b"
Row = Iterable[tuple[str, float]]


class Hashing(FittedTransform):
    """The base of the two: each column of a row has the sum of the values hashed to it.

    Args:
        n_features: number of columns.
        alternate_sign: whether half of the features count negatively, so that collisions cancel.

    Raises:
        ArgumentError: `n_features` is below 1.
    """

    def __init__(self, n_features: int, alternate_sign: bool) -> None:
        if not isinstance(n_features, int) or n_features < 1:
            raise ArgumentError(f"{self._name}: n_features={n_features!r} must be at least 1")
        self.n_features = n_features
        self.alternate_sign = alternate_sign
        self._places: dict[str, tuple[int, float]] = {}

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, x: Any = None, y: object = None) -> Self:
        """Returns the transform itself: there is nothing to learn."""
        return self

    def state_dict(self) -> dict[str, Any]:
        """Returns an empty dict: there is nothing to save."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Self:
        """Takes an empty dict; returns the transform itself.

        Raises:
            StateError: it is not empty.
        """
        if state_dict:
            raise StateError(f"{self._name}: a state_dict is empty, got {sorted(state_dict)}")
        return self

    def _rows(self, samples: Iterable[Row]) -> np.ndarray:
        """Returns (n, n_features), float32, of samples given as (feature, value) pairs."""
        rows: list[np.ndarray] = []
        for sample in samples:
            row = np.zeros(self.n_features, np.float32)
            for feature, value in sample:
                place, sign = self._place(feature)
                row[place] += sign * value
            rows.append(row)
        return np.stack(rows) if rows else np.zeros((0, self.n_features), np.float32)

    def _place(self, feature: str) -> tuple[int, float]:
        found = self._places.get(feature)
        if found is None:
            number = murmur_hash(feature.encode("utf-8", "surrogatepass"))
            sign = -1.0 if self.alternate_sign and number < 0 else 1.0
            found = self._places[feature] = abs(number) % self.n_features, sign
        return found


class FeatureHasher(Hashing):
    """Turns named values, or lists of texts, into rows of fixed length.

    Args:
        n_features: number of columns.
        input_type: what a sample is: "dict", name -> number or text (a text counts as the feature
            "name=text"); "pair", (name, number) pairs; "string", texts that each count 1.
        alternate_sign: whether half of the features count negatively, so that collisions cancel.

    Raises:
        ArgumentError: `n_features` is below 1, or there is no such input type.

    Example:
        >>> FeatureHasher(4, input_type="string").transform([["dog", "cat"], ["dog"]]).shape
        (2, 4)
    """

    def __init__(
        self, n_features: int = 1024, input_type: str = "dict", alternate_sign: bool = True
    ) -> None:
        super().__init__(n_features, alternate_sign)
        if input_type not in ("dict", "pair", "string"):
            raise ArgumentError(
                f'FeatureHasher: input_type={input_type!r} must be "dict", "pair" or "string"'
            )
        self.input_type = input_type

    def transform(self, x: Iterable[Any]) -> Tensor:
        """Returns the rows, float32 of shape (n, n_features).

        Args:
            x: samples, each as `input_type` says.

        Raises:
            DTypeError: a sample is something else, such as a text where a list of texts belongs.
        """
        return as_tensor(self._rows(self._pairs(row, sample) for row, sample in enumerate(x)))

    def _pairs(self, row: int, sample: Any) -> Row:
        try:
            if self.input_type == "string":
                if isinstance(sample, str):
                    raise TypeError
                return [(_text(feature), 1.0) for feature in sample]
            pairs = sample.items() if self.input_type == "dict" else sample
            return [
                (f"{_text(name)}={value}", 1.0) if isinstance(value, str) else (_text(name), +value)
                for name, value in pairs
            ]
        except (TypeError, ValueError, AttributeError):
            wanted = {
                "dict": "a dict of numbers and texts",
                "pair": "(name, number) pairs",
                "string": "a list of texts",
            }[self.input_type]
            raise DTypeError(
                f"FeatureHasher: sample {row} must be {wanted}, got {sample!r}"
            ) from None


class HashingVectorizer(Hashing):
    """Turns a text into a row of fixed length: its words and pairs of words, by their hashes.

    Args:
        n_features: number of columns.
        ngram_range: (minimum, maximum) number of words of a feature; (1, 2) takes words and pairs.
        norm: "l2" or "l1" gives each row that norm 1; None leaves the counts.
        alternate_sign: whether half of the features count negatively, so that collisions cancel.
        lowercase: whether texts are converted to lower case.
        token_pattern: the regular expression of a word.

    Raises:
        ArgumentError: `n_features` or `ngram_range` is out of range, or the norm is unknown.

    Example:
        >>> rows = HashingVectorizer(16).transform(["A good film!", None])
        >>> rows.shape, rows.norm(dim=1).round().tolist()
        ((2, 16), [1.0, 0.0])
    """

    def __init__(
        self,
        n_features: int = 1024,
        ngram_range: tuple[int, int] = (1, 1),
        norm: str | None = "l2",
        alternate_sign: bool = True,
        lowercase: bool = True,
        token_pattern: str = TOKEN,
    ) -> None:
        super().__init__(n_features, alternate_sign)
        least, most = ngram_range
        if not 1 <= least <= most:
            raise ArgumentError(
                f"HashingVectorizer: ngram_range={ngram_range}; give (smallest, largest), "
                "both at least 1"
            )
        if norm not in ("l1", "l2", None):
            raise ArgumentError(f'HashingVectorizer: norm={norm!r} must be "l1", "l2" or None')
        self.ngram_range: tuple[int, int] = (least, most)
        self.norm = norm
        self.lowercase = lowercase
        self.token_pattern = token_pattern

    def transform(self, x: Iterable[str | None]) -> Tensor:
        """Returns the rows, float32 of shape (n, n_features).

        Args:
            x: texts; a missing one (None) gives a row of zeros.

        Raises:
            DTypeError: a sample is not a text, or a single text was given.
        """
        if isinstance(x, str):
            raise DTypeError("HashingVectorizer: give a list of texts, not one text")
        rows = self._rows(Counter(self._features(n, text)).items() for n, text in enumerate(x))
        if self.norm is not None:
            order = 1 if self.norm == "l1" else 2
            norms = np.linalg.norm(rows, order, axis=1, keepdims=True)
            rows = np.divide(rows, np.where(norms > 0, norms, 1), dtype=np.float32)
        return as_tensor(rows)

    def _features(self, number: int, text: str | None) -> list[str]:
        if text is None:
            return []
        if not isinstance(text, str):
            raise DTypeError(f"HashingVectorizer: sample {number} is not a text but {text!r}")
        words = re.findall(self.token_pattern, text.lower() if self.lowercase else text)
        least, most = self.ngram_range
        return [
            " ".join(words[start : start + length])
            for length in range(least, most + 1)
            for start in range(len(words) - length + 1)
        ]


def murmur_hash(content: bytes, seed: int = 0) -> int:
    """Returns the 32-bit MurmurHash3 of some bytes, as a signed number."""
    whole = len(content) // 4 * 4
    state = seed
    for word in np.frombuffer(content, "<u4", whole // 4).tolist():
        state = (_rotated((state ^ _scrambled(word)), 13) * 5 + 0xE6546B64) & WORD
    state ^= _scrambled(int.from_bytes(content[whole:], "little"))
    state ^= len(content)
    state = ((state ^ (state >> 16)) * 0x85EBCA6B) & WORD
    state = ((state ^ (state >> 13)) * 0xC2B2AE35) & WORD
    state ^= state >> 16
    return state - 2**32 if state >= 2**31 else state


def _scrambled(word: int) -> int:
    return (_rotated((word * 0xCC9E2D51) & WORD, 15) * 0x1B873593) & WORD


def _rotated(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (32 - bits))) & WORD


def _text(feature: Any) -> str:
    if not isinstance(feature, str):
        raise TypeError
    return feature
