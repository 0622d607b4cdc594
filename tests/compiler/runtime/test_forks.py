"""Forks, spawns, and calls within calls, while threads compile and step.

`SMELT_FORKS=100` makes as many children of each kind.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import smelt
from smelt.compiler.runtime.state_lock import lock_of

CHILDREN = int(os.environ.get("SMELT_FORKS", "5"))
SECONDS = 120  # in which a child must end

PROGRAM = """
import multiprocessing, os, sys, threading, warnings
import smelt
from smelt.errors import SmeltError

warnings.simplefilter("ignore")
count = smelt.zeros(())
own = smelt.zeros(())
add = smelt.compile(lambda x: count.copy_(count + x))
add_own = smelt.compile(lambda x: own.copy_(own + x))
double = smelt.compile(lambda x: (x * 2).sum())
large = smelt.ones(300, 300)

def used():
    assert double(large).item() == 180_000
    try:
        add(1.0)  # another thread may be in it
    except SmeltError as error:
        assert "forked" in str(error)
    before = own.item()
    add_own(1.0)
    assert own.item() == before + 1
    factor = os.getpid() % 1000 + 0.5  # nobody has compiled this
    assert smelt.compile(lambda x: x * factor)(smelt.ones(())).item() == factor
    assert (large @ large)[0, 0].item() == 300

def main(kind, children):
    used()
    over = threading.Event()
    def compiling():
        n = 0
        while not over.is_set():
            n += 1
            smelt.compile(lambda x: smelt.exp(x * n) + n)(smelt.ones(3))
    def stepping():
        while not over.is_set():
            add(1.0), double(large), add_own.repeat(0, 1.0)
    threads = [threading.Thread(target=work) for work in (compiling, stepping)]
    for thread in threads:
        thread.start()
    make = multiprocessing.get_context(kind).Process
    for _ in range(children):
        child = make(target=used)
        child.start()
        child.join(60)
        code = child.exitcode
        if code is None:
            child.kill()
        if code != 0:
            over.set()
            sys.exit(f"a child ended with {code}")
    over.set()
    for thread in threads:
        thread.join()

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("kind", ["fork", "spawn"])
def test_children_work_while_threads_compile_and_step(kind: str, tmp_path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program), kind, str(CHILDREN)],
        capture_output=True, text=True, timeout=SECONDS + 20 * CHILDREN,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_two_steps_of_one_state_in_two_threads_lose_nothing() -> None:
    count = smelt.zeros((), dtype=smelt.int64)
    up = smelt.compile(lambda: count.copy_(count + 1))
    on = smelt.compile(lambda x: count.copy_(count + x))

    def work(step, *given) -> None:
        for _ in range(2000):
            step(*given)

    one = smelt.tensor(1)
    works = [(up,), (on, one), (up,), (on, one)]
    threads = [threading.Thread(target=work, args=given) for given in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count.item() == 8000


def test_a_finalizer_calls_the_step_that_runs() -> None:
    total = smelt.zeros(1000)
    wrong = []

    @smelt.compile
    def step(x):
        total.copy_(total + 1)
        return x * 2, x + 1, x - 1

    class Final:
        def __init__(self, n: int) -> None:
            self.ring, self.n = self, n

        def __del__(self) -> None:
            result = step(smelt.full((1000,), float(self.n)))
            wrong.extend(r for r in (result[0].numpy() != 2 * self.n).nonzero())

    step(smelt.ones(1000))
    before = gc.get_threshold()
    gc.set_threshold(3)
    try:
        calls = 1
        for n in range(200):
            Final(n)
            a, b, c = step(smelt.full((1000,), float(n)))
            calls += 1
            assert (a.numpy() == 2 * n).all()
            assert (b.numpy() == n + 1).all()
            assert (c.numpy() == n - 1).all()
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert not any(map(len, wrong))
    assert total[0].item() == 201 + 200


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers")
def test_a_signal_handler_calls_the_step_that_runs() -> None:
    w = smelt.zeros(())
    handled = []

    @smelt.compile
    def step(x):
        w.copy_(w + 1)
        return x * 3, x.sum()

    step(smelt.ones(500))

    def handle(*_: object) -> None:
        a, total = step(smelt.full((500,), 7.0))
        handled.append(bool((a.numpy() == 21).all()) and total.item() == 3500)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        calls, end = 1, time.perf_counter() + 0.5
        while time.perf_counter() < end:
            a, total = step(smelt.ones(500))
            calls += 1
            assert (a.numpy() == 3).all()
            assert total.item() == 500
        step.repeat(50, smelt.ones(500))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handled
    assert all(handled)
    assert w.item() == calls + 50 + len(handled)


def test_a_step_without_state_runs_in_several_threads() -> None:
    step = smelt.compile(lambda x: (x @ x).sum() + x)
    given = [smelt.full((64, 64), float(n)) for n in range(4)]
    with smelt.settings(compile=False):
        right = [step(x).numpy() for x in given]
    step(given[0])
    wrong = []

    def work(n: int) -> None:
        for _ in range(200):
            wrong.append(not np.allclose(step(given[n]).numpy(), right[n], rtol=1e-5))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 800
    assert not any(wrong)


def test_no_steps_take_no_lock() -> None:
    total = smelt.zeros(())
    step = smelt.compile(lambda: total.copy_(total + 1))
    step()
    lock = lock_of([total.stored])
    assert lock is not None
    taken, over = threading.Event(), threading.Event()
    other = threading.Thread(target=lock.run, args=(lambda: taken.set() or over.wait(SECONDS),))
    other.start()
    taken.wait()
    step.repeat(0)  # a child forked meanwhile would take the state for half an update
    assert not over.is_set()
    over.set()
    other.join()
    assert total.item() == 1
