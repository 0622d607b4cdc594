"""Damaged and hostile ONNX files: a clean error, or a module.

`SMELT_FILES=10000` tries as many seeds; one alone: `check(seed, path)`.
"""

from __future__ import annotations

import functools
import os
import random
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt import export
from smelt.errors import CompileError, FileError
from tests.export import onnx_hostile as made
from tests.export.audit import audited
from tests.export.onnx_zoo import ZOO, floats

SEEDS = int(os.environ.get("SMELT_FILES", "1000"))
SPARE = 10_000_000


# --- mutated files --------------------------------------------------------------------------------


@functools.cache
def sources() -> list[bytes]:
    """Returns files of networks with loops, branches, convolutions and tables."""
    pytest.importorskip("onnx")
    from tests.export.test_onnx import Control

    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"smelt-onnx-{os.getpid()}"
    path = folder.with_suffix(".onnx")
    found = [made.GOOD]
    try:
        for name in ("mlp", "waves", "gru", "masked gru", "embedding", "norms", "autoencoder"):
            smelt.manual_seed(0)
            network = ZOO[name]
            export.save_onnx(network.make(), path, network.input(network.lengths[0]))
            found.append(path.read_bytes())
        export.save_onnx(Control().eval(), path, floats(4, 6, 3))
        found.append(path.read_bytes())
    finally:
        path.unlink(missing_ok=True)
    return found


def mutated(seed: int) -> bytes:
    """Returns a file that differs from a good one in its bytes or its length."""
    drawn = random.Random(seed)
    content = bytearray(drawn.choice(sources()))
    if drawn.random() < 0.1:
        return bytes(content[: drawn.randrange(len(content))])
    for _ in range(drawn.choice([1, 1, 2, 5])):
        at = drawn.randrange(len(content))
        if drawn.random() < 0.8:
            content[at] = drawn.randrange(256) if drawn.random() < 0.5 else content[at] ^ 1
        else:
            other = drawn.randrange(len(content))
            content[at : at + drawn.randrange(9)] = content[other : other + drawn.randrange(9)]
    return bytes(content)


def check(seed: int, path: Path) -> str:
    """Reads a mutated file, and returns what came of it."""
    content = mutated(seed)
    path.write_bytes(content)
    tracemalloc.start()
    try:
        loaded = export.load_onnx(path)
    except (FileError, CompileError) as refusal:
        text = str(refusal)
        assert str(path) in text
        assert len(text) < 20_000
        return f"refused: {type(refusal).__name__}"
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < len(content) + SPARE
    assert isinstance(loaded.state_dict(), dict)
    return "read"


def test_mutated_files_are_refused_or_read(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    export.load_onnx(good_file(tmp_path))  # what is loaded late takes memory, too
    for seed in range(SEEDS):
        try:
            counts[check(seed, tmp_path / "model.onnx")] += 1
        except Exception as problem:
            problem.add_note(f"reproduce: test_hostile_onnx_files.check({seed}, path)")
            raise
    print(dict(counts))
    assert counts["read"] > SEEDS / 10
    assert counts["refused: FileError"] > SEEDS / 10


# --- hostile files --------------------------------------------------------------------------------


def good_file(folder: Path) -> Path:
    path = folder / "good.onnx"
    path.write_bytes(made.GOOD)
    return path


def assert_refused(path: Path, content: bytes, spare: int = SPARE) -> None:
    """Fails unless a file is refused in little time and memory."""
    path.write_bytes(content)
    started = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises((FileError, CompileError)) as refusal:
            export.load_onnx(path)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < len(content) + spare
    assert len(str(refusal.value)) < 20_000
    assert time.process_time() - started < 60


@pytest.mark.parametrize("name", made.SMALL)
def test_hostile_files_are_refused(name: str, tmp_path: Path) -> None:
    export.load_onnx(good_file(tmp_path))
    assert_refused(tmp_path / "model.onnx", made.SMALL[name])


@pytest.mark.parametrize("name", made.LARGE)
def test_no_file_takes_more_memory_than_it_is_worth(name: str, tmp_path: Path) -> None:
    path = made.prepare(tmp_path)
    export.load_onnx(good_file(tmp_path))
    assert_refused(path, made.LARGE[name]())


@pytest.mark.parametrize("name", made.OUTSIDE)
def test_nothing_is_read_outside_of_the_folder(name: str, tmp_path: Path) -> None:
    path = made.prepare(tmp_path)
    before = sorted(os.listdir(path.parent))
    assert_refused(path, made.OUTSIDE[name])
    assert sorted(os.listdir(path.parent)) == sorted([*before, made.MODEL])


def test_there_are_a_hundred_of_them() -> None:
    assert len(made.SMALL) + len(made.LARGE) + len(made.OUTSIDE) >= 100


@pytest.mark.parametrize("name", made.HARMLESS)
def test_what_is_only_odd_is_read(name: str, tmp_path: Path) -> None:
    path = made.prepare(tmp_path)
    path.write_bytes(made.HARMLESS[name])
    loaded = export.load_onnx(path)
    x = np.array([1.0, 2.0], np.float32)
    assert loaded(x).tolist() == [2.0, 3.0]


SETUP = """
from smelt import export
from smelt.errors import CompileError, FileError
load, refusals = export.load_onnx, (FileError, CompileError)
"""


def test_no_other_file_is_opened_and_nothing_imported_or_called(tmp_path: Path) -> None:
    folder = made.prepare(tmp_path).parent
    paths = []
    for number, content in enumerate(
        [*made.HARMLESS.values(), *made.SMALL.values(), *made.OUTSIDE.values()]
    ):
        paths.append(folder / f"{number}.onnx")
        paths[-1].write_bytes(content)
    opened, imported = audited(
        SETUP, "load(paths[0]); list(map(read, paths[1:3]))", paths, tmp_path
    )
    assert {event for event, _ in opened} == {"open"}
    # the folder itself, what lies in it as a plain file, a folder or a pipe, and what is not there
    inside = {made.DATA, "sub", "pipe", "absent.bin", "a", "a" * 5000, "http:", "~", os.devnull}
    named = {path for _, path in opened if not path.isdigit()}  # a number is a file that is open
    assert named <= {str(folder), *inside}
    assert not imported
