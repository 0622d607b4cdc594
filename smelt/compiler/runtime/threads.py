"""The pool of threads that parallel kernels run on.

Workers are Python daemon threads that enter the native loop of `pool.py` and stay there without
the GIL. They start with the first program that needs them; a child process made by fork starts its
own. Without POSIX threads everything runs on the calling thread, and `threads()` says 1.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from smelt.compiler.codegen import machine
from smelt.compiler.codegen.step import POOL
from smelt.compiler.runtime import object_cache as cache
from smelt.compiler.runtime.pool import EXPORTS, pool_text
from smelt.errors import ArgumentError
from smelt.locks import reentrant_lock
from smelt.mpi.launch import launched_here
from smelt.settings import current

SPIN_SECONDS = 30e-6  # for which an idle worker looks for a job before it parks
_SPINS = 20_000  # spins that are timed, to know how many take as long

available: Final = os.name == "posix"


class _Pool:
    """The native pool of this process, and the Python threads that work in it."""

    def __init__(self) -> None:
        code = cache.compiled(pool_text(machine.host().triple))
        self.library = machine.load_object(code, EXPORTS)
        self.workers: list[threading.Thread]
        self.spin_budget = self.spins()
        self.prepare()

    def function(self, name: str) -> Callable[..., None]:
        """Returns an exported function that takes int64s."""
        address = self.library[name]
        return lambda *numbers: ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(numbers))(address)(
            *numbers
        )

    def spins(self) -> int:
        """Returns how many spins take `SPIN_SECONDS` on this CPU."""
        spin, best = self.function("smelt_spin"), float("inf")
        for _ in range(3):
            start = time.perf_counter()
            spin(_SPINS)
            best = min(best, time.perf_counter() - start)
        return max(1, int(SPIN_SECONDS * _SPINS / best))

    def prepare(self) -> None:
        """Resets the native state, when no worker is in it."""
        self.workers = []
        self.function("smelt_prepare")(self.spin_budget)

    def start(self, count: int) -> None:
        """Starts `count` workers."""
        self.function("smelt_start")(count)
        work = self.function("smelt_worker")
        for number in range(count):
            name = f"smelt worker {number + 1}"
            self.workers.append(
                threading.Thread(target=work, args=(number,), name=name, daemon=True)
            )
            self.workers[-1].start()

    def stop(self) -> None:
        """Ends the workers, after the chunks that they are in."""
        self.function("smelt_stop")()
        for worker in self.workers:
            worker.join()
        self.workers = []


_lock = reentrant_lock()  # a signal handler may start workers while they are started
_pool: _Pool | None = None
_wanted: int | None = None  # threads, if they were set
_asked: int | None = None  # what the settings said when the workers were started
_started = False
_is_busy = False  # starting workers
_over = False  # the program ends: what still runs, runs without workers


def threads() -> int:
    """Returns how many threads a parallel kernel runs on, the caller's included."""
    if not available:
        return 1
    if current.threads is not None:
        return current.threads
    return _wanted if _wanted is not None else _default()


def set_threads(count: int) -> None:
    """Sets how many threads a parallel kernel runs on, the caller's included.

    Results do not depend on it. A step that another thread runs meanwhile continues without
    workers.

    Raises ArgumentError unless `count` is a whole number of at least 1.
    """
    global _wanted, _started
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ArgumentError(f"set_threads({count!r}): give a whole number of threads, at least 1")
    with _lock:
        _wanted = count
        if _started and _pool is not None:
            _pool.stop()
            _pool.start(threads() - 1)


def ready() -> None:
    """Starts the workers unless as many run as the settings say; cheap when they do."""
    if not _started or current.threads != _asked:
        _start()


def symbols() -> dict[str, int]:
    """Returns the addresses of the functions that a program with parallel kernels calls."""
    ready()
    assert _pool is not None
    return {name: _pool.library[name] for name in POOL}


def _default() -> int:
    given = os.environ.get("SMELT_THREADS")
    if given is None:
        return max(1, machine.cores() // launched_here())  # ranks of one program share the machine
    if not given.isdecimal() or int(given) < 1:
        raise ArgumentError(f"SMELT_THREADS={given}: give a whole number of threads, at least 1")
    return int(given)


def _start() -> None:
    global _asked, _is_busy, _pool, _started
    with _lock:
        if _started and current.threads == _asked:
            return  # another thread was faster
        made = _pool or _Pool()
        _pool = pool = _pool or made  # unless what interrupted this was faster
        if _over or _is_busy:
            return  # what interrupts a start runs without workers
        _is_busy = True
        try:
            if _started:
                pool.stop()
            _asked = current.threads
            pool.start(threads() - 1)
            _started = True
        finally:
            _is_busy = False


def _stop() -> None:
    """Runs at exit: native code must not be running when LLVM gives its memory back."""
    global _over, _started
    with _lock:
        _over = True
        if _started and _pool is not None:
            _pool.stop()
            _started = False


def _forget() -> None:
    """Runs in the child of a fork, which has none of the threads, nor their unfinished jobs."""
    global _is_busy, _started
    _is_busy = _started = False
    if _pool is not None:
        _pool.prepare()


atexit.register(_stop)
if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget)
