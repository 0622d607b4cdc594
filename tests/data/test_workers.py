"""Batches made by threads: the same as without, and no thread stays behind."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import smelt
from smelt.data import Augmented, DataLoader, Dataset, Subset, TensorDataset, random_split
from smelt.errors import ArgumentError
from smelt.random import Generator
from smelt.tensor import Tensor

LONG = 10.0  # seconds after which a test has failed


class Slow(Dataset):
    """Samples that take the longer the earlier they come, and can go wrong."""

    def __init__(self, count: int, seconds: float = 0.0, wrong: int | None = None) -> None:
        self.count = count
        self.seconds = seconds
        self.wrong = wrong
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:
        self.asked.append(index)
        time.sleep(self.seconds * (self.count - index) / self.count)
        if index == self.wrong:
            raise LookupError(f"sample {index} is gone")
        return np.array([index])


def shifted(sample: tuple[Tensor, ...], generator: Generator) -> Tensor:
    return sample[0] + smelt.rand(2, generator=generator)


def loaders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("smelt loader")]


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    gc.collect()
    assert loaders() == []


def two_epochs(workers: int, factor: int = 2) -> list[bytes]:
    data = Augmented(TensorDataset(smelt.zeros(23, 2)), shifted, seed=3)
    loader = DataLoader(
        data, batch_size=4, shuffle=True, seed=1, num_workers=workers, prefetch_factor=factor
    )
    return [batch.numpy().tobytes() for _ in range(2) for batch in loader]


@pytest.mark.parametrize("workers", [1, 2, 5, 40])
def test_any_number_of_workers_gives_the_same_bits(workers: int) -> None:
    alone = two_epochs(0)
    assert two_epochs(workers) == alone
    assert two_epochs(workers, factor=1) == alone
    assert len(set(alone)) == 12


def test_order_does_not_depend_on_who_is_faster() -> None:
    loader = DataLoader(Slow(12, 0.01), batch_size=1, num_workers=4)
    assert [batch.item() for batch in loader] == list(range(12))


def test_workers_are_no_further_ahead_than_asked() -> None:
    data = Slow(40)
    batches = iter(DataLoader(data, batch_size=1, num_workers=2, prefetch_factor=3))
    for taken in range(1, 5):
        next(batches)
        until(lambda taken=taken: len(data.asked) == taken + 6)
        time.sleep(0.002)
        assert len(data.asked) == taken + 6
    batches.close()


def until(condition: Any) -> None:
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.0005)


def test_workers_work_side_by_side() -> None:
    met = threading.Barrier(3, timeout=LONG)

    class Meeting(Slow):
        def __getitem__(self, index: int) -> np.ndarray:
            met.wait()
            return super().__getitem__(index)

    assert len(list(DataLoader(Meeting(6), num_workers=3))) == 6


def test_an_error_arrives_in_its_place_with_its_traceback() -> None:
    seen = []
    with pytest.raises(LookupError, match="sample 5 is gone") as caught:
        for batch in DataLoader(Slow(20, wrong=5), num_workers=3):
            seen.append(batch.item())
    assert seen == [0, 1, 2, 3, 4]
    assert "__getitem__" in [entry.name for entry in caught.traceback]
    assert loaders() == []


def test_a_loop_that_is_left_leaves_no_thread() -> None:
    data = Slow(50)
    for batch in DataLoader(data, num_workers=3):
        if batch.item() == 2:
            break
    assert loaders() == []
    asked = len(data.asked)
    time.sleep(0.01)
    assert len(data.asked) == asked < 50


def test_an_iterator_that_is_dropped_leaves_no_thread() -> None:
    batches = iter(DataLoader(Slow(50), num_workers=2))
    next(batches)
    assert len(loaders()) == 2
    del batches
    gc.collect()
    assert loaders() == []


def test_an_iterator_that_is_never_asked_starts_no_thread() -> None:
    iter(DataLoader(Slow(5), num_workers=2))
    assert loaders() == []


def test_no_samples_need_no_threads() -> None:
    assert list(DataLoader(Slow(0), num_workers=2)) == []


def test_loops_within_loops() -> None:
    loader = DataLoader(Slow(3), num_workers=2)
    pairs = [(x.item(), y.item()) for x in loader for y in loader]
    assert pairs == [(x, y) for x in range(3) for y in range(3)]


def test_workers_have_the_settings_of_who_asks() -> None:
    class Asking(Slow):
        def __getitem__(self, index: int) -> np.ndarray:
            return np.array(smelt.settings.current.compile)

    with smelt.settings(compile=False):
        assert not any(batch.item() for batch in DataLoader(Asking(4), num_workers=2))


def test_augmented_samples_depend_on_seed_epoch_and_index() -> None:
    data = Augmented(TensorDataset(smelt.zeros(4, 2)), shifted, seed=3)
    first = data.at_epoch(7)
    assert first[1].tolist() == first[-3].tolist() == data.at_epoch(7)[1].tolist()
    others = [first[2], data.at_epoch(8)[1], Augmented(data.dataset, shifted, 4, 7)[1]]
    assert all(other.tolist() != first[1].tolist() for other in others)
    with pytest.raises(IndexError):
        data[4]


def test_a_part_of_an_augmented_dataset_changes_with_the_epoch() -> None:
    data = Augmented(TensorDataset(smelt.zeros(4, 2)), shifted)
    part, _ = random_split(data, [2, 2], Generator(0))
    loader = DataLoader(part, batch_size=2)
    first, second = (next(iter(loader)).tolist() for _ in range(2))
    assert first != second
    assert Subset(data, part.indices).at_epoch(1).batch([0, 1]).tolist() == second
    loader.epoch = 0
    assert next(iter(loader)).tolist() == first


PROGRAM = """
import sys, time
import numpy as np
from smelt.data import DataLoader, Dataset

