"""`to_c`: a compiled function or training step as C99 source that needs no library."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.atomic import replacing, writable_folder
from smelt.compiler.artifacts import Traced
from smelt.compiler.c.text import RESERVED
from smelt.compiler.frontend.signature import Call as Signature
from smelt.compiler.frontend.signature import flatten_call
from smelt.compiler.frontend.step import compile as compiled
from smelt.errors import ArgumentError, FileError
from smelt.export.c_names import (
    CParameter,
    argument_names,
    call_origins,
    result_names,
)
from smelt.export.collectives import check_no_collectives
from smelt.export.names import state_names
from smelt.ir.graph import Node
from smelt.ir.program import Program

if TYPE_CHECKING:
    from smelt.compiler.c.step import Array, Field, Files

__all__ = ["CExport", "CParameter", "to_c"]

Location = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class CExport:
    """What `to_c` wrote, and how much memory it needs.

    Attributes:
        header, source, report_file: paths of the files.
        flash: bytes of constant arrays by part: "parameters", "buffers", "constants", "initial
            values" of what changes. The code is not included: it depends on the compiler.
        ram: bytes of NAME_state by part: "parameters", "optimizer", "buffers", "generator",
            "other", "workspace".
        state_bytes: sizeof(NAME_state).
        stack_bytes: size of the arrays of the kernel that uses the most stack; a stack frame also
            holds some registers.
        flops: floating-point operations of one step; a multiply-add counts 2, an exp 1.
        arguments, results: the arguments of the C function, in order, after the state.
        fields: members of NAME_state: name in C, name of the tensor, dtype, shape, offset in bytes.
    """

    header: str
    source: str
    report_file: str
    name: str
    flash: dict[str, int]
    ram: dict[str, int]
    state_bytes: int
    stack_bytes: int
    flops: int
    arguments: tuple[CParameter, ...]
    results: tuple[CParameter, ...]
    fields: tuple[Field, ...]

    @property
    def report(self) -> str:
        """The sizes as text."""
        lines = [f"{self.name}: exported to C"]
        for title, parts in (("flash, beside the code", self.flash), ("RAM", self.ram)):
            lines.append(f"{title}: {sum(parts.values()):,} bytes")
            lines += [f"  {part:<16}{nbytes:>14,}" for part, nbytes in parts.items()]
        lines += [
            f"{self.name}_state: {self.state_bytes:,} bytes",
            f"largest arrays of one function on the stack: {self.stack_bytes:,} bytes",
            f"floating-point operations a step: {self.flops:,}",
        ]
        return "\n".join(lines) + "\n"


def to_c(
    step: Callable[..., Any], folder: Location, *example_inputs: Any, name: str = "net"
) -> CExport:
    """Writes a function or a training step as C99 source: NAME.h, NAME.c and a report, NAME.txt.

    The C code needs no library and no heap, and has no global variables. Everything that the step
    changes is in one structure:

        NAME_state state;
        NAME_init(&state);                                  // as it is now
        int code = NAME_step(&state, inputs, results);      // 0, or which check failed

    Captured tensors that the step does not change are constants in the C file. The operations are
    the same as in Python: elementwise results and random numbers have the same bits on every
    target; sums are added in a different order. Compile with optimization; with gcc,
    `-O3 -fno-math-errno -fno-trapping-math` vectorizes more loops.

    Args:
        step: a compiled function, a module, or a function, which is compiled.
        folder: the output folder; it is created if it does not exist, and files with these names
            are replaced.
        example_inputs: example arguments of the step; their shapes, dtypes and settings are those
            of the C function.
        name: of files and functions; an identifier of C.

    Returns:
        The paths, and how much flash, RAM and stack the step needs.

    Raises:
        ArgumentError: `step` is not a function, `name` is not an identifier, or the step consumes
            gradients that an earlier call left in .grad.
        CompileError: an operation has no C code; the message names it, the module and the line.
        FileError: the files cannot be written there.

    Example:
        >>> import smelt, tempfile
        >>> from smelt import export
        >>> folder = tempfile.mkdtemp()
        >>> made = export.to_c(lambda x: smelt.tanh(x) * 2, folder, smelt.zeros(3), name="twice")
        >>> made.flops, made.ram
        (6, {})
    """
    # loaded when it is needed: the passes and the emitter
    from smelt.compiler.c.schedule import schedule
    from smelt.compiler.c.step import Step, emit
    from smelt.compiler.pipeline import run_portable
    from smelt.ir.program import with_kernels

    _check_name(name)
    call, traced, function = _trace(step, example_inputs)
    named = state_names(traced, function)
    graph_names = {node: text for node, (text, _) in zip(traced.graph.states, named, strict=True)}
    planned, plain = run_portable(traced.graph, name, graph_names)
    program = with_kernels(plain, {kernel: schedule(kernel) for kernel in plain.kernels})
    origins = dict(call_origins(planned, program))
    updated = {old for old, _ in traced.graph.updates}
    arguments, results = argument_names(call, traced, function), result_names(traced)
    made = emit(
        Step(
            name,
            program,
            list(_states(traced, named, updated)),
            planned.constants,
            arguments,
            results,
            [check.message for check in traced.graph.assertions],
            origins,
        )
    )
    return _write(folder, name, made, _flops(plain), arguments, results)


def _check_name(name: str) -> None:
    is_one = isinstance(name, str) and re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)
    if not is_one or name in RESERVED:
        raise ArgumentError(f"to_c: name={name!r} is no identifier of C; use letters and digits")


def _trace(
    step: Callable[..., Any], inputs: tuple[Any, ...]
) -> tuple[Signature, Traced, Callable[..., Any]]:
    if not callable(step):
        raise ArgumentError(f"to_c needs a compiled function, got {type(step).__name__}")
    if not hasattr(step, "executables"):
        step = compiled(step)
    call = flatten_call(inputs, {})
    executables = step.executables  # type: ignore[attr-defined]
    traced = executables.traced(call)
    check_no_collectives("to_c", traced.graph)
    for grad in traced.gradients:
        if grad.entry is not None:
            raise ArgumentError(
                f"to_c: {executables.name} reads a .grad that an earlier call left; call "
                "zero_grad(), backward() and step() in one function"
            )
    return call, traced, getattr(step, "function", step)


def _states(
    traced: Traced, names: Sequence[tuple[str, str]], updated: set[Node]
) -> Iterator[Array]:
    from smelt.compiler.c.step import Array

    for node, tensor, (name, kind) in zip(traced.graph.states, traced.states, names, strict=True):
        contents = np.ascontiguousarray(tensor.stored)
        yield Array(name, contents, tensor.dtype, node in updated, kind)


def _flops(program: Program, times: int = 1) -> int:
    from smelt.compiler.report.cost import count
    from smelt.compiler.report.explain import calls

    return sum(count(call.kernel).operations * trips for _, call, trips in calls(program, times))


# --- files ----------------------------------------------------------------------------------------


def _write(
    folder: Location,
    name: str,
    made: Files,
    flops: int,
    arguments: Sequence[CParameter],
    results: Sequence[CParameter],
) -> CExport:
    """Writes the files, each whole or not at all, the header last: it says that all is there."""
    path = writable_folder(folder)
    paths = [path / f"{name}{ending}" for ending in (".h", ".c", ".txt")]
    for one in paths:
        if one.is_dir():
            raise FileError(f"{one}: cannot be written (it is a folder); choose another name")
    pairs = zip((*arguments, *results), made.names, strict=True)
    parameters = [one._replace(name=given) for one, given in pairs]
    header_path, source_path, report_path = map(str, paths)
    export = CExport(
        header_path,
        source_path,
        report_path,
        name,
        made.sizes.flash,
        made.sizes.ram,
        made.sizes.state,
        made.sizes.stack,
        flops,
        tuple(parameters[: len(arguments)]),
        tuple(parameters[len(arguments) :]),
        made.fields,
    )
    texts = (made.header, made.source, export.report)
    with replacing(paths[0]) as header, replacing(paths[1]) as source, replacing(paths[2]) as rest:
        for file, text in zip((header, source, rest), texts, strict=True):
            file.write_text(text, encoding="utf-8")
    return export
