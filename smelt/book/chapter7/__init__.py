"""Chapter 7: convolution, recurrence, memory."""

from smelt.book.chapter7 import (
    cats,
    choice,
    cnn,
    convolution,
    figures,
    lstm,
    memory,
    mnist,
    next_value,
    rnn,
    smoothing,
    through_time,
)

__all__ = [
    "cats",
    "choice",
    "cnn",
    "convolution",
    "figures",
    "lstm",
    "memory",
    "mnist",
    "next_value",
    "rnn",
    "smoothing",
    "through_time",
]
