"""Values between threads."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from smelt.data import Channel
from smelt.errors import ArgumentError, ChannelClosed, ChannelTimeout

SOON = 0.01  # seconds: what must not happen has not happened by then
LONG = 10.0  # seconds after which a test has failed


def beside(function: object, *arguments: object) -> threading.Thread:
    """Starts a function in a thread; a test that fails leaves none that keeps Python alive."""
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def over(*threads: threading.Thread) -> bool:
    for thread in threads:
        thread.join(LONG)
    return not any(thread.is_alive() for thread in threads)


def test_values_arrive_in_order_until_the_end() -> None:
    channel: Channel[int] = Channel(2)

    def produce() -> None:
        with channel:
            for number in range(100):
                channel.send(number)

    thread = beside(produce)
    assert list(channel) == list(range(100))
    assert over(thread)


def test_a_full_channel_lets_the_sender_wait() -> None:
    channel: Channel[int] = Channel(2)
    sent = []

    def produce() -> None:
        for number in range(4):
            channel.send(number)
            sent.append(number)

    thread = beside(produce)
    thread.join(SOON)
    assert len(sent) <= 2
    assert [channel.receive(LONG) for _ in range(4)] == [0, 1, 2, 3]
    assert over(thread)
    assert sent == [0, 1, 2, 3]


def test_a_closed_channel_refuses_and_empties() -> None:
    channel: Channel[str] = Channel(3)
    channel.send("a")
    channel.send("b")
    channel.close()
    channel.close()
    assert channel.closed
    assert len(channel) == 2
    with pytest.raises(ChannelClosed, match="send"):
        channel.send("c")
    assert list(channel) == ["a", "b"]
    with pytest.raises(ChannelClosed, match="receive"):
        channel.receive()
    assert list(channel) == []


def test_patience_ends() -> None:
    channel: Channel[int] = Channel(1)
    with pytest.raises(ChannelTimeout, match="stayed empty for 0.01 s"):
        channel.receive(SOON)
    channel.send(1)
    with pytest.raises(ChannelTimeout, match=r"stayed full \(1 values\)"):
        channel.send(2, timeout=SOON)
    assert channel.receive(0) == 1
    with pytest.raises(TimeoutError):
        channel.receive(0)


def test_closing_wakes_who_waits() -> None:
    empty: Channel[int] = Channel(1)
    full: Channel[int] = Channel(1)
    full.send(0)
    woken = []

    def wait(act: object, *arguments: object) -> None:
        try:
            act(*arguments)
        except ChannelClosed:
            woken.append(act)

    threads = [beside(wait, empty.receive), beside(wait, empty.receive), beside(wait, full.send, 1)]
    threads[-1].join(SOON)
    assert woken == []
    empty.close()
    full.close()
    assert over(*threads)
    assert len(woken) == 3


def test_the_error_of_a_sender_arrives_after_what_it_sent() -> None:
    channel: Channel[int] = Channel(5)

    def produce() -> None:
        with channel:
            channel.send(1)
            raise LookupError("no more batches")

    with pytest.raises(LookupError):
        produce()
    assert channel.receive() == 1
    for _ in range(2):
        with pytest.raises(LookupError, match="no more batches") as caught:
            list(channel)
        assert "produce" in [entry.name for entry in caught.traceback]


def test_a_closed_channel_keeps_its_end() -> None:
    channel: Channel[int] = Channel(1)
    channel.close()
    channel.close(LookupError("too late"))
    assert list(channel) == []


@settings(max_examples=25, deadline=None)
@given(
    capacity=some.integers(1, 5),
    counts=some.lists(some.integers(0, 30), min_size=1, max_size=4),
    receivers=some.integers(1, 4),
)
def test_every_value_is_received_once(capacity: int, counts: list[int], receivers: int) -> None:
    channel: Channel[tuple[int, int]] = Channel(capacity)
    got: list[list[tuple[int, int]]] = [[] for _ in range(receivers)]

    def send(sender: int) -> None:
        for number in range(counts[sender]):
            channel.send((sender, number))

    senders = [beside(send, sender) for sender in range(len(counts))]
    takers = [beside(taken.extend, channel) for taken in got]
    assert over(*senders)
    channel.close()
    assert over(*takers)
    sent = [(sender, n) for sender, count in enumerate(counts) for n in range(count)]
    assert Counter(value for taken in got for value in taken) == Counter(sent)
    for taken in got:
        for sender in range(len(counts)):
            numbers = [number for who, number in taken if who == sender]
            assert numbers == sorted(numbers)


@pytest.mark.parametrize("capacity", [0, -1, 1.5, None])
def test_a_channel_that_holds_nothing_is_refused(capacity: object) -> None:
    with pytest.raises(ArgumentError, match="Channel: capacity"):
        Channel(capacity)
