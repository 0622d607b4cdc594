"""Chapter 7: convolution, recurrence, memory."""

from smelt.book.chapter7 import cats, cnn, convolution, figures, lstm, memory, mnist, rnn, smoothing

__all__ = [
    "cats", "cnn", "convolution", "figures", "lstm", "memory", "mnist", "rnn", "smoothing",
]  # fmt: skip
