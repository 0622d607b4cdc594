"""Damaged pictures: a FileError each, or a picture."""

from __future__ import annotations

import os
import random
from io import BytesIO
from pathlib import Path

import pytest

from smelt.data import read_digit
from smelt.data.digits import samples
from smelt.errors import FileError

SEEDS = int(os.environ.get("SMELT_IMAGES", "150"))
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM", "TGA", "PCX", "SGI", "DDS")


def test_damaged_pictures_are_refused_or_read(tmp_path: Path) -> None:
    library = pytest.importorskip("PIL.Image")
    with library.open(next(samples())) as image:
        picture = image.convert("RGB").resize((40, 40))
    path = tmp_path / "picture"
    refused = 0
    for seed in range(SEEDS):
        drawn, file = random.Random(seed), BytesIO()
        picture.save(file, drawn.choice(FORMATS))
        content = bytearray(file.getvalue())
        for _ in range(drawn.choice([1, 2, 5, 20])):
            place = drawn.randrange(min(len(content), drawn.choice([32, 200, 10**6])))
            content[place : place + drawn.choice([0, 1, 3])] = drawn.randbytes(drawn.choice([0, 1]))
        path.write_bytes(content)
        try:
            assert read_digit(path).shape == (8, 8)
        except FileError:
            refused += 1
    assert 0 < refused < SEEDS
