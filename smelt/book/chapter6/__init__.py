"""Chapter 6: doing several things at once."""

from smelt.book.chapter6 import figures, layers, loading, threads

__all__ = ["figures", "layers", "loading", "threads"]
