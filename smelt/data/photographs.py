"""Photographs with and without a cat: 64 x 64 pixels in color.

The files are HDF5. Their arrays lie in one piece each, unpacked, so the bytes are read where they
are known to be; that the file is the published one, to the last bit, has been checked before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smelt.data.files import Folder, fetch
from smelt.data.splits import part_of
from smelt.errors import FileError
from smelt.tensor import Tensor, as_tensor

__all__ = ["load_catvnoncat"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SIDE, COLORS = 64, 3
LIGHTEST = 255
PARTS = {"train": "train_catvnoncat.h5", "test": "test_catvnoncat.h5"}


@dataclass(frozen=True, slots=True)
class _Layout:
    """How many samples a file has, and at which bytes pictures and labels begin."""

    count: int
    pictures: int
    labels: int


LAYOUTS = {"train": _Layout(209, 2144, 2570336), "test": _Layout(50, 2144, 616544)}


def load_catvnoncat(split: str = "train", folder: Folder = None) -> tuple[Tensor, Tensor]:
    """Returns photographs, and whether they show a cat.

    Args:
        split: "train" (209 photographs, 72 of them with a cat) or "test" (50, 33 with a cat).
        folder: see `fetch`.

    Returns:
        Photographs, float32 of shape (n, 3, 64, 64): red, green, blue, 0 (dark) to 1; labels,
        int64 of shape (n,), 1 for a cat and 0 for none.

    Raises:
        ArgumentError: there is no such split.
        FileError: see `fetch`.
    """
    content = fetch("catvnoncat", part_of("catvnoncat", split, PARTS), folder)
    if not content.startswith(SIGNATURE):
        raise FileError(f"catvnoncat, {split}: is not an HDF5 file")
    layout = LAYOUTS[split]
    values = layout.count * SIDE * SIDE * COLORS
    pictures = np.frombuffer(content, np.uint8, values, layout.pictures)
    labels = np.frombuffer(content, "<i8", layout.count, layout.labels)
    rows_first = pictures.reshape(-1, SIDE, SIDE, COLORS)
    colors_first = np.ascontiguousarray(rows_first.transpose(0, 3, 1, 2))
    light = np.divide(colors_first, np.float32(LIGHTEST), dtype=np.float32)
    return as_tensor(light), as_tensor(labels.astype(np.int64))