class Endless(Dataset):
    def __len__(self): return 10**6
    def __getitem__(self, index):
        time.sleep(0.001)
        return np.array([index])

batches = iter(DataLoader(Endless(), num_workers=3))
print(next(batches).item(), flush=True)
"""


def test_a_program_ends_although_it_holds_an_iterator() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_ends_a_loop() -> None:
    program = PROGRAM + (
        "try:\n"
        "    for batch in batches: pass\n"
        "except KeyboardInterrupt:\n"
        "    del batches\n"
        "    import threading; print(threading.active_count())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "1\n", "")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sample_that_raises_stop_iteration_is_an_error(workers: int) -> None:
    class Exhausted(Slow):
        def __getitem__(self, index: int) -> Any:
            return next(iter([])) if index == 3 else super().__getitem__(index)

    with pytest.raises(ArgumentError, match="sample 3 of a Exhausted raised StopIteration"):
        list(DataLoader(Exhausted(6), num_workers=workers))
    with pytest.raises(ArgumentError, match="samples 0: collate_fn raised StopIteration"):
        list(DataLoader(Slow(6), num_workers=workers, collate_fn=lambda _: next(iter([]))))


HANGING = """
import sys, threading, time
import numpy as np
from smelt.data import DataLoader, Dataset

class Hanging(Dataset):
    def __len__(self): return 100
    def __getitem__(self, index):
        if index: threading.Event().wait()
        return np.array([index])

loops = [iter(DataLoader(Hanging(), num_workers=8)) for _ in range(1 + (sys.argv[1] == "left"))]
for loop in loops: print(next(loop).item(), flush=True)
start = time.monotonic()
if sys.argv[1] == "left":
    loops[0].close()
    print(time.monotonic() - start < 3)
"""


@pytest.mark.parametrize("way", ["left", "held"])
def test_hung_workers_keep_nobody_waiting(way: str) -> None:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", HANGING, way], capture_output=True, text=True, timeout=60, check=True
    )
    assert "False" not in done.stdout
    assert done.stderr == ""
    assert time.monotonic() - start < 20


FORKED = """
import os, sys, tempfile, threading, warnings
import numpy as np
from smelt import nn
from smelt.data import Channel, DataLoader
from smelt.errors import ChannelClosed
from smelt.train import BackgroundEvaluator, MetricsWriter
warnings.simplefilter("ignore", DeprecationWarning)
batches = iter(DataLoader(np.arange(40), num_workers=3))
writer = MetricsWriter(tempfile.mktemp())
print(next(batches).item(), flush=True)
writer.write({"a": 1})
evaluator = BackgroundEvaluator(nn.Linear(1, 1), lambda copy: lambda: {})
channel, waiting, forked = Channel(2), threading.Event(), threading.Event()
def hold():
    with evaluator.lock, channel._space:
        waiting.set()
        forked.wait()
threading.Thread(target=hold).start()
threading.Thread(target=lambda: list(channel), daemon=True).start()
waiting.wait()
child = os.fork()
if child == 0:
    for use in (
        lambda: next(batches), lambda: writer.write({"a": 2}), writer.flush,
        lambda: evaluator.submit(1), evaluator.flush,
    ):
        try:
            use()
        except ChannelClosed as error:
            assert "forked" in str(error)
        else:
            os._exit(1)
    writer.close()
    evaluator.close()
    threading.Thread(target=lambda: [channel.send(n) for n in range(9)] and channel.close()).start()
    assert list(channel) == list(range(9))
    with evaluator.lock:
        print(len(list(DataLoader(np.arange(40), num_workers=3))), flush=True)
    sys.exit(7)
forked.set()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print(len(list(batches)))
channel.close()
evaluator.close()
writer.write({"a": 3})
writer.close()
print(writer.path.read_text().split())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_forked_child_is_told_and_may_begin_anew() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60, check=False
    )
    rows = "['{\"a\":', '1}', '{\"a\":', '3}']"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"0\n40\n39\n{rows}\n", "")
