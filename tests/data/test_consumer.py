"""A thread that handles what is sent to it."""

from __future__ import annotations

import threading

import pytest

import smelt
from smelt.data.consumer import Consumer
from smelt.errors import ChannelClosed

LONG = 10.0  # seconds after which a test has failed


def test_values_are_handled_in_order_and_the_end_comes_last() -> None:
    seen: list[object] = []
    consumer = Consumer(seen.append, 2, "test", lambda: seen.append("end"))
    for number in range(50):
        assert consumer.send(number)
    consumer.close()
    assert seen == [*range(50), "end"]


def test_flush_waits_for_everything() -> None:
    seen: list[int] = []
    go_on = threading.Event()

    def handle(value: int) -> None:
        assert go_on.wait(LONG)
        seen.append(value)

    consumer = Consumer(handle, 4, "test")
    for number in range(3):
        consumer.send(number)
    threading.Timer(0.01, go_on.set).start()
    consumer.flush()
    assert seen == [0, 1, 2]
    consumer.close()


def test_after_a_failure_nothing_more_is_handled() -> None:
    seen: list[int] = []

    def handle(value: int) -> None:
        seen.append(value)
        if value == 1:
            raise LookupError("one")

    ends: list[str] = []
    consumer = Consumer(handle, 9, "test", lambda: ends.append("end"))
    consumer.send(0)
    consumer.send(1)
    for act in (consumer.flush, consumer.close, consumer.close, lambda: consumer.send(2)):
        with pytest.raises(LookupError, match="one"):
            act()
    assert (seen, ends) == ([0, 1], ["end"])


def test_a_full_consumer_can_be_left_alone() -> None:
    go_on = threading.Event()
    consumer = Consumer(lambda value: go_on.wait(LONG), 1, "test")
    consumer.send(0)
    while not consumer.send(1, wait=False):
        pass  # until the thread has taken the first
    assert not consumer.send(2, wait=False)
    go_on.set()
    consumer.close()
    with pytest.raises(ChannelClosed):
        consumer.send(3)


def test_the_thread_has_the_settings_of_who_made_it() -> None:
    seen: list[bool] = []
    with smelt.settings(compile=False):
        consumer = Consumer(lambda _: seen.append(smelt.settings.current.compile), 1, "test")
    consumer.send(None)
    consumer.close()
    assert seen == [False]
