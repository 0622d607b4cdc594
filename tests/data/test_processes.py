"""Batches made by processes: the same as without; those that raise, hang or die are reported."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt.data import Augmented, DataLoader, Dataset, IterableDataset, TensorDataset
from smelt.errors import ArgumentError, DTypeError, WorkerError
from smelt.random import Generator
from smelt.tensor import Tensor

pytestmark = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="needs fork"
)
SOON = 5.0  # seconds in which trouble is reported


class Odd(Dataset):
    """Samples of which number 5 makes trouble."""

    def __init__(self, trouble: str = "") -> None:
        self.trouble = trouble

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> Any:
        if index == 5 and self.trouble:
            getattr(self, self.trouble)()
        return np.array([index, os.getpid()])

    def fail(self) -> None:
        raise LookupError("sample 5 is gone")

    def fail_oddly(self) -> None:
        raise Unsendable(threading.Lock())

    def hang(self) -> None:
        time.sleep(600)

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self) -> None:
        os._exit(3)


class Unsendable(Exception):
    pass


class Lines(IterableDataset):
    def __init__(self, wrong: int | None = None) -> None:
        self.wrong = wrong

    def __iter__(self) -> Iterator[Any]:
        for number in range(11):
            if number == self.wrong:
                raise LookupError(f"line {number} is gone")
            yield number


def processes() -> list[Any]:
    return [one for one in multiprocessing.active_children() if "smelt loader" in one.name]


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    gc.collect()
    assert processes() == []
    assert [t for t in threading.enumerate() if t.name.startswith("smelt loader")] == []


def shifted(sample: tuple[Tensor, ...], generator: Generator) -> Tensor:
    return sample[0] + smelt.rand(2, generator=generator)


def test_any_number_of_processes_gives_the_same_bits() -> None:
    data = Augmented(TensorDataset(smelt.zeros(23, 2)), shifted, seed=3)

    def epochs(workers: int, context: str | None) -> list[bytes]:
        loader = DataLoader(
            data, 4, shuffle=True, seed=1, num_workers=workers, multiprocessing_context=context
        )
        return [batch.numpy().tobytes() for _ in range(2) for batch in loader]

    alone = epochs(0, None)
    assert epochs(1, "fork") == epochs(3, "fork") == alone
    assert len(set(alone)) == 12


def test_processes_are_others_and_prepare() -> None:
    seen: list[int] = []
    loader = DataLoader(
        Odd(),
        5,
        num_workers=2,
        multiprocessing_context=multiprocessing.get_context("fork"),
        worker_init_fn=seen.append,
    )
    batches = list(loader)
    assert [batch[:, 0].tolist() for batch in batches] == np.arange(20).reshape(4, 5).tolist()
    assert os.getpid() not in {batch[0, 1].item() for batch in batches}
    assert seen == []  # that of this process


@pytest.mark.parametrize(
    ("trouble", "error", "message"),
    [
        ("fail", LookupError, "sample 5 is gone"),
        ("fail_oddly", WorkerError, "Unsendable: "),
        ("die", WorkerError, r"ended with signal SIGKILL while it worked on samples 4, 5"),
        ("leave", WorkerError, r"ended with exit code 3 while it worked on samples 4, 5"),
        ("hang", WorkerError, r"made nothing in 0.5 s, and was ended; it worked on samples 4, 5"),
    ],
)
def test_trouble_is_reported_soon_and_in_its_place(
    trouble: str, error: type[Exception], message: str
) -> None:
    loader = DataLoader(Odd(trouble), 2, num_workers=2, multiprocessing_context="fork", timeout=0.5)
    seen, start = [], time.monotonic()
    with pytest.raises(error, match=message) as caught:
        for batch in loader:
            seen.append(batch[:, 0].tolist())
    assert time.monotonic() - start < SOON
    assert seen == [[0, 1], [2, 3]]
    if "fail" in trouble:
        notes = "\n".join(caught.value.__notes__)
        assert "reading sample 5 of a Odd" in notes
        assert "in __getitem__" in notes


def test_a_thread_that_hangs_is_reported() -> None:
    freed = threading.Event()

    class Waiting(Odd):
        def __getitem__(self, index: int) -> Any:
            if index == 3:
                freed.wait(60)
            return index

    with pytest.raises(WorkerError, match=r"result 3 \(from 0\) did not come in 0.2 s"):
        list(DataLoader(Waiting(), num_workers=2, timeout=0.2))
    freed.set()
    for thread in threading.enumerate():
        if thread.name.startswith("smelt loader"):
            thread.join()


def test_a_loop_that_is_left_leaves_no_process() -> None:
    for batch in DataLoader(Odd(), num_workers=3, multiprocessing_context="fork"):
        assert len(processes()) == 3
        if batch[0, 0] == 2:
            break
    assert processes() == []
    batches = iter(DataLoader(Odd("hang"), num_workers=1, multiprocessing_context="fork"))
    for _ in range(5):
        next(batches)
    start = time.monotonic()
    del batches
    gc.collect()
    assert time.monotonic() - start < SOON
    assert processes() == []


@pytest.mark.parametrize("context", [None, "fork"])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_iterable_dataset_comes_once_in_order(workers: int, context: str | None) -> None:
    if workers == 0 and context:
        return
    loader = DataLoader(Lines(), 4, num_workers=workers, multiprocessing_context=context)
    for _ in range(2):
        assert [b.tolist() for b in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    options: dict[str, Any] = {"num_workers": workers, "multiprocessing_context": context}
    assert len(list(DataLoader(Lines(), 4, drop_last=True, **options))) == 2
    assert list(DataLoader(Lines(), None, **options)) == list(range(11))
    seen = []
    with pytest.raises(LookupError, match="line 6 is gone") as caught:
        for batch in DataLoader(Lines(6), 2, **options):
            seen.append(batch.tolist())
    assert seen == [[0, 1], [2, 3], [4, 5]]
    assert "reading samples from number 6 on of a Lines" in caught.value.__notes__


def test_settings_that_exclude_each_other_are_refused() -> None:
    for options, message in [
        ({"multiprocessing_context": "threads", "num_workers": 1}, 'must be one of "'),
        ({"multiprocessing_context": "fork"}, "give num_workers as well"),
        ({"timeout": 1}, "give num_workers as well"),
        ({"timeout": -1, "num_workers": 1}, "timeout=-1"),
        ({"batch_sampler": [[1]], "batch_size": 2}, "leave these out"),
        ({"batch_sampler": [[1]], "shuffle": True}, "leave these out"),
        ({"batch_size": None, "drop_last": True}, "no last one to drop"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            DataLoader(Odd(), **options)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="determines the order itself"):
        DataLoader(Lines(), shuffle=True)
    with pytest.raises(TypeError, match="a Lines has no __len__"):
        len(DataLoader(Lines()))
    unsendable = DataLoader(
        Subclass(), num_workers=1, multiprocessing_context="spawn", collate_fn=lambda x: x
    )
    with pytest.raises(ArgumentError, match="cannot be sent to a process"):
        list(unsendable)
    texts = DataLoader(["a"], num_workers=1, multiprocessing_context="fork")
    with pytest.raises(DTypeError, match="sample 0 is not a number"):
        list(texts)


class Subclass(Odd):
    pass


PROGRAM = """
import os, signal, sys, time
import numpy as np
from smelt.data import DataLoader, Dataset

