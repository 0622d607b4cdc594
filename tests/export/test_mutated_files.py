"""Damaged and hostile .safetensors files: a clean FileError, or what the library reads.

`SMELT_FILES=10000` tries as many seeds; one alone: `check(seed, path)`.
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smelt import dtypes
from smelt.errors import FileError
from smelt.export import load_file, read_metadata, save_file
from smelt.export.header import DTYPES
from smelt.tensor import as_tensor

SEEDS = int(os.environ.get("SMELT_FILES", "400"))
# why Smelt refuses what the library takes; besides these they agree
STRICTER = (
    "SHA-256",
    "Smelt reads",
    "bytes other than 0 and 1",
    '"__metadata__" is null',
    "larger than an array can be",
)
HOSTILE = [0, 1, -1, 2, 7, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, 1.0, None]
HOSTILE += ["", "F32", "BOOL", "F4", "U8", "\0", [], {}, True, [0, 0], [0, 2**64 - 1], "\ud800"]
WORDS = [b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"1e9", b"-0", b"\\u0000", b"\xff"]
WORDS += [b"\n", b" ", b"0", b"F32", b"BF16", b'"__metadata__"', b"NaN", b"[" * 200, b"9" * 30]


def source(drawn: random.Random, path: Path) -> tuple[dict[str, Any], bytes]:
    """Returns header and arrays of a file; every other one is of another program, unchecked."""
    kinds = drawn.choices(dtypes.ALL, k=drawn.randrange(1, 5))
    shapes = [drawn.choices([0, 1, 2, 3, 5], k=drawn.randrange(4)) for _ in kinds]
    arrays = {
        f"layer.{index}": as_tensor(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2, kind)
        for index, (kind, shape) in enumerate(zip(kinds, shapes, strict=True))
    }
    save_file(arrays, path, {"made by": "a test"})
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if drawn.random() < 0.8:
        del header["__metadata__"]["sha256"]
    return header, content[8 + length :]


def parts(value: Any) -> list[tuple[Any, Any]]:
    """Returns every (container, key) within a tree."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            found += parts(value[key])
    return found


def mutated(seed: int, path: Path) -> bytes:
    """Returns a file that differs from a good one in structure, in text or in bytes."""
    drawn = random.Random(seed)
    header, data = source(drawn, path)
    for _ in range(drawn.choice([0, 0, 1, 1, 2])):
        container, key = drawn.choice(parts(header))
        other, chosen = drawn.choice(parts(header))
        fresh = [*HOSTILE, other[chosen]]
        container[key] = copy.deepcopy(drawn.choice(fresh))
        if isinstance(container, dict) and drawn.random() < 0.2:
            container[drawn.choice(["dtype", "__metadata__", "layer.1", "x"])] = container.pop(key)
    text = bytearray(json.dumps(header, ensure_ascii=drawn.random() < 0.5).encode(errors="replace"))
    if drawn.random() < 0.3:
        at = drawn.randrange(len(text) + 1)
        text[at : at + drawn.choice([0, 1, 4])] = drawn.choice(WORDS)
    length = (
        len(text) if drawn.random() < 0.9 else drawn.choice([0, 1, 2**63, len(text) + 1, 10**8])
    )
    content = bytearray(length.to_bytes(8, "little") + text + data)
    for _ in range(drawn.choice([0, 0, 0, 1, 3])):
        content[drawn.randrange(len(content))] = drawn.randrange(256)
    if drawn.random() < 0.1:
        content = content[: drawn.randrange(len(content) + 1)]
    return bytes(content + (b"x" if drawn.random() < 0.05 else b""))


def expected(content: bytes) -> dict[str, tuple[str, list[int], bytes]] | None:
    """Returns what the library reads; None when it refuses."""
    library = pytest.importorskip("safetensors")
    try:
        found = library.deserialize(content)
    except library.SafetensorError:
        return None
    return {name: (one["dtype"], one["shape"], bytes(one["data"])) for name, one in found}


def check(seed: int, path: Path) -> str:
    """Reads one file in both ways, and returns what came of it."""
    content = mutated(seed, path)
    path.write_bytes(content)
    theirs = expected(content)
    try:
        ours = load_file(path)
    except FileError as refusal:
        reason = next((why for why in STRICTER if why in str(refusal)), "")
        if theirs is not None and not reason:
            raise AssertionError(f"the library takes it: {refusal}") from None
        return f"refused by Smelt alone: {reason}" if theirs is not None else "refused by both"
    assert theirs is not None, "the library refuses it"
    assert ours.keys() == theirs.keys()
    mapped = load_file(path, mmap=True)
    for name, (kind, shape, data) in theirs.items():
        assert (ours[name].dtype, list(ours[name].shape)) == (DTYPES[kind][0], shape)
        assert ours[name].stored.tobytes() == mapped[name].stored.tobytes() == data
    read_metadata(path)
    return "accepted, and the same"


def test_mutated_files_are_refused_or_read_as_the_library_does(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    counts: Counter[str] = Counter()
    for seed in range(SEEDS):
        try:
            counts[check(seed, tmp_path / "file.safetensors")] += 1
        except Exception as problem:
            problem.add_note(f"reproduce: test_mutated_files.check({seed}, path)")
            raise
    print(dict(counts))
    assert counts["accepted, and the same"] > SEEDS / 20
    assert counts["refused by both"] > SEEDS / 20
