"""Compiled steps on disk: what is damaged, missing or not ours is made anew; several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt import Tensor
from smelt.compiler.runtime import object_cache, step_cache
from tests.compiler.runtime.steps import Counted, X, bits, constants, forget, trained, training

pytestmark = pytest.mark.usefixtures("passes")


def kept(folder: Path) -> dict[bool, list[Path]]:
    """Returns the files of steps (True) and of machine code (False)."""
    found: dict[bool, list[Path]] = {True: [], False: []}
    for path in sorted(folder.iterdir()):
        found[path.read_bytes()[object_cache.HEAD :].startswith(b'{"slots"')].append(path)
    return found


def test_a_large_constant_is_not_kept_twice(tmp_path: Path, passes: Counted) -> None:
    table = np.random.default_rng(0).random((300, 300), np.float32)

    def function(x: Tensor) -> Tensor:
        return x @ smelt.tensor(table)

    given = smelt.ones(2, 300)
    made = smelt.compile(function)(given)
    files = kept(tmp_path / "objects")
    assert max(path.stat().st_size for path in files[True]) < table.nbytes / 10
    forget()
    assert bits(smelt.compile(function)(given)) == bits(made)
    assert passes.runs == 1


def test_large_constants_that_passes_computed_are_not_kept(
    passes: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_cache, "MOST", 40)
    made = smelt.compile(constants)
    expected = bits(made(X))
    assert bits(smelt.compile(constants)(X)) == expected
    assert passes.runs == 1  # as long as the first one lives
    forget()
    assert bits(smelt.compile(constants)(X)) == expected
    assert passes.runs == 2


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "short": lambda data: data[:-1],
    "empty": lambda data: b"",
    "head": lambda data: data[:20],
    "one bit": lambda data: data[:90] + bytes([data[90] ^ 1]) + data[91:],
    "longer": lambda data: data + b"\0",
}


@pytest.mark.parametrize("is_step", [True, False])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_seen(damage: str, is_step: bool, tmp_path: Path, passes: Counted) -> None:
    expected = bits(smelt.compile(constants)(X))
    (path,) = kept(tmp_path / "objects")[is_step]
    whole = path.read_bytes()
    path.write_bytes(DAMAGE[damage](whole))
    forget()
    assert bits(smelt.compile(constants)(X)) == expected
    assert passes.runs == 2
    forget()
    assert bits(smelt.compile(constants)(X)) == expected
    assert passes.runs == 2
    if is_step:
        assert path.read_bytes() == whole


@pytest.mark.parametrize("is_step", [True, False])
def test_what_is_missing_is_made(is_step: bool, tmp_path: Path, passes: Counted) -> None:
    expected = bits(smelt.compile(constants)(X))
    for path in kept(tmp_path / "objects")[is_step]:
        path.unlink()
    forget()
    assert bits(smelt.compile(constants)(X)) == expected
    assert passes.runs == 2


def test_steps_that_are_exchanged_do_not_run(tmp_path: Path, passes: Counted) -> None:
    folder = tmp_path / "objects"
    double, triple = (lambda x: x * 2.0), (lambda x: x * 3.0)
    smelt.compile(double)(X)
    (first,) = kept(folder)[True]
    smelt.compile(triple)(X)
    (second,) = set(kept(folder)[True]) - {first}
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    forget()
    assert bits(smelt.compile(double)(X)) == bits(X * 2.0)
    assert bits(smelt.compile(triple)(X)) == bits(X * 3.0)
    assert passes.runs == 4


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are those of POSIX")
def test_what_others_can_write_is_not_taken(tmp_path: Path, passes: Counted) -> None:
    expected = bits(smelt.compile(constants)(X))
    (path,) = kept(tmp_path / "objects")[True]
    path.chmod(0o666)
    forget()
    assert bits(smelt.compile(constants)(X)) == expected
    assert passes.runs == 2
    assert path.stat().st_mode & 0o777 == 0o600  # another file


def test_steps_count_for_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_cache, "LIMIT", 20_000)
    for number in range(8):
        smelt.compile(lambda x, number=number: x + number + 0.5)(X)
    assert object_cache.size() <= 20_000
    object_cache.clear()
    assert list((tmp_path / "objects").iterdir()) == []


def test_without_a_folder_steps_are_shared_in_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: Counted
) -> None:
    (tmp_path / "objects").write_text("a file where the folder should be")
    monkeypatch.setattr(object_cache, "_complained", True)
    assert trained(*training()) == trained(*training())


# --- several processes ----------------------------------------------------------------------------

PROGRAM = """
import smelt
from smelt.compiler import pipeline
step = smelt.compile(lambda x: smelt.exp(x) @ smelt.ones(3, 2) + 7.0)
print(step(smelt.arange(6.0).reshape(2, 3)).sum().item(), step.times[0].is_from_cache)
"""


def run_python(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "SMELT_CACHE": str(folder)},
    )  # fmt: skip


def test_two_processes_at_once_and_one_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    both = [run_python(folder) for _ in range(2)]
    results = [process.communicate(timeout=120)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert results[0][0] == results[1][0]
    after = run_python(folder)
    assert after.communicate(timeout=120)[0].split() == [results[0][0], "True"]
    assert {path.suffix for path in folder.iterdir()} == {object_cache.SUFFIX}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_forked_child_runs_what_was_linked(passes: Counted) -> None:
    step, model = training()
    expected = trained(step, model)
    child = os.fork()
    if child == 0:
        same = trained(*training()) == expected and passes.runs == 1
        forget()
        again = trained(*training()) == expected and passes.runs == 1
        os._exit(0 if same and again else 1)
    assert os.waitpid(child, 0)[1] == 0
