"""Native: the machine code of a program as a function, linked into this process, and called."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

from smelt.compiler.codegen import machine
from smelt.compiler.runtime import threads
from smelt.mpi.group import current
from smelt.mpi.native import SYMBOL, block

_RUN = ctypes.CFUNCTYPE(
    ctypes.c_int64,
    ctypes.c_void_p,  # table
    ctypes.c_int64,  # steps
    ctypes.c_void_p,  # advance
    ctypes.c_void_p,  # control
    ctypes.c_void_p,  # gathers
    ctypes.c_int64,  # gather_count
    ctypes.c_void_p,  # order
    ctypes.c_int64,  # batch
)
_RUN_BLOCK = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)


class Native:
    """A program's machine code, linked into this process; it is freed with this object.

    Args:
        code: the object code.
        is_parallel: whether it calls the thread pool.
        parameters: formulas of the numbers that it reads.
        key: under which the cache keeps the code, if it does.
        calls_mpi: whether it calls MPI.
    """

    def __init__(
        self,
        code: bytes,
        is_parallel: bool,
        parameters: Sequence[str] = (),
        key: str = "",
        calls_mpi: bool = False,
    ) -> None:
        self.is_parallel = is_parallel
        self.calls_mpi = calls_mpi
        self.parameters = parameters
        self.key = key
        imports = threads.symbols() if self.is_parallel else {}
        if calls_mpi:
            imports = {**imports, SYMBOL: block(current())}
        self._library = machine.load_object(code, ("run", "run_block"), imports)
        self._run = _RUN(self._library["run"])
        self._run_block = _RUN_BLOCK(self._library["run_block"])

    def run(
        self,
        table: int,
        steps: int,
        advance: int,
        control: int,
        gathers: int = 0,
        gather_count: int = 0,
        order: int = 0,
        batch: int = 0,
    ) -> int:
        """Runs steps; arguments are addresses and counts as `codegen/step.py` says.

        Returns 0, or what ended a step: `number + 1` of a check, or DISAGREE. The GIL is released
        meanwhile.
        """
        if self.is_parallel:
            threads.ready()
        return self._run(table, steps, advance, control, gathers, gather_count, order, batch)

    def bind(self, *arguments: int) -> Callable[[], int]:
        """Returns a function without arguments that does `run(*arguments)`, at half the cost.

        What the addresses point to may change between calls.
        """
        block = (ctypes.c_int64 * 8)(*arguments)
        run, address, ready = self._run_block, ctypes.addressof(block), threads.ready

        def call(_native: Native = self, _block: object = block) -> int:
            return run(address)

        def call_parallel() -> int:
            ready()
            return call()

        return call_parallel if self.is_parallel else call
