"""The thread pool: the same bits on any number of threads, no deadlock, no crash, no burned CPU."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from smelt.compiler.runtime import threads as runtime
from smelt.compiler.runtime.pool import LONGEST, SHARE
from smelt.dtypes import float32
from smelt.errors import ArgumentError
from smelt.ir.loops import Constant, Expression, Fma, Unary
from tests.compiler.handmade import Bound, shared, step_of

FORK = "This process"  # Python 3.12 and newer warn of every fork of a process with threads
pytestmark = pytest.mark.skipif(not runtime.available, reason="there are no POSIX threads here")


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    before = runtime.threads()
    yield
    runtime.set_threads(before)


def work(x: Expression) -> Expression:
    return Fma(Unary("sqrt", x, float32), x, Constant(0.5, float32))


def expected(x: np.ndarray) -> np.ndarray:
    wide = np.sqrt(x).astype(np.float64) * x + 0.5
    return wide.astype(np.float32)


def bound(iterations: int, length: int = 64, kernels: int = 1) -> Bound:
    random = np.random.default_rng(iterations)
    arrays = []
    for _ in range(kernels):
        given = random.random((iterations, length), np.float32)
        arrays += [np.zeros_like(given), given]
    parts = [shared(f"part{number}", iterations, length, work) for number in range(kernels)]
    return Bound(step_of(*parts), arrays)


@pytest.mark.parametrize("iterations", [0, 1, 2, 31, 32, 33, 63, 64, 65, 1000])
def test_every_iteration_runs_once_on_any_number_of_threads(iterations: int) -> None:
    step, results = bound(iterations), []
    for count in (1, 2, 4, 7):
        runtime.set_threads(count)
        assert runtime.threads() == count
        step.arrays[0][:] = np.nan
        assert step.run() == 0
        results.append(step.arrays[0].copy())
    assert all((result == results[0]).all() for result in results)
    assert (results[0] == expected(step.arrays[1])).all()


def test_many_short_kernels_in_a_row() -> None:
    runtime.set_threads(4)
    step = bound(40, 16, kernels=8)
    assert step.run(steps=2000) == 0
    for number in range(8):
        assert (step.arrays[2 * number] == expected(step.arrays[2 * number + 1])).all()


def test_steps_in_several_python_threads() -> None:
    """One owns the pool, the others run alone: all finish, all are right."""
    runtime.set_threads(3)
    steps = [bound(50 + number) for number in range(4)]
    threads = [threading.Thread(target=lambda step=step: step.run(300)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    for step in steps:
        assert (step.arrays[0] == expected(step.arrays[1])).all()


def test_threads_change_while_a_step_runs() -> None:
    step = bound(64)
    thread = threading.Thread(target=lambda: step.run(20_000))
    thread.start()
    for count in (1, 3, 2, 4, 1, 2):
        runtime.set_threads(count)
        time.sleep(0.005)
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert (step.arrays[0] == expected(step.arrays[1])).all()


def test_python_runs_beside_a_step() -> None:
    step = bound(64)
    stop = threading.Timer(0.2, lambda: step.control.__setitem__(0, 1))
    stop.start()
    assert step.run(1 << 40) == 0  # ends only because the timer's thread could set the flag
    assert 0 < step.control[1] < 1 << 40


def test_idle_workers_sleep() -> None:
    runtime.set_threads(3)
    assert bound(64).run() == 0
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1  # two spinning workers would take 0.6


def test_wakes_after_sleep() -> None:
    runtime.set_threads(2)
    step = bound(64)
    for _ in range(20):
        time.sleep(0.003)
        step.arrays[0][:] = np.nan
        assert step.run() == 0
        assert (step.arrays[0] == expected(step.arrays[1])).all()


def test_a_worker_that_was_held_up_is_kept_out_for_a_while() -> None:
    runtime.set_threads(2)
    runtime.set_threads(3)  # nothing is remembered of earlier jobs
    caller, helpers, delay = threading.get_ident(), set(), 0.0

    def chunk(_: int, begin: int, end: int) -> None:
        if threading.get_ident() != caller:
            helpers.add(threading.get_ident())
            time.sleep(delay)
        time.sleep(1e-4)

    native = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(chunk)
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    parallel = run(runtime.symbols()["smelt_parallel"])

    def helpers_of_a_job() -> int:
        helpers.clear()
        parallel(ctypes.cast(native, ctypes.c_void_p), None, 32)
        return len(helpers)

    def reached(count: int, jobs: int = 1) -> bool:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if all(helpers_of_a_job() == count for _ in range(jobs)):
                return True
        return False

    assert reached(2)
    delay = 0.1  # both are late: one is kept out, then the other, for LONGEST
    assert SHARE * 0.05e9 > LONGEST / 2
    assert reached(0, jobs=5)
    delay = 0.0
    assert reached(1)
    assert reached(2)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "2", None])
def test_wrong_thread_counts(wrong: object) -> None:
    before = runtime.threads()
    with pytest.raises(ArgumentError, match="whole number of threads"):
        runtime.set_threads(wrong)  # type: ignore[arg-type]
    assert runtime.threads() == before


def test_environment_sets_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_wanted", None)
    monkeypatch.delenv("SMELT_THREADS", raising=False)
    assert 1 <= runtime.threads() <= (os.cpu_count() or 1)
    monkeypatch.setenv("SMELT_THREADS", "5")
    assert runtime.threads() == 5
    for wrong in ("0", "many", "-2", "1.5", ""):
        monkeypatch.setenv("SMELT_THREADS", wrong)
        with pytest.raises(ArgumentError, match="SMELT_THREADS"):
            runtime.threads()
    monkeypatch.setattr(runtime, "available", False)
    assert runtime.threads() == 1


def script(body: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in its own process, with `step()` at hand: a parallel step that checks itself."""
    head = (
        "import os, sys, threading, time\n"
        "from smelt.compiler.runtime import threads as runtime\n"
        "from tests.compiler.runtime.test_pool import bound, expected\n"
        "one = bound(64)\n"
        "def step():\n"
        "    one.arrays[0][:] = 7\n"
        "    assert one.run() == 0\n"
        "    assert (one.arrays[0] == expected(one.arrays[1])).all()\n"
    )
    return subprocess.run(
        [sys.executable, "-W", "error", "-W", f"ignore:{FORK}", "-c", head + body],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | environment,
    )


