"""`to_c`: a compiled function or training step as C99 source that needs no library."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smelt.atomic import replacing, writable_folder
from smelt.errors import FileError
from smelt.export.c_names import CParameter
from smelt.export.header_of_code import check_header
from smelt.export.sizes import sizes_text

if TYPE_CHECKING:
    from smelt.compiler.c.interface import Field
    from smelt.compiler.c.step import Files

__all__ = ["CExport", "CParameter", "to_c"]

Location = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class CExport:
    """What `to_c` wrote, and how much memory it needs.

    Attributes:
        header, source, report_file: paths of the files.
        flash: bytes of constant arrays by part: "parameters", "buffers", "constants" (also what
            follows from unchanged tensors), "initial values" of what changes. The code is not
            included: it depends on the compiler.
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
        return sizes_text(self, "exported to C", "flash, beside the code")


def to_c(
    step: Callable[..., Any], folder: Location, *example_inputs: Any, name: str = "net"
) -> CExport:
    """Writes a function or a training step as C99 source: NAME.h, NAME.c and a report, NAME.txt.

    The C code needs no library and no heap, and has no global variables. Everything that the step
    changes is in one structure:

        NAME_state state;
        NAME_init(&state);                                  // as it is now
        int code = NAME_step(&state, inputs, results);      // 0, or which check failed

    Captured tensors that the step does not change are constants in the C file, or what follows from
    them is: the factor of a batch normalization in place of its statistics. The operations are
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
        FileError: the files cannot be written there, or NAME.h belongs to an object file.

    Example:
        >>> import smelt, tempfile
        >>> from smelt import export
        >>> folder = tempfile.mkdtemp()
        >>> made = export.to_c(lambda x: smelt.tanh(x) * 2, folder, smelt.zeros(3), name="twice")
        >>> made.flops, made.ram
        (6, {})
    """
    # loaded when it is needed: the passes and the emitter
    from smelt.compiler.c.step import emit
    from smelt.export.traced_step import check_name, traced_step

    check_name("to_c", name)
    traced = traced_step("to_c", step, example_inputs)
    plain = traced.plain(name)
    made = emit(plain.step)
    arguments, results = plain.arguments, plain.results
    return _write(folder, name, made, plain.flops, arguments, results)


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
    check_header(paths[0], made.header)
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
