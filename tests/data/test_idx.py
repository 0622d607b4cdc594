"""IDX files, and the two data sets that come in this form."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from smelt import dtypes
from smelt.data import load_fashion_mnist, load_mnist, read_idx
from smelt.errors import ArgumentError, FileError

HEADER = bytes([0, 0, 8, 2]) + (2).to_bytes(4, "big") + (3).to_bytes(4, "big")


def test_numbers_come_in_their_shape(tmp_path: Path) -> None:
    content = HEADER + bytes(range(6))
    (tmp_path / "file").write_bytes(content)
    (tmp_path / "packed").write_bytes(gzip.compress(content, mtime=0))
    for source in (content, tmp_path / "file", tmp_path / "packed"):
        assert read_idx(source).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(("code", "kind"), [(9, "i1"), (11, "i2"), (12, "i4"), (13, "f4")])
def test_every_type_is_read_in_the_byte_order_of_the_machine(code: int, kind: str) -> None:
    values = np.array([1, -2, 3], f">{kind}")
    read = read_idx(bytes([0, 0, code, 1]) + (3).to_bytes(4, "big") + values.tobytes())
    assert read.tolist() == [1, -2, 3]
    assert read.dtype == np.dtype(kind)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an IDX file"),
        (b"PK\3\4", "not an IDX file"),
        (bytes([0, 0, 7, 1]), "not an IDX file"),
        (HEADER[:9], "ends within its header, which has 12 bytes"),
        (HEADER + bytes(5), r"has 17 bytes; numbers of shape \(2, 3\) need 18"),
        (HEADER + bytes(7), "has 19 bytes"),
        (gzip.compress(HEADER + bytes(6), mtime=0)[:-9], "cannot be unpacked"),
    ],
)
def test_what_is_no_idx_file_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(FileError, match=reason):
        read_idx(content)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nothing: cannot be read"):
        read_idx(tmp_path / "nothing")


def test_the_digits_are_the_published_ones(published: Path) -> None:
    images, labels = load_mnist("test", published)
    assert (images.shape, images.dtype) == ((10000, 28, 28), dtypes.float32)
    assert (labels.shape, labels.dtype) == ((10000,), dtypes.int64)
    assert labels.tolist()[:10] == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert (images.numpy().min(), images.numpy().max()) == (0, 1)
    assert images.numpy().mean(dtype=np.float64) == pytest.approx(0.132515, abs=1e-6)


def test_the_clothes_are_the_published_ones(published: Path) -> None:
    images, labels = load_fashion_mnist("test", published)
    assert images.shape == (10000, 28, 28)
    assert labels.tolist()[:10] == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]
    assert images.numpy().mean(dtype=np.float64) == pytest.approx(0.286849, abs=1e-6)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ArgumentError, match='split=\'dev\' must be one of "train", "test"'):
        load_mnist("dev")


@pytest.mark.parametrize(
    "content",
    [b"\0\0\x08\x41" + b"\0\0\0\1" * 65 + b"x", b"\0\0\x08\x05" + b"\xff" * 16 + b"\0" * 4],
)
def test_what_no_array_can_hold_is_refused(content: bytes) -> None:
    with pytest.raises(FileError, match="65 axes|no array has the shape"):
        read_idx(content)
