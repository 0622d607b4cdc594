"""Engines: whoever computes an operation, now by NumPy or later by writing a graph."""
