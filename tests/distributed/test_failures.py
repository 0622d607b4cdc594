"""What goes wrong on one rank is heard on all, in time, and nothing hangs."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.distributed.launcher import LONG, OPEN_MPI, ended, run, started

SOON = 10.0  # seconds from the moment at which ranks differ


@pytest.mark.parametrize(
    ("way", "texts"),
    [
        ("shape", ["all_reduce sum of float32[3]", "all_reduce sum of float32[4]"]),
        ("dtype", ["float32[3]", "float64[3]"]),
        ("model", ['weight: "float32[2, 3] learned"', 'weight: "float32[3, 3] learned"']),
        ("setting", ["p=0.0", "p=0.1"]),
        ("compiled shape", ["all_reduce of float32[3]", "all_reduce of float32[4]"]),
        ("loop", ["all_reduce of float32[4] in scan of length 3", "in scan of length 4"]),
        ("eager turns", ["all_reduce sum of float32[4, 3]", "barrier"]),
        ("collective", ["all_gather of float32[4, 3]", "all_reduce sum of float32[4, 3]"]),
        ("steps", ["barrier", "a step of step"]),
        ("batch", ["steps: 5", "steps: 6"]),
        ("rate", ['line 4 of the optimizer: "lr: 0.1"', 'line 4 of the optimizer: "lr: 0.2"']),
        ("data", ["batches of an epoch: 8", "batches of an epoch: 9"]),
        ("seed", ["(seed, position): [0, 0]", "(seed, position): [1, 0]"]),
        ("version", ['Smelt: "1.0"', 'Smelt: "1.1"']),
    ],
)
def test_ranks_that_differ_are_refused_on_all_with_both_sides(way, texts, tmp_path):
    ranks = run(2, "failing", way, folder=tmp_path, code=None).ranks
    assert [rank["kind"] for rank in ranks] == ["StateError"] * 2
    for rank in ranks:
        assert "rank 0: " in rank["error"]
        assert "rank 1: " in rank["error"]
        assert all(text in rank["error"] for text in texts), rank["error"]
        assert rank["seconds"] < SOON


@pytest.mark.parametrize(
    ("way", "what"),
    [
        ("branch", "cond: the predicate"),
        ("turns", "while_loop: the condition"),
        ("limited turns", "while_loop: the condition"),
    ],
)
def test_what_decides_about_collectives_is_the_same_on_all_ranks(way, what, tmp_path):
    ranks = run(2, "failing", way, folder=tmp_path, code=None).ranks
    assert [rank["kind"] for rank in ranks] == ["StateError"] * 2
    for rank in ranks:
        assert f"{what} is not the same on all ranks" in rank["error"]
        assert rank["seconds"] < SOON


def test_a_launcher_of_another_mpi_is_refused(tmp_path):
    (note,) = run(1, "failing", "size", folder=tmp_path, code=None).ranks
    assert note["kind"] == "StateError"
    assert "started 3 processes" in note["error"]
    assert "sees 1" in note["error"]


def test_mpi4py_that_is_missing_is_said(tmp_path):
    outcome = run(2, "failing", "missing", folder=tmp_path, code=None)
    (note,) = outcome.ranks  # each thinks that it is alone, and writes the same file
    assert note["kind"] == "MissingExtra"
    assert "pip install 'smelt-learn[distributed]'" in note["error"]


@pytest.mark.parametrize(
    ("way", "kind", "text"),
    [
        ("sum", "ArgumentError", "the loss MSELoss has reduction='sum'"),
        ("learned weights", "GradientError", "weights that require a gradient"),
        ("uneven shards", "ShapeError", "3 samples on a rank cannot be split into 2 equal shards"),
    ],
)
def test_what_ranks_cannot_share_is_refused_on_all(way, kind, text, tmp_path):
    ranks = run(2, "failing", way, folder=tmp_path, code=None).ranks
    assert [rank["kind"] for rank in ranks] == [kind] * 2
    for rank in ranks:
        assert text in rank["error"]
        assert rank["seconds"] < SOON


def test_shards_that_ranks_cannot_share_are_refused(tmp_path):
    ranks = run(2, "failing", "shards", folder=tmp_path, code=None).ranks
    assert all("shards=3 and 2 ranks" in rank["error"] for rank in ranks)


@pytest.mark.parametrize(
    ("way", "texts"),
    [
        ("raises", ["rank 1 of 2 ends all ranks", "ValueError: what went wrong on one rank"]),
        ("check", ["rank 1 of 2 ends all ranks", "class"]),
        ("calls", ["the end of the program", "a step of step"]),
        ("exits", ["the end of the program", "a step of step"]),
    ],
)
def test_a_rank_that_fails_ends_all_with_its_message(way, texts, tmp_path):
    outcome = run(2, "failing", way, folder=tmp_path, code=None)
    assert outcome.code != 0
    assert all(text in outcome.output for text in texts), outcome.output


def pids(folder, count):
    """Waits until so many ranks have written down who they are; returns their processes."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        found = sorted(folder.glob("pid-*"))
        if len(found) == count and all(path.read_text() for path in found):
            time.sleep(1.0)  # until they are in their steps
            return [int(path.read_text()) for path in found]
        time.sleep(0.1)
    raise AssertionError("the ranks did not begin")


def runs(pid):
    """Returns whether a process has not ended; of one that has its parent may not have heard."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat").read_text()
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # ended in between, or a system without this folder
        return not Path("/proc").exists()
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_rank_that_is_killed_ends_all(tmp_path):
    process = started(2, "failing", "killed", folder=tmp_path)
    victim, other = pids(tmp_path, 2)
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    outcome = ended(process, tmp_path, began)
    assert outcome.code != 0
    assert outcome.seconds < SOON
    assert "signal 9" in outcome.output
    end = time.monotonic() + SOON
    while runs(other):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_ctrl_c_ends_all(tmp_path):
    process = started(2, "failing", "interrupt", folder=tmp_path)
    pids(tmp_path, 2)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    outcome = ended(process, tmp_path, began)
    assert outcome.code != 0
    assert outcome.seconds < SOON
    assert OPEN_MPI or "KeyboardInterrupt" in outcome.output


def test_a_slow_rank_is_waited_for(tmp_path):
    late = SOON + 2 if LONG else 3
    outcome = run(2, "failing", "slow", late, folder=tmp_path)
    assert outcome.ranks[0]["losses"] == outcome.ranks[1]["losses"]
    assert min(rank["seconds"] for rank in outcome.ranks) > 0.9 * late


def test_ctrl_c_ends_a_fit_on_all_ranks_after_the_same_step(tmp_path):
    process = started(2, "failing", "fit", folder=tmp_path)
    end = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoint.safetensors").exists():
        assert time.monotonic() < end
        time.sleep(0.1)
    time.sleep(3.0)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    outcome = ended(process, tmp_path, began)
    assert outcome.seconds < SOON
    if OPEN_MPI:  # the last epoch is what there is
        assert outcome.code != 0
        assert (tmp_path / "run" / "checkpoint.safetensors").exists()
        return
    assert [rank["interrupted"] for rank in outcome.ranks] == [True, True], outcome.output
    assert outcome.ranks[0]["epochs"] == outcome.ranks[1]["epochs"] > 0


def test_a_save_that_is_interrupted_leaves_the_one_before(tmp_path):
    outcome = run(2, "failing", "save", folder=tmp_path, code=None)
    assert outcome.code != 0
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()
    whole = run(2, "failing", "resume", folder=tmp_path)
    assert [rank["epochs"] for rank in whole.ranks] == [6, 6]
