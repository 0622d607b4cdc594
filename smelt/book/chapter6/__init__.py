"""Chapter 6: doing several things at once."""

from smelt.book.chapter6 import evaluation, figures, layers, loading, logs, threads

__all__ = ["evaluation", "figures", "layers", "loading", "logs", "threads"]
