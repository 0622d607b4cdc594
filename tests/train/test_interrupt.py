"""Ctrl-C waits for what belongs together."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from smelt.train.interrupt import uninterrupted


def test_the_block_ends_before_ctrl_c_is_heard() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        done.append("all of it")
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_ctrl_c_nothing_happens() -> None:
    with uninterrupted():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_leaves_the_block() -> None:
    with pytest.raises(ZeroDivisionError), uninterrupted():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_do_not_touch_the_signal() -> None:
    found = []

    def work() -> None:
        with uninterrupted():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


def test_signals_are_heard_though_another_interrupts_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    restored, heard = [], []
    handler = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    set_handler = signal.signal

    def interrupted(number: int, new: Any) -> Any:
        restored.append(set_handler(number, new))
        if len(restored) == 3:  # SIGINT has its handler again, SIGTERM has not
            signal.raise_signal(signal.SIGINT)
        return restored[-1]

    try:
        with monkeypatch.context() as patch:
            patch.setattr(signal, "signal", interrupted)
            with pytest.raises(KeyboardInterrupt), uninterrupted():
                pass
        signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)
