"""Signal handlers, finalizers and callbacks that use Smelt, whatever they interrupt."""

from __future__ import annotations

import functools
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np
import pytest

import smelt
from smelt import nn, optim
from smelt.compiler.runtime import object_cache

Work = Callable[[], object]
has_signals = hasattr(signal, "setitimer") and hasattr(signal, "raise_signal")


class Thing:
    """What a program lets go."""


def by_finalizer(work: Work) -> None:
    class Final:
        def __del__(self) -> None:
            work()

    Final()


def by_collector(work: Work) -> None:
    class Final:
        def __init__(self) -> None:
            self.ring = self

        def __del__(self) -> None:
            work()

    Final()
    gc.collect()


def by_finalize(work: Work) -> None:
    thing = Thing()
    weakref.finalize(thing, work)
    del thing


def by_weak_reference(work: Work) -> None:
    thing = Thing()
    kept = weakref.ref(thing, lambda _: work())
    del thing
    assert kept() is None


def by_collector_callback(work: Work) -> None:
    def callback(phase: str, _: object) -> None:
        if phase == "stop":
            work()

    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)


def by_signal(work: Work) -> None:
    with handled(lambda number, frame: work()):
        signal.raise_signal(signal.SIGUSR1)


def by_any_arguments(work: Work) -> None:
    with handled(lambda *_: work()):
        signal.raise_signal(signal.SIGUSR1)


def by_method(work: Work) -> None:
    class Handler:
        def handle(self, number: int, frame: FrameType | None) -> None:
            work()

    with handled(Handler().handle):
        signal.raise_signal(signal.SIGUSR1)


def by_object(work: Work) -> None:
    class Handler:
        def __call__(self, number: int, frame: FrameType | None) -> None:
            work()

    with handled(functools.partial(Handler())):
        signal.raise_signal(signal.SIGUSR1)


def by_handler_that_takes_itself_away(work: Work) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        work()

    with handled(handle):
        signal.raise_signal(signal.SIGUSR1)


@contextmanager
def handled(handler: Callable[..., None]) -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


WAYS = [by_finalizer, by_collector, by_finalize, by_weak_reference, by_collector_callback]
if has_signals:
    WAYS += [by_signal, by_any_arguments, by_method, by_object, by_handler_that_takes_itself_away]


class Training:
    """A small training of its own: what an interruption does. Each step adds its loss."""

    def __init__(self, compiled: bool = False) -> None:
        self.weight = nn.Parameter(smelt.ones(3))
        self.opt = optim.Adam([self.weight], lr=0.1)
        self.losses: list[float] = []
        self.seen = smelt.zeros(())
        self.run = smelt.compile(self.step) if compiled else self.step

    def step(self) -> smelt.Tensor:
        with smelt.enable_grad():
            loss = ((self.weight * smelt.tensor([1.0, 2.0, 3.0]) - 5) ** 2).mean()
            self.opt.zero_grad()
            loss.backward()
            self.opt.step()
        self.seen.copy_(self.seen + 1)
        return loss

    def __call__(self) -> None:
        self.losses.append(self.run().item())

    def check(self) -> None:
        """The steps so far are those of a training that interrupted nothing."""
        other = Training()
        for _ in self.losses:
            other()
        assert self.losses
        assert self.seen.item() == len(self.losses)
        np.testing.assert_allclose(self.losses, other.losses, rtol=1e-5)
        np.testing.assert_allclose(self.weight.detach(), other.weight.detach(), rtol=1e-5)


def plain(x: smelt.Tensor, interrupt: Work) -> smelt.Tensor:
    y = x * 2
    interrupt()
    return y + x


def loop(x: smelt.Tensor, interrupt: Work) -> smelt.Tensor:
    def body(h: smelt.Tensor, row: smelt.Tensor) -> tuple[smelt.Tensor, smelt.Tensor]:
        interrupt()
        return h + row, h * row

    last, rows = smelt.scan(body, x[0], x)
    return rows.sum() + last


def branch(x: smelt.Tensor, interrupt: Work) -> smelt.Tensor:
    return smelt.cond(x.sum() > 0, lambda: plain(x, interrupt), lambda: x)


def examples(x: smelt.Tensor, interrupt: Work) -> smelt.Tensor:
    return smelt.vmap(lambda row: plain(row, interrupt))(x)


def gradient(x: smelt.Tensor, interrupt: Work) -> smelt.Tensor:
    return smelt.grad(lambda z: (plain(z, interrupt) ** 2).sum())(x)


PROGRAMS = [plain, loop, branch, examples, gradient]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("way", WAYS)
def test_what_interrupts_a_trace_is_no_part_of_it(way: Callable[[Work], None], program) -> None:
    x = smelt.tensor([[1.0, 2.0], [3.0, 4.0]])
    within = Training()
    step = smelt.compile(lambda x: program(x, lambda: way(within)))
    alone = smelt.compile(lambda x: program(x, lambda: None))
    for _ in range(3):
        assert step(x).tolist() == alone(x).tolist()
    within.check()
    states = step.executables.newest.traced.states
    assert not states


@pytest.mark.parametrize("way", WAYS)
def test_a_compiled_step_may_be_called_by_what_interrupts_a_trace(way) -> None:
    within = Training(compiled=True)
    step = smelt.compile(lambda x: plain(x, lambda: way(within)))
    assert step(smelt.ones(3)).tolist() == step(smelt.ones(3)).tolist() == [3, 3, 3]
    within.check()


