"""Chapter 4: reading data, and what speed costs."""

from smelt.book.chapter4 import blocks, comparison, loops, memory, normalize, sum_of_squares

__all__ = ["blocks", "comparison", "loops", "memory", "normalize", "sum_of_squares"]
