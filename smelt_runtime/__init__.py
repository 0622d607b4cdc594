"""Runs what `smelt.export.to_library` wrote, with NumPy alone: no compiler, and no Smelt.

    from smelt_runtime import load

    digits = load("digits.smeltlib")
    scores = digits(image)

A library is machine code. Load only what you would run as a program.
"""

from smelt_runtime.errors import CheckError, LibraryError
from smelt_runtime.library import Library, load
from smelt_runtime.library_file import Parameter

__all__ = ["CheckError", "Library", "LibraryError", "Parameter", "load"]
