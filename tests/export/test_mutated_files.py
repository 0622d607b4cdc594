"""Damaged and hostile .safetensors files: a clean FileError, or what the library reads.

`SMELT_FILES=10000` tries as many seeds; one alone: `check(seed, path)`, `check_table(seed, path)`.
"""

from __future__ import annotations

import copy
import json
import os
import random
import time
import tracemalloc
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smelt import dtypes
from smelt.errors import FileError
from smelt.export import load, load_file, read_metadata, save, save_file
from smelt.export.header import DTYPES
from smelt.export.restored import KINDS
from smelt.nn import Parameter
from smelt.tensor import as_tensor

SEEDS = int(os.environ.get("SMELT_FILES", "400"))
# why Smelt refuses what the library takes; besides these they agree
STRICTER = (
    "SHA-256",
    "Smelt reads",
    "bytes other than 0 and 1",
    '"__metadata__" is null',
    "larger than an array can be",
    "occurs twice",
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


def counted(check: Callable[[int, Path], str], path: Path) -> Counter[str]:
    """Checks every seed; returns, and prints, how often each end came."""
    counts: Counter[str] = Counter()
    for seed in range(SEEDS):
        try:
            counts[check(seed, path)] += 1
        except Exception as problem:
            problem.add_note(f"reproduce: test_mutated_files.{check.__name__}({seed}, path)")
            raise
    print(dict(counts))
    return counts


def test_mutated_files_are_refused_or_read_as_the_library_does(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    counts = counted(check, tmp_path / "file.safetensors")
    assert counts["accepted, and the same"] > SEEDS / 20
    assert counts["refused by both"] > SEEDS / 20


# --- the tables of checkpoints --------------------------------------------------------------------


def checkpoint() -> dict[str, Any]:
    """Returns a value with a row of every kind."""
    x = as_tensor(np.ones((2, 2), np.float32))
    plain = [None, 1.5, 2**70, float("nan"), 1j, b"bytes", bytearray(b"xy"), dtypes.float16]
    arrays = [np.ones(3, np.uint8), np.ones(2, np.complex64), np.float32(1.5), np.bool_(True)]
    sets = [{1, "a", (1, 2)}, frozenset({2.5}), OrderedDict(a=1)]
    return {"x": x, "model": {"w": Parameter(x), "again": x}, "rest": (plain, arrays, sets)}


def rewritten(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Returns a checkpoint with another table, and without its SHA-256."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    del header["__metadata__"]["sha256"]
    table = json.loads(header["__metadata__"]["smelt.structure"])
    change(table)
    header["__metadata__"]["smelt.structure"] = json.dumps(table)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def mutate_table(drawn: random.Random, table: dict[str, Any]) -> None:
    for _ in range(drawn.choice([1, 1, 2, 4])):
        container, key = drawn.choice(parts(table))
        other, chosen = drawn.choice(parts(table))
        fresh = [*HOSTILE, *KINDS, [drawn.randrange(-2, 40)], other[chosen], other[chosen]]
        container[key] = copy.deepcopy(drawn.choice(fresh))
        if isinstance(container, list) and drawn.random() < 0.2:
            del container[key]
        if isinstance(table.get("rows"), list) and drawn.random() < 0.1:
            drawn.shuffle(table["rows"])


def check_table(seed: int, path: Path) -> str:
    """Reads a checkpoint with a damaged table, and returns what came of it."""
    save(checkpoint(), path)
    drawn = random.Random(seed)
    path.write_bytes(rewritten(path.read_bytes(), lambda table: mutate_table(drawn, table)))
    try:
        load(path)
    except FileError as refusal:
        return "refused" if len(str(refusal)) < 1000 else "refused in too many words"
    return "accepted"


def test_mutated_checkpoints_are_refused_or_read(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    counts = counted(check_table, tmp_path / "file")
    assert counts["accepted"] > SEEDS / 50
    assert counts["refused"] > SEEDS / 3


@pytest.mark.parametrize(
    "row", [["dict", "a", 1, "a", 2], ["OrderedDict", 1, "a", 1.0, "b"], ["set", 1, 1]]
)
def test_a_key_that_is_named_twice_is_refused(row: list[Any], tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    path = tmp_path / "file"
    save(b"x", path)
    path.write_bytes(rewritten(path.read_bytes(), lambda table: table["rows"].append(row)))
    with pytest.raises(FileError, match="a key occurs twice"):
        load(path)


def doubled(rows: list[list[Any]]) -> None:
    rows[:] = [["list"], *(["list", [row], [row]] for row in range(60))]


def deep_key(rows: list[list[Any]]) -> None:
    rows[:] = [["tuple"], *(["tuple", [row]] for row in range(200_000))]
    rows.append(["dict", [200_000], 1])


def colliding(rows: list[list[Any]]) -> None:
    numbers = [row * (2**61 - 1) for row in range(1, 100_000)]
    rows[:] = [["int", hex(number)] for number in numbers]
    rows.append(["set", *([row] for row in range(len(numbers)))])


def copies(rows: list[list[Any]]) -> None:
    (content,) = (row for row in rows if row[0] == "bytes")
    rows[:] = [content] * 50_000


@pytest.mark.parametrize("attack", [doubled, deep_key, colliding, copies])
def test_no_table_takes_more_than_its_share(
    attack: Callable[[list[list[Any]]], None], tmp_path: Path
) -> None:
    pytest.importorskip("safetensors")
    path = tmp_path / "file"
    save(b"x" * 1_000_000, path)
    path.write_bytes(rewritten(path.read_bytes(), lambda table: attack(table["rows"])))
    tracemalloc.start()
    started = time.monotonic()
    try:
        load(path)
    except FileError:
        assert attack is not copies
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - started < 20
    assert taken < 200e6
