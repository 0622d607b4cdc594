"""Chapter 1: why a compiled language, and what Python can have of it."""

from smelt.book.chapter1 import problems, table

__all__ = ["problems", "table"]
