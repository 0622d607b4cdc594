"""The sizes of a core's caches, from the system or from SMELT_CACHES."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from smelt.errors import ArgumentError

GIVEN = "SMELT_CACHES"  # such as 32K,512K: the first and the second cache of a core
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}
_LINUX = Path("/sys/devices/system/cpu/cpu0/cache")
_MACS = ("hw.perflevel0.l1dcachesize", "hw.perflevel0.l2cachesize"), (
    "hw.l1dcachesize", "hw.l2cachesize",
)  # fmt: skip


def cache_sizes(folder: Path = _LINUX) -> tuple[int, int] | None:
    """Returns the bytes of a core's first and second data cache; None if unknown.

    Raises ArgumentError when SMELT_CACHES is set and is not two sizes.
    """
    given = os.environ.get(GIVEN)
    if given is not None:
        sizes = [_bytes(part) for part in given.split(",")]
        if len(sizes) != 2 or not all(sizes):
            raise ArgumentError(
                f"{GIVEN}={given}: write two sizes, of the first and the second cache of a core, "
                f"such as 32K,512K"
            )
        return sizes[0], sizes[1]
    if sys.platform == "darwin":
        return _of_mac()
    found = dict(_of_linux(folder))
    return (found[1], found[2]) if found.keys() >= {1, 2} else None


def _bytes(text: str) -> int:
    """Returns the bytes of a size such as 48K or 2M; 0 if the text is not a size."""
    match = re.fullmatch(r"([0-9]{1,9})([KM]?)", text.strip())
    return int(match[1]) * _UNITS[match[2]] if match else 0


def _of_linux(folder: Path) -> Iterator[tuple[int, int]]:
    """Yields the level and the bytes of each data cache, if the system's files tell them."""
    for cache in sorted(folder.glob("index*")):
        try:
            level, kind, size = (
                (cache / name).read_text().strip() for name in ("level", "type", "size")
            )
        except OSError:  # containers may hide some of them
            continue
        if kind in ("Data", "Unified") and level.isdecimal() and _bytes(size):
            yield int(level), _bytes(size)


def _of_mac() -> tuple[int, int] | None:
    for names in _MACS:
        command = ["/usr/sbin/sysctl", "-n", *names]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        sizes = [_bytes(line) for line in ran.stdout.split()]
        if ran.returncode == 0 and len(sizes) == 2 and all(sizes):
            return sizes[0], sizes[1]
    return None
