"""The processor: which one this is, what it can do, and memory from which it runs code."""

from __future__ import annotations

import ctypes
import mmap
import platform
import re
import sys
from collections.abc import Sequence

from smelt_runtime.errors import LibraryError

_PROT_READ, _PROT_EXEC = 1, 4
_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)


def check_processor(machine: str, cpu: str, needs: Sequence[str], name: str) -> None:
    """Raises LibraryError unless this processor has what code needs."""
    if sys.platform != "linux":
        raise LibraryError(f"{name}: libraries run on Linux; this is {sys.platform}")
    here = platform.machine()
    if machine != here:
        raise LibraryError(f"{name}: is for {machine}, and this processor is {here}")
    able = features()
    missing = [one for one in needs if one not in able]
    if missing:
        raise LibraryError(
            f"{name}: is for {cpu}, and this processor lacks {', '.join(missing)}; export it for "
            "an older one: to_library(..., cpu=...)"
        )


def features() -> frozenset[str]:
    """Returns what Linux says that every processor of this machine can do.

    Raises LibraryError when it says nothing.
    """
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as problem:
        raise LibraryError(f"/proc/cpuinfo cannot be read ({problem.strerror})") from None
    each = re.findall(r"^(?:flags|Features)\s*:(.*)$", text, re.M)
    if not each:
        raise LibraryError("/proc/cpuinfo does not say what this processor can do")
    return frozenset.intersection(*[frozenset(line.split()) for line in each])


class Code:
    """Machine code in memory of its own, which is freed with this object.

    The memory can be written until the code is there, and executed afterwards, never both.

    Args:
        code: its bytes, which may lie anywhere.
        entry: where its function `int(void **)` begins.
    """

    def __init__(self, code: bytes, entry: int) -> None:
        self._memory = mmap.mmap(
            -1, len(code), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE
        )
        self._memory[:] = code
        self._start = ctypes.c_char.from_buffer(self._memory)
        address = ctypes.addressof(self._start)
        library = ctypes.CDLL(None, use_errno=True)
        library.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        if library.mprotect(address, len(code), _PROT_READ | _PROT_EXEC):
            raise LibraryError(
                ctypes.get_errno(), "the system does not let this process run code from memory"
            )
        self._function = _FUNCTION(address + entry)

    def run(self, addresses: int) -> int:
        """Calls the function with the address of a block of addresses; the GIL is released."""
        return self._function(addresses)
