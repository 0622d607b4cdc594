"""Public collections of text."""

from __future__ import annotations

import gzip

import numpy as np

from smelt.data.files import Folder, fetch
from smelt.data.splits import part_of
from smelt.tensor import Tensor, as_tensor

__all__ = ["load_multi30k", "load_sst2", "load_tiny_shakespeare"]

SENTENCES = {"train": "train.tsv", "dev": "dev.tsv", "test": "test.tsv"}
CAPTIONS = {"train": "train", "val": "val", "test": "test_2016_flickr"}


def load_sst2(split: str = "train", folder: Folder = None) -> tuple[list[str], Tensor]:
    """Returns sentences of film reviews, and whether they are positive (Socher et al. 2013).

    Args:
        split: "train" (6,920 sentences), "dev" (872) or "test" (1,821).
        folder: see `fetch`.

    Returns:
        Sentences, in lower case, with tokens separated by single spaces; labels, int64 of shape
        (n,), 1 for positive and 0 for negative.

    Raises:
        ArgumentError: there is no such split.
        FileError: see `fetch`.
    """
    content = fetch("sst2", part_of("sst2", split, SENTENCES), folder)
    pairs = [line.split("\t") for line in content.decode("ascii").split("\n")]
    labels = np.array([int(label) for _, label in pairs], np.int64)
    return [sentence for sentence, _ in pairs], as_tensor(labels)


def load_tiny_shakespeare(folder: Folder = None) -> str:
    """Returns 1,115,394 characters of plays by Shakespeare; 65 different ones occur.

    Raises:
        FileError: see `fetch`.
    """
    return fetch("tinyshakespeare", "input.txt", folder).decode("ascii")


def load_multi30k(split: str = "train", folder: Folder = None) -> tuple[list[str], list[str]]:
    """Returns captions of images in English, and the same in French (Elliott et al. 2016, 2017).

    Args:
        split: "train" (29,000 captions), "val" (1,014) or "test" (1,000, those of 2016).
        folder: see `fetch`.

    Returns:
        English and French sentences, in their original spelling.

    Raises:
        ArgumentError: there is no such split.
        FileError: see `fetch`.
    """
    name = part_of("multi30k-en-fr", split, CAPTIONS)
    english, french = (
        fetch("multi30k-en-fr", f"{name}.{language}.gz", folder) for language in ("en", "fr")
    )
    return _lines(english), _lines(french)


def _lines(packed: bytes) -> list[str]:
    # not splitlines(), which also breaks at characters that may stand within a sentence
    return gzip.decompress(packed).decode("utf-8").removesuffix("\n").split("\n")
