"""Blocks: what holds within them ends with them, whatever interrupts them."""

from __future__ import annotations

import gc
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

import smelt
from smelt import dual, nn
from smelt.autodiff.record import expected_zeros
from smelt.block import Block
from smelt.ir.graph import Derivative, Origin
from smelt.location import computed_again, running
from smelt.settings import settings
from smelt.tracing.engine import EAGER, Eager, context, in_place_of_eager, using

has_timers = hasattr(signal, "setitimer")


class Place(threading.local):
    number = 0
    word = "first"


place = Place()


def block() -> Block:
    return Block(place, number=place.number + 1, word="second")


def within(make: Callable[[], AbstractContextManager[Any]]) -> Callable[[], object]:
    def run() -> None:
        with make():
            pass

    return run


layer = nn.Linear(2, 2)
row = smelt.ones(1, 2)
RULE = Derivative("backward", "mul", Origin("train.py:3"))
RUNS: dict[str, Callable[[], object]] = {
    "no_grad": within(smelt.no_grad),
    "no_grad as decorator": smelt.no_grad()(lambda: None),
    "enable_grad": within(smelt.enable_grad),
    "settings": within(lambda: settings(compile=False, threads=2)),
    "check_nan": within(lambda: settings(check_nan=True)),
    "count_overflow": within(smelt.count_overflow),
    "using": within(lambda: using(Eager())),
    "in_place_of_eager": within(lambda: in_place_of_eager(Eager())),
    "computed_again": within(lambda: computed_again("train.py:1", "net", RULE)),
    "expected_zeros": within(expected_zeros),
    "dual": lambda: dual.diff(lambda x: x, 1.0),
    "module": lambda: layer(row),
    "backward": lambda: layer(row).sum().backward(),
}


def state() -> tuple[Any, ...]:
    switches = settings.get(), context.engine is EAGER, context.began, context.grad_enabled
    return (*switches, list(running.modules), running.line, running.derivative, vars(dual._running))


class Interruption(BaseException):
    """What the handler raises, as that of Ctrl-C does."""


def interrupted(run: Callable[[], object]) -> None:
    """Runs a function again and again until a signal interrupts it, at any moment; or for a while,
    where a finalizer was running then, whose exceptions Python drops.
    """
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 2e-4))
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            run()
    except Interruption:
        pass


@pytest.mark.skipif(not has_timers, reason="needs signals that a timer sends")
@pytest.mark.parametrize("name", RUNS)
def test_an_interruption_at_any_moment_leaves_nothing_behind(name: str) -> None:
    def handle(*_: object) -> None:
        raise Interruption

    RUNS[name]()  # what is loaded when it is first needed is there now
    first = state()
    handler = signal.signal(signal.SIGALRM, handle)
    gc.disable()  # what it calls, such as the callbacks of others, drops exceptions with a warning
    try:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            interrupted(RUNS[name])
            assert state() == first
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        gc.enable()


def test_one_block_can_be_entered_within_itself() -> None:
    same = block()
    with same, same:
        assert (place.number, place.word) == (1, "second")
        with same:
            pass
        assert place.number == 1
    assert (place.number, place.word) == (0, "first")


def test_a_block_ends_by_hand_and_by_a_stack_too() -> None:
    same = block()
    same.__enter__()
    assert place.number == 1
    same.__exit__(None, None, None)
    assert place.number == 0
    with ExitStack() as stack:
        stack.enter_context(block())
        stack.enter_context(block())
        assert place.number == 2
    assert place.number == 0


def test_an_error_passes_the_end() -> None:
    with pytest.raises(ZeroDivisionError), block():
        raise ZeroDivisionError
    assert place.number == 0


def test_threads_that_share_a_block_have_values_of_their_own() -> None:
    same = block()
    found: list[int] = []

    def work() -> None:
        with same:
            inside.set()
            left.wait(10)
            found.append(place.number)
        found.append(place.number)

    inside, left = threading.Event(), threading.Event()
    thread = threading.Thread(target=work)
    with same:
        thread.start()
        assert inside.wait(10)
    assert place.number == 0
    left.set()
    thread.join()
    assert found == [1, 0]


def test_what_ends_in_another_thread_ends_where_it_began() -> None:
    def numbers() -> Iterator[int]:
        with block():
            yield place.number

    suspended = numbers()
    assert next(suspended) == 1
    thread = threading.Thread(target=lambda: list(suspended))
    thread.start()
    thread.join()
    assert place.number == 0


def test_a_block_that_begins_between_the_two_steps_of_another_is_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a signal handler that comes after `with` asked for `__exit__`, before `__enter__`."""
    begin = Block.__enter__

    def interrupted(self: Block) -> None:
        monkeypatch.setattr(Block, "__enter__", begin)
        with block():
            assert place.number == 1
        begin(self)

    outer = Block(place, word="outer")
    monkeypatch.setattr(Block, "__enter__", interrupted)
    with outer:
        assert (place.number, place.word) == (0, "outer")
    assert place.word == "first"


def test_settings_of_gradients_end_with_their_block() -> None:
    with smelt.set_grad_enabled(False):
        assert not smelt.is_grad_enabled()
        smelt.set_grad_enabled(True)
    assert smelt.is_grad_enabled()
    with smelt.no_grad():
        smelt.set_grad_enabled(True)
    assert smelt.is_grad_enabled()
