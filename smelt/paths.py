"""Where Smelt keeps what can be made or fetched again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from smelt.errors import FileError

__all__ = ["cache"]


def cache() -> Path:
    """Returns the folder: `SMELT_CACHE`, or `smelt` in the platform's folder for user caches.

    Raises FileError when none is named, and the user has no home folder.
    """
    given = os.environ.get("SMELT_CACHE")
    if given:
        return Path(given)
    base: str | Path
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = _home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):  # which is to be ignored, says its specification
            base = _home() / ".cache"
    return Path(base) / "smelt"


def _home() -> Path:
    try:
        home = Path.home()
    except RuntimeError:  # HOME is not set, and the system does not know the user
        home = Path()
    if not home.is_absolute():  # HOME is a relative path
        raise FileError("the user has no home folder; name a folder in SMELT_CACHE")
    return home
