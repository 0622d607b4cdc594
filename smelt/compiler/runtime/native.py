"""A program as a native function: emitted, compiled or taken from the cache, linked, and called."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

from smelt.compiler.codegen import machine
from smelt.compiler.codegen.kernel import emit, emitted
from smelt.compiler.runtime import object_cache, threads
from smelt.ir.program import Program
from smelt.ir.show import program_text
from smelt.ir.verify import verify_program

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
    """A program's machine code, linked into this process; it is freed with this object."""

    def __init__(self, program: Program, code: bytes, parameters: Sequence[str] = ()) -> None:
        self.program = program
        self.parameters = parameters  # formulas of the numbers that the code reads
        self.code = code
        self.is_parallel = threads.available and any(part.parallel for part in program.kernels)
        imports = threads.symbols() if self.is_parallel else {}
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

        Returns 0, or `number + 1` of the check that ended a step. The GIL is released meanwhile.
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


def build(program: Program) -> Native:
    """Returns a program's native function.

    What the cache does not have is verified before it is compiled, at 1 to 2 % of the time that
    takes: a slip of a rewrite is an error then, and not a wrong number.

    Raises CompileError when a kernel is not well formed or says what has no machine code.
    """
    fact = f"threads {threads.available}"
    if program.is_dynamic:
        written, formulas = text_and_parameters(program)
        return Native(program, object_cache.compiled(written, fact), formulas)
    code = object_cache.compiled(program_text(program), fact, emit=lambda _: _verified(program))
    return Native(program, code)


def _verified(program: Program) -> str:
    verify_program(program)
    return text(program)


def text(program: Program) -> str:
    """Returns the LLVM text of a program, as it is before LLVM's passes."""
    return emit(program, threads=threads.available)


def text_and_parameters(program: Program) -> tuple[str, list[str]]:
    """Returns the LLVM text of a program for any length, and the formulas of its parameters."""
    module = emitted(program, threads=threads.available)
    return str(module), [name[2:-1] for name in module.parameters]


def assembly(program: Program) -> str:
    """Returns the machine code of a program as a person reads it."""
    return machine.assembly(text(program))