def clean(result: subprocess.CompletedProcess[str], printed: str = "done\n") -> None:
    assert (result.returncode, result.stdout, result.stderr) == (0, printed, "")


def test_interpreter_ends_cleanly() -> None:
    clean(script("step(); print('done')\n", SMELT_THREADS="4"))


def test_interpreter_ends_while_a_step_runs() -> None:
    body = (
        "threading.Thread(target=lambda: one.run(1 << 40), daemon=True).start()\n"
        "time.sleep(0.05)\n"
        "print('done')\n"
    )
    clean(script(body, SMELT_THREADS="3"))


def test_steps_at_exit_run_on_one_thread() -> None:
    clean(script("import atexit\nstep()\natexit.register(lambda: (step(), print('done')))\n"))


def test_child_of_a_fork_starts_its_own_workers() -> None:
    body = (
        "step()\n"
        "for _ in range(3):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        step(); step()\n"
        "        assert len(threading.enumerate()) == 3, threading.enumerate()\n"
        "        sys.exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "    step()\n"
        "print('done')\n"
    )
    clean(script(body, SMELT_THREADS="3"))


def test_fork_while_a_step_runs() -> None:
    body = (
        "two = bound(80)\n"
        "threading.Thread(target=lambda: two.run(100_000)).start()\n"
        "for _ in range(5):\n"
        "    time.sleep(0.002)\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        step()\n"
        "        os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "two.control[0] = 1\n"
        "print('done')\n"
    )
    clean(script(body, SMELT_THREADS="2"))
