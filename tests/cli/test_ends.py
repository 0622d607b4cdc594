"""How a command ends: a reader that has gone, SIGTERM, SIGHUP, Ctrl-C twice, and kills."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import smelt
from smelt.recipes import digits
from smelt.train import read_checkpoint, read_metrics, read_model

pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")
KILLS = int(os.environ.get("SMELT_KILLS", "3"))
TRAIN = (sys.executable, "-m", "smelt", "train", "digits", "--epochs", "100000", "--out")


def begun(folder: Path) -> subprocess.Popen[str]:
    """Starts a training, and returns when epochs are over."""
    process = subprocess.Popen(
        [*TRAIN, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert any(line.startswith("epoch") for line in process.stdout)
    return process


def check_run(folder: Path) -> None:
    read_metrics(folder)
    assert read_checkpoint(folder)["step"] > 0
    read_model(folder, digits.make_model())


def test_a_reader_that_has_gone_ends_a_command_without_a_word(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for command in (f"train digits --epochs 30 --out {folder}", "book show E5.1", "info"):
        ran = subprocess.run(
            f"{sys.executable} -m smelt {command} | head -1",
            shell=True,
            capture_output=True,
            text=True,
            check=True,
        )
        assert (len(ran.stdout.splitlines()), ran.stderr) == (1, "")
    check_run(folder)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device")
@pytest.mark.parametrize("command", ["info", "book list"])
def test_an_output_that_cannot_be_written_is_one_line(command: str) -> None:
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "smelt", *command.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    said = "smelt: the output cannot be written (No space left on device)\n"
    assert (ran.returncode, ran.stderr) == (1, said)


INTERRUPTION = """
import os, signal, sys

class Interruption:
    def find_spec(self, name, path=None, target=None):
        if name == {!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interruption())
"""


@pytest.mark.skipif(os.name != "posix", reason="there are no POSIX signals")
@pytest.mark.parametrize(
    "module",
    ["typing", "numpy", "smelt.nn", "smelt.cli.book", "smelt.book.runner", "llvmlite"],
)
def test_ctrl_c_while_modules_are_loaded_is_one_line(module: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTION.format(module))
    paths = [str(tmp_path), str(Path(smelt.__file__).parents[1])]
    ran = subprocess.run(
        [sys.executable, "-m", "smelt", "book", "run", "E5.7+"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SMELT_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (130, "smelt: stopped by Ctrl-C\n")


@pytest.mark.parametrize(
    ("number", "times", "code", "said"),
    [
        (signal.SIGTERM, 1, 128 + signal.SIGTERM, ""),
        (signal.SIGHUP, 1, 128 + signal.SIGHUP, ""),
        (signal.SIGINT, 3, 130, "smelt: stopped by Ctrl-C\n"),
    ],
)
def test_what_ends_a_training_leaves_its_run(
    number: int, times: int, code: int, said: str, tmp_path: Path
) -> None:
    with begun(tmp_path / "run") as process:
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.002)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err in (said, "")  # the first Ctrl-C alone ends a training without an error
    check_run(tmp_path / "run")


def test_kills_at_any_moment_leave_a_run_that_can_be_read(tmp_path: Path) -> None:
    for seed in range(KILLS):
        folder = tmp_path / str(seed)
        with begun(folder) as process:
            time.sleep(random.Random(seed).uniform(0, 0.5))
            process.kill()
        read_model(folder, digits.make_model())
        read_metrics(folder)
