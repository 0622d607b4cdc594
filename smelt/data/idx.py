"""IDX files, the format of MNIST and Fashion-MNIST: numbers after a header with their shape.

Two zero bytes, a byte for the type, a byte for the number of axes; the sizes as big-endian 32-bit
integers; the numbers, big-endian, the last axis fastest. Often compressed with gzip.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib

import numpy as np

from smelt.atomic import read_bytes
from smelt.data.files import Folder, fetch
from smelt.data.splits import part_of
from smelt.errors import FileError
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.checked import checked

__all__ = ["load_fashion_mnist", "load_mnist", "read_idx"]

TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
GZIP = b"\x1f\x8b"
LIGHTEST = 255
MOST_AXES = 64  # of a NumPy array
PREFIX = {"train": "train", "test": "t10k"}


@checked
def read_idx(source: str | os.PathLike[str] | bytes) -> np.ndarray:
    """Returns the numbers of an IDX file, compressed with gzip or not.

    Args:
        source: a path, or the contents.

    Returns:
        An array of the file's shape and type, in the machine's byte order.

    Raises:
        FileError: the file is missing, damaged, or not an IDX file.
    """
    name, content = ("IDX", source) if isinstance(source, bytes) else _read(source)
    if content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise FileError(f"{name}: cannot be unpacked ({error})") from None
    return _parsed(name, content)


def load_mnist(split: str = "train", folder: Folder = None) -> tuple[Tensor, Tensor]:
    """Returns handwritten digits (LeCun, Cortes, Burges 1998), and their labels.

    Args:
        split: "train" (60,000 digits) or "test" (10,000).
        folder: see `fetch`.

    Returns:
        Images, float32 of shape (n, 28, 28), 0 (paper) to 1 (ink); labels, int64 of shape (n,), 0
        to 9.

    Raises:
        ArgumentError: there is no such split.
        FileError: see `fetch`.
    """
    return _load("mnist", split, folder)


def load_fashion_mnist(split: str = "train", folder: Folder = None) -> tuple[Tensor, Tensor]:
    """Returns pictures of clothing (Xiao, Rasul, Vollgraf 2017), and their labels.

    The classes are 0 T-shirt, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt,
    7 sneaker, 8 bag, 9 ankle boot. Everything else is as in `load_mnist`.
    """
    return _load("fashion-mnist", split, folder)


def _load(dataset: str, split: str, folder: Folder) -> tuple[Tensor, Tensor]:
    prefix = part_of(dataset, split, PREFIX)
    images = read_idx(fetch(dataset, f"{prefix}-images-idx3-ubyte.gz", folder))
    labels = read_idx(fetch(dataset, f"{prefix}-labels-idx1-ubyte.gz", folder))
    light = np.divide(images, np.float32(LIGHTEST), dtype=np.float32)
    return as_tensor(light), as_tensor(labels.astype(np.int64))


def _read(path: str | os.PathLike[str]) -> tuple[str, bytes]:
    return os.fspath(path), read_bytes(path)


def _parsed(name: str, content: bytes) -> np.ndarray:
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in TYPES:
        raise FileError(f"{name}: is not an IDX file (it begins with {content[:4].hex(' ')})")
    kind, axes = np.dtype(TYPES[content[2]]), content[3]
    start = 4 + 4 * axes
    if axes > MOST_AXES:
        raise FileError(f"{name}: has {axes} axes; an array has at most {MOST_AXES}")
    if len(content) < start:
        raise FileError(f"{name}: ends within its header, which has {start} bytes")
    shape = tuple(np.frombuffer(content, ">u4", axes, 4).tolist())
    needed = start + math.prod(shape) * kind.itemsize
    if len(content) != needed:
        raise FileError(f"{name}: has {len(content)} bytes; numbers of shape {shape} need {needed}")
    try:
        numbers = np.frombuffer(content, kind, offset=start).reshape(shape)
    except (
        ValueError
    ) as error:  # extents of which one is 0, and the product of the others too large
        raise FileError(f"{name}: no array has the shape {shape} ({error})") from None
    return numbers.astype(kind.newbyteorder("="))
