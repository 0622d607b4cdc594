"""The bundled digits are the real ones, and the split is fixed."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from smelt import dtypes
from smelt.data import digits, load_digits
from smelt.errors import ArgumentError, FileError


def test_all_digits_are_there() -> None:
    images, labels = load_digits()
    assert (images.shape, images.dtype) == ((1797, 8, 8), dtypes.float32)
    assert (labels.shape, labels.dtype) == ((1797,), dtypes.int64)
    assert np.bincount(labels.numpy()).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]
    assert (images.numpy().min(), images.numpy().max()) == (0, 1)
    assert labels.tolist()[:10] == list(range(10))


def test_the_split_takes_every_digit_once() -> None:
    everything, _ = load_digits()
    train, train_labels = load_digits("train")
    test, test_labels = load_digits("test")
    assert (len(train), len(test)) == (len(train_labels), len(test_labels)) == (1437, 360)
    parts = np.concatenate([train.numpy(), test.numpy()])
    assert sorted(map(bytes, parts)) == sorted(map(bytes, everything.numpy()))


def test_the_split_is_the_published_one() -> None:
    """Held-out accuracy can be compared only as long as this does not change."""
    _, labels = load_digits("test")
    assert hashlib.sha256(labels.numpy().astype(np.uint8).tobytes()).hexdigest()[:16] == SPLIT


SPLIT = "078ef6b4373fd95b"


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ArgumentError, match="'validation'"):
        load_digits("validation")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not gzip", "cannot be read"),
        (gzip.compress(bytes(1797 * 65), mtime=0), "altered"),
        (gzip.compress(bytes(1797 * 65), mtime=0)[:-9], "cannot be read"),
    ],
)
def test_a_damaged_file_is_refused(
    content: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits.gz").write_bytes(content)
    monkeypatch.setattr(digits, "BUNDLED", tmp_path)
    with pytest.raises(FileError, match=message):
        load_digits()


def test_the_readme_names_origin_license_and_checksum() -> None:
    text = (digits.BUNDLED / "README.md").read_text("utf-8")
    for fact in ("Alpaydin", "UCI", "CC BY 4.0", digits.SHA256):
        assert fact in text
