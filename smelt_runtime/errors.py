"""The errors of libraries."""

from __future__ import annotations

__all__ = ["CheckError", "LibraryError"]


class LibraryError(OSError):
    """A library file that is missing or damaged, or that this machine cannot run."""


class CheckError(ValueError):
    """Data that a step refused, such as a label that is no class; nothing was changed.

    `code` is the number of the check, from 1.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type, tuple[str, int]]:
        return type(self), (str(self), self.code)
