"""Chapter 7: convolution, recurrence, memory."""

from smelt.book.chapter7 import rnn

__all__ = ["rnn"]