def test_what_a_trace_calls_itself_is_part_of_it() -> None:
    count = smelt.zeros(())
    add = lambda *_: count.copy_(count + 1)  # noqa: E731  as handlers are

    @smelt.compile
    def step(x: smelt.Tensor) -> smelt.Tensor:
        add(1, None)
        add(weakref.ref(step))
        return x + 1

    for _ in range(3):
        step(smelt.ones(2))
    assert count.item() == 6


@contextmanager
def ticking(work: Work) -> Iterator[None]:
    """Within the block a timer's signal runs `work`, and again a millisecond after its end."""

    def handle(*_: object) -> None:
        work()
        if not over:
            signal.setitimer(signal.ITIMER_REAL, 0.001)

    over = False
    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        yield
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def tracing() -> None:
    x = smelt.ones(4)
    with smelt.settings(compile=True):
        step = smelt.compile(lambda x: smelt.exp(x) * time.perf_counter() * 0 + x.sum())
        assert step(x).tolist() == [4, 4, 4, 4]


def running() -> None:
    count = smelt.zeros(())
    step = smelt.compile(lambda: count.copy_(count + 1))
    step.repeat(3000)
    for _ in range(100):
        step()
    assert count.item() == 3100


def walking() -> None:
    w = smelt.ones(3, requires_grad=True)
    y = w
    for _ in range(200):
        y = y * 1.0 + w
    y.sum().backward()
    assert w.grad.tolist() == [201, 201, 201]
    assert smelt.grad(lambda v: (v**3).sum())(w).tolist() == [3, 3, 3]


def keeping() -> None:
    for number in range(20):
        payload = os.urandom(100_000)
        object_cache.write(f"{number:x}", payload)
        assert object_cache.read(f"{number:x}") in (payload, None)


@pytest.mark.skipif(not has_signals, reason="there are no timers")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("work", [tracing, running, walking, keeping])
def test_a_timer_interrupts_all_that_smelt_does(work, compiled, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SMELT_CACHE", str(tmp_path / "cache"))
    within = Training(compiled)
    within()
    end = time.perf_counter() + 0.4
    with ticking(within):
        while time.perf_counter() < end:
            work()
    within.check()
    assert len(within.losses) > 3


@pytest.mark.skipif(not has_signals, reason="there are no timers")
def test_a_timer_compiles_while_smelt_compiles(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SMELT_CACHE", str(tmp_path / "cache"))
    made = []

    def compile_another() -> None:
        factor = float(len(made))
        made.append(smelt.compile(lambda x: smelt.tanh(x) * factor)(smelt.zeros(2)).tolist())

    with ticking(compile_another):
        for number in range(4):
            step = smelt.compile(lambda x, number=number: (x @ x).sum() * number)
            assert step(smelt.ones(20, 20)).item() == 8000 * number
    assert made
    assert all(result == [0, 0] for result in made)


FIRST = """
import signal
import smelt

def handle(*_):
    global handled
    handled += 1
    assert smelt.compile(lambda x: (x @ x).sum())(large).item() == 300**3
    signal.setitimer(signal.ITIMER_REAL, 0.002)

large, handled = smelt.ones(300, 300), 0
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.002)
step = smelt.compile(lambda x: (x @ x).sum() * 2)
for count in (2, 3, 1, 2):
    with smelt.settings(threads=count):
        assert step(large).item() == 2 * 300**3
signal.setitimer(signal.ITIMER_REAL, 0)
assert handled
"""


@pytest.mark.skipif(not has_signals, reason="there are no timers")
def test_a_timer_interrupts_the_first_step_of_a_process(tmp_path) -> None:
    environment = {**os.environ, "SMELT_CACHE": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", FIRST], env=environment, timeout=100, check=True)


class Stopped(BaseException):
    """As KeyboardInterrupt, which a test runner would take for its own."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # in a __del__
@pytest.mark.skipif(not has_signals, reason="there are no timers")
def test_what_ctrl_c_breaks_off_can_be_called_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SMELT_CACHE", str(tmp_path / "cache"))
    model, x = nn.Linear(3, 2), smelt.ones(4, 3)
    right = model(x).sum().item()
    numbers = np.random.default_rng(0)

    def stop(*_: object) -> None:
        raise Stopped

    stopped = 0
    before = signal.signal(signal.SIGALRM, stop)
    try:
        for number in range(25):
            step = smelt.compile(lambda x, number=number: trained(model, x) + number)
            try:
                signal.setitimer(signal.ITIMER_REAL, numbers.uniform(0.0005, 0.06))
                try:
                    step(x)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Stopped:
                stopped += 1
            assert model.weight.grad is None
            assert (x + 1).sum().item() == 24
            assert step(x).item() == pytest.approx(right + number, rel=1e-5)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert stopped


def trained(model: nn.Linear, x: smelt.Tensor) -> smelt.Tensor:
    loss = model(x).sum()
    loss.backward()
    model.zero_grad()
    return loss


@pytest.mark.skipif(not has_signals, reason="there are no POSIX signals")
def test_ctrl_c_at_any_moment_leaves_no_lock_taken() -> None:
    total = smelt.zeros(())
    step = smelt.compile(lambda: total.copy_(total + 1))
    step()

    def handle(*_: object) -> None:
        raise KeyboardInterrupt

    before, heard = signal.signal(signal.SIGALRM, handle), 0
    try:
        for number in range(400):
            try:
                signal.setitimer(signal.ITIMER_REAL, 5e-5 + number * 1e-6)
                while True:
                    step()
            except KeyboardInterrupt:
                heard += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert heard == 400
    other = threading.Thread(target=step, daemon=True)
    other.start()
    other.join(60)
    assert not other.is_alive()
