"""Chapter 3: the ideas of the language primer, in Python: records, variants, results, ownership."""

from smelt.book.chapter3 import control, ownership, problems, records, results, values

__all__ = ["control", "ownership", "problems", "records", "results", "values"]
