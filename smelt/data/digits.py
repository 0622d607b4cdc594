"""1,797 real handwritten digits, 8 x 8 pixels each, which are part of the package.

They are the test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998;
UCI Machine Learning Repository, license CC BY 4.0); `bundled/README.md` describes how they were
prepared.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from smelt.errors import ArgumentError, FileError
from smelt.random import Generator, randperm
from smelt.tensor import Tensor, as_tensor

__all__ = ["load_digits", "samples"]

BUNDLED = Path(__file__).parent / "bundled"
COUNT = 1797
SIDE = 8
INK = 16  # the darkest pixel
TRAINING = 1437  # four fifths; the other 360 are held out
SPLIT_SEED = 0
SHA256 = "68aea062d35a127749050fa0e52dca09d6569ac08092c925610e0954e172dde2"


def load_digits(split: str = "all") -> tuple[Tensor, Tensor]:
    """Returns handwritten digits and their labels.

    Args:
        split: "train" (1,437 digits), "test" (the other 360) or "all" (in the order of the
            source). The split is fixed: a permutation by Smelt's generator with seed 0.

    Returns:
        Images, float32 of shape (n, 8, 8), 0 (paper) to 1 (ink); labels, int64 of shape (n,), 0 to
        9.

    Raises:
        ArgumentError: there is no such split.
        FileError: the bundled file is damaged.
    """
    rows = _rows()[_chosen(split)]
    images = rows[:, :-1].reshape(-1, SIDE, SIDE).astype(np.float32) / INK
    return as_tensor(images), as_tensor(rows[:, -1].astype(np.int64))


def samples() -> Iterator[Path]:
    """Yields PNG files of a few held-out digits; the name of each begins with what it shows."""
    yield from sorted((BUNDLED / "samples").glob("*.png"))


def _chosen(split: str) -> np.ndarray:
    if split == "all":
        return np.arange(COUNT)
    order = randperm(COUNT, generator=Generator(SPLIT_SEED)).numpy()
    if split == "train":
        return order[:TRAINING]
    if split == "test":
        return order[TRAINING:]
    raise ArgumentError(f'load_digits: split={split!r} must be "train", "test" or "all"')


def _rows() -> np.ndarray:
    """Returns one row a digit: 64 pixels from 0 to 16, then the label; checks them."""
    file = BUNDLED / "digits.gz"
    try:
        content = gzip.decompress(file.read_bytes())
    except (OSError, EOFError) as error:
        raise FileError(f"{file}: cannot be read ({error}); install Smelt again") from None
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise FileError(f"{file}: its contents were altered; install Smelt again")
    return np.frombuffer(content, np.uint8).reshape(COUNT, SIDE * SIDE + 1)
