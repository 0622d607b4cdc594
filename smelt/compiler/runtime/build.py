"""Build: a program becomes its native function, compiled now or taken from the cache."""

from __future__ import annotations

from smelt.compiler.codegen import machine
from smelt.compiler.codegen.kernel import emit, emitted
from smelt.compiler.runtime import object_cache, threads
from smelt.compiler.runtime.native import Native
from smelt.ir.program import Program, collectives, runs_in_parallel
from smelt.ir.show import program_text
from smelt.ir.verify import verify_program


def build(program: Program) -> Native:
    """Returns a program's native function.

    A program that is not in the cache is verified before it is compiled, at 1 to 2 % of that time:
    a bug in a rewrite is then an error, and not a wrong number.

    Raises CompileError when a kernel is not well formed or has no machine code.
    """
    fact = f"threads {threads.available}"
    formulas: list[str] = []
    if program.is_dynamic:
        written, formulas = text_and_parameters(program)
        code = object_cache.compiled(written, fact)
    else:
        written = program_text(program)
        code = object_cache.compiled(written, fact, emit=lambda _: _verified(program))
    key = object_cache.code_key(written, fact)
    return Native(code, is_parallel(program), formulas, key, bool(collectives(program)))


def is_parallel(program: Program) -> bool:
    """Returns whether a program's code calls the thread pool."""
    return threads.available and runs_in_parallel(program)


def _verified(program: Program) -> str:
    verify_program(program)
    return text(program)


def text(program: Program) -> str:
    """Returns the LLVM text of a program, as it is before LLVM's passes."""
    return emit(program, threads=threads.available)


def text_and_parameters(program: Program) -> tuple[str, list[str]]:
    """Returns the LLVM text of a program for any length, and the formulas of its parameters."""
    module = emitted(program, threads=threads.available)
    return str(module), [name[3:-2] for name in module.parameters]


def assembly(program: Program) -> str:
    """Returns the machine code of a program, as assembly."""
    return machine.assembly(text(program))
