"""Metrics on their way to disk: none is lost."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt.errors import ArgumentError, ChannelClosed, FileError
from smelt.train import MetricsWriter, read_metrics

LONG = 10.0  # seconds after which a test has failed


def rows(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "smelt metrics"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_rows_are_written_in_order(path: Path) -> None:
    with MetricsWriter(path, capacity=3) as writer:
        for step in range(100):
            writer.write({"step": step, "loss": 1 / (step + 1)})
    assert [row["step"] for row in rows(path)] == list(range(100))
    assert rows(path)[3]["loss"] == 0.25
    assert writers() == []


def test_the_file_can_be_read_while_it_grows(path: Path) -> None:
    writer = MetricsWriter(path)
    for step in range(5):
        writer.write({"step": step})
        writer.flush()
        assert len(rows(path)) == step + 1
    writer.close()


def test_what_is_there_stays(path: Path) -> None:
    for step in range(2):
        with MetricsWriter(path) as writer:
            writer.write({"step": step})
    assert rows(path) == [{"step": 0}, {"step": 1}]


def test_a_row_holds_the_values_of_its_moment(path: Path) -> None:
    with MetricsWriter(path) as writer:
        row = {"step": 0}
        for step in range(3):
            row["step"] = step
            writer.write(row)
    assert [row["step"] for row in rows(path)] == [0, 1, 2]


def test_numbers_of_other_kinds(path: Path) -> None:
    with MetricsWriter(path) as writer:
        writer.write({"a": smelt.tensor(0.5), "b": np.float32(0.25), "c": np.array([3]), "d": "x"})
        for row in ({"a": np.zeros(2)}, {"a": object()}, {(1, 2): 3}):
            with pytest.raises(ArgumentError, match="cannot be written as JSON"):
                writer.write(row)
    assert rows(path) == [{"a": 0.5, "b": 0.25, "c": 3, "d": "x"}]


def test_several_threads_write_whole_lines(path: Path) -> None:
    def write(writer: MetricsWriter, name: str) -> None:
        for step in range(200):
            writer.write({"name": name, "step": step, "text": name * 100})

    with MetricsWriter(path, capacity=4) as writer:
        threads = [threading.Thread(target=write, args=(writer, name)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
    written = rows(path)
    assert len(written) == 600
    for name in "abc":
        assert [row["step"] for row in written if row["name"] == name] == list(range(200))


def test_an_exception_loses_nothing(path: Path) -> None:
    with pytest.raises(LookupError), MetricsWriter(path) as writer:
        writer.write({"step": 1})
        raise LookupError
    assert rows(path) == [{"step": 1}]


def test_a_dropped_writer_loses_nothing(path: Path) -> None:
    writer = MetricsWriter(path)
    for step in range(50):
        writer.write({"step": step})
    del writer
    gc.collect()
    assert len(rows(path)) == 50
    assert writers() == []


def test_a_closed_writer_refuses(path: Path) -> None:
    writer = MetricsWriter(path)
    writer.close()
    writer.close()
    writer.flush()
    with pytest.raises(ChannelClosed):
        writer.write({"step": 1})


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="metrics: cannot be written"):
        MetricsWriter(tmp_path / "missing" / "metrics")
    assert writers() == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_told() -> None:
    writer = MetricsWriter("/dev/full")
    writer.write({"step": 1})
    with pytest.raises(FileError, match="/dev/full: cannot be written"):
        writer.flush()
    with pytest.raises(FileError, match="No space left"):
        writer.write({"step": 2})
    with pytest.raises(FileError, match="No space left"):
        writer.close()


PROGRAM = """
import sys
from smelt.train import MetricsWriter, read_metrics
writer = MetricsWriter(sys.argv[1])
for step in range(500):
    writer.write({"step": step})
"""


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "raise LookupError('lost?')"])
def test_the_end_of_a_program_loses_nothing(path: Path, end: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + end, path], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == {"": 0, "raise SystemExit(3)": 3}.get(end, 1)
    assert [row["step"] for row in rows(path)] == list(range(500))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_the_end_of_a_program_tells_what_went_wrong() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "/dev/full"], capture_output=True, timeout=60, check=False
    )
    assert b"FileError: /dev/full: cannot be written" in done.stderr


def test_what_is_not_finite_is_null_and_read_as_nan(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsWriter(path) as writer:
        writer.write({"a": float("nan"), "b": [smelt.tensor(float("inf")), 1]})
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == {"a": None, "b": [None, 1]}
    assert np.isnan(read_metrics(tmp_path)[0]["a"])


def test_a_torn_line_is_left_out_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"a": 1}\n{"a": 2')
    assert read_metrics(tmp_path) == [{"a": 1}]
    with MetricsWriter(path) as writer:
        writer.write({"a": 3})
    assert read_metrics(tmp_path) == [{"a": 1}, {"a": 3}]
