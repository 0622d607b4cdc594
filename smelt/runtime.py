"""Runtime: runs libraries that `smelt.export.to_library` wrote.

Where there is no Smelt the same names are in `smelt_runtime`, which needs NumPy alone.
"""

from smelt_runtime import CheckError, Library, LibraryError, Parameter, load

__all__ = ["CheckError", "Library", "LibraryError", "Parameter", "load"]
