"""Damaged and hostile files of `torch.save`: a clean FileError, or a right result.

`SMELT_FILES=10000` tries as many seeds; one alone: `check(seed, path)`.
"""

from __future__ import annotations

import io
import os
import random
import time
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import smelt
from smelt.errors import FileError
from tests.export import torch_bytes as made
from tests.export.audit import audited
from tests.export.torch_hostile import HARMLESS, HOSTILE, W

SEEDS = int(os.environ.get("SMELT_FILES", "1000"))
SPARE = 10_000_000


# --- mutated files --------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """Returns a value with lists of numbers in place of tensors."""
    if isinstance(value, smelt.Tensor):
        return [type(value).__name__, value.dtype.name, value.shape, value.tolist()]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def mutated(seed: int) -> bytes:
    """Returns a file that differs from a good one: in its bytes, its length, or its pickle."""
    drawn = random.Random(seed)
    content = bytearray(made.kept(drawn.choice([made.ZIP, made.LEGACY])))
    kind = drawn.randrange(4)
    if kind == 0:
        return bytes(content[: drawn.randrange(len(content))])
    if kind == 1:  # the pickle alone, so that no checksum is in the way
        with zipfile.ZipFile(io.BytesIO(made.kept(made.ZIP))) as file:
            parts = {name.split("/", 1)[1]: file.read(name) for name in file.namelist()}
        content = bytearray(parts["data.pkl"])
    for _ in range(drawn.choice([1, 1, 2, 5])):
        at = drawn.randrange(len(content))
        if drawn.random() < 0.8:
            content[at] = drawn.randrange(256) if drawn.random() < 0.5 else content[at] ^ 1
        else:
            other = drawn.randrange(len(content))
            content[at : at + drawn.randrange(9)] = content[other : other + drawn.randrange(9)]
    return made.archive(b"", **{**parts, "data.pkl": bytes(content)}) if kind == 1 else content


def read(path: Path) -> str:
    """Returns what a file holds, as text, or "refused"."""
    try:
        return repr(plain(smelt.load(path)))
    except FileError as error:
        refusal = str(error)
    assert str(path) in refusal
    assert len(refusal) < 1000
    return "refused"


def check(seed: int, path: Path) -> str:
    """Reads a mutated file, and returns what came of it."""
    path.write_bytes(mutated(seed))
    found = read(path)
    path.write_bytes(made.kept(made.ZIP))
    return found if found == "refused" else "as before" if found == read(path) else "changed"


def test_mutated_files_are_refused_or_read(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")  # which is asked of what begins like no file of torch.save
    counts: Counter[str] = Counter()
    for seed in range(SEEDS):
        try:
            counts[check(seed, tmp_path / "model.pt")] += 1
        except Exception as problem:
            problem.add_note(f"reproduce: test_hostile_torch_files.check({seed}, path)")
            raise
    print(dict(counts))
    assert counts["refused"] > SEEDS / 2
    assert counts["as before"] > SEEDS / 100


@pytest.mark.parametrize("start", range(0, 3473, 97))
def test_a_flipped_bit_of_an_archive_changes_no_number(start: int, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    content = made.kept(made.ZIP)
    path.write_bytes(content)
    good = read(path)
    for at in range(start, min(start + 97, len(content)), 11):
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        path.write_bytes(changed)
        assert read(path) in (good, "refused")


# --- hostile files -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_little_time_and_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(HOSTILE[name])
    started = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(FileError) as refusal:
            smelt.load(path)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < len(HOSTILE[name]) + SPARE
    assert len(str(refusal.value)) < 1000
    with pytest.raises(FileError):
        smelt.load(path, mmap=True)
    assert time.process_time() - started < 60
    assert os.listdir(tmp_path) == ["model.pt"]


def test_very_many_small_tensors_are_read_in_little_memory(tmp_path: Path) -> None:
    arrays = {f"layers.{number}.weight": W.repeat(17) for number in range(6000)}
    numbers = {key: (array.size, array.tobytes()) for key, array in arrays.items()}
    value = made.mapping({key: made.of_array(key, array) for key, array in arrays.items()})
    path = tmp_path / "model.pt"
    for content in (made.state_dict(arrays), made.legacy(value, numbers)):
        path.write_bytes(content)
        tracemalloc.start()
        try:
            found = smelt.load(path)
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert len(found) == 6000
        assert found["layers.5999.weight"].tolist() == W.repeat(17).tolist()
        assert peak < len(content) + SPARE
        del found


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_only_odd_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(HARMLESS[name])
    found = smelt.load(tmp_path / "model.pt")
    if isinstance(found, smelt.Tensor):
        assert found.tolist() == W.tolist()
    assert os.listdir(tmp_path) == ["model.pt"]


SETUP = """
import safetensors, zipfile
import smelt
from smelt.errors import FileError
load, refusals = smelt.load, FileError
"""


def test_no_other_file_is_opened_and_nothing_imported_or_called(tmp_path: Path) -> None:
    paths = []
    for number, content in enumerate([b"\x80\2.", *HARMLESS.values(), *HOSTILE.values()]):
        paths.append(tmp_path / f"{number}.pt")
        paths[-1].write_bytes(content)
    seen, imported = audited(SETUP, "list(map(read, paths[:2]))", paths, tmp_path)
    assert [seen, imported] == [[["open", os.devnull]], []]
    assert len(os.listdir(tmp_path)) == len(paths)