class Squares(Dataset):
    def __len__(self): return 6
    def __getitem__(self, index): return np.array([index ** 2, os.getpid()])

if __name__ == "__main__":
    way = sys.argv[1]
    loader = DataLoader(Squares(), 2, num_workers=2, multiprocessing_context=sys.argv[2])
    batches = iter(loader)
    first = next(batches)
    print(first[:, 0].tolist(), flush=True)
    if way == "all":
        print([batch[:, 0].tolist() for batch in batches])
    if way == "killed":
        print(first[0, 1].item(), flush=True)
        time.sleep(600)
"""


@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_other_ways_to_start(context: str, tmp_path: Path) -> None:
    done = run(tmp_path, "all", context)
    assert (done.stdout, done.stderr) == ("[0, 1]\n[[4, 9], [16, 25]]\n", "")


def test_a_program_ends_although_it_holds_an_iterator(tmp_path: Path) -> None:
    done = run(tmp_path, "held", "fork")
    assert (done.stdout, done.stderr) == ("[0, 1]\n", "")


def test_processes_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, tmp_path / "program.py", "killed", "fork"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        worker = int(process.stdout.readline())
        process.kill()
        process.wait()
    end = time.monotonic() + SOON
    while is_alive(worker):
        assert time.monotonic() < end
        time.sleep(0.01)


def is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "program.py").write_text(PROGRAM)
    return subprocess.run(
        [sys.executable, folder / "program.py", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
