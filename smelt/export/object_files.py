"""`to_object`: a compiled function or training step as an object file, for any CPU of LLVM's."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smelt.atomic import replacing
from smelt.errors import ArgumentError, FileError
from smelt.export.c_names import CParameter
from smelt.export.header_of_code import OF_OBJECTS, check_header
from smelt.export.sizes import sizes_text

if TYPE_CHECKING:
    from smelt.compiler.c.interface import Field
    from smelt.export.object_code import MadeObject

__all__ = ["ObjectExport", "to_object"]

Location = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class ObjectExport:
    """What `to_object` wrote, and how much memory it needs.

    Attributes:
        object_file, header: paths of the files; header is "" if there is none.
        name: of the functions.
        target, cpu, features: what the code is for, in LLVM's words.
        flash: bytes by part: "code", and constant arrays: "parameters", "buffers", "constants",
            "initial values" of what changes.
        ram: bytes of NAME_state by part: "parameters", "optimizer", "buffers", "generator",
            "other", "workspace".
        state_bytes: sizeof(NAME_state).
        stack_bytes: size of the arrays of the kernel that uses the most stack; a stack frame also
            holds some registers.
        flops: floating-point operations of one step; a multiply-add counts 2, an exp 1.
        runtime_functions: functions of the compiler's own library (libgcc, compiler-rt) that the
            code calls, for arithmetic that the CPU has no instructions for.
        arguments, results: the arguments of the C function, in order, after the state.
        fields: members of NAME_state: name in C, name of the tensor, dtype, shape, offset in bytes.
    """

    object_file: str
    header: str
    name: str
    target: str
    cpu: str
    features: str
    flash: dict[str, int]
    ram: dict[str, int]
    state_bytes: int
    stack_bytes: int
    flops: int
    runtime_functions: tuple[str, ...]
    arguments: tuple[CParameter, ...]
    results: tuple[CParameter, ...]
    fields: tuple[Field, ...]

    @property
    def report(self) -> str:
        """The sizes as text."""
        called = ", ".join(self.runtime_functions) or "none"
        return sizes_text(
            self,
            f"object code for {self.target}, {self.cpu}",
            "flash",
            f"functions of the compiler's library that it calls: {called}",
        )


def to_object(
    step: Callable[..., Any],
    path: Location,
    *example_inputs: Any,
    target: str | None = None,
    cpu: str | None = None,
    features: str | None = None,
    header: bool = True,
    name: str | None = None,
) -> ObjectExport:
    """Writes a function or a training step as an object file, with the interface of `to_c`.

    The file is made by LLVM, in a process of its own. It has two functions, NAME_init and
    NAME_step, which the header beside it declares as `to_c` does, no variables, and it calls no
    C library. Code for x86-64 and aarch64 is that which Smelt runs itself, on one thread; code for
    others computes the same bits as the C source.

    Args:
        step: a compiled function, a module, or a function, which is compiled.
        path: of the object file; the header has the ending .h instead.
        example_inputs: example arguments of the step; their shapes, dtypes and settings are those
            of the C function.
        target: LLVM's name of the target: its first part is x86_64, aarch64, thumbv6m, thumbv7m,
            thumbv7em, thumbv8m.base, thumbv8m.main, riscv32, riscv64 or wasm32. By default, on
            Linux, this machine's.
        cpu: LLVM's name of a CPU; by default x86-64-v3, generic, cortex-m0, cortex-m3, cortex-m4,
            cortex-m23 or cortex-m33.
        features: LLVM's features, such as "+fp16"; by default those of the CPU; of riscv64
            "+m,+a,+f,+d,+c", of riscv32 "+m,+c", of wasm32 "+simd128".
        header: whether to write the header.
        name: of the functions; an identifier of C; by default the file's name without its ending.

    Returns:
        The paths, and how much flash, RAM and stack the step needs.

    Raises:
        ArgumentError: `step` is not a function, `name` is not an identifier, LLVM does not know
            the target, or the step consumes gradients that an earlier call left in .grad.
        CompileError: LLVM has no code for something; the message names target and construct.
        FileError: the files cannot be written there, or NAME.h belongs to C source.

    Example:
        >>> import smelt, tempfile
        >>> from smelt import export
        >>> path = tempfile.mkdtemp() + "/twice.o"
        >>> x = smelt.zeros(3)
        >>> made = export.to_object(lambda x: x * 2, path, x, target="thumbv7em-none-eabi")
        >>> made.name, made.cpu, made.ram, made.runtime_functions
        ('twice', 'cortex-m4', {}, ())
    """
    # loaded when it is needed: the passes and the emitter
    from smelt.export.object_code import made_object
    from smelt.export.object_targets import object_target
    from smelt.export.traced_step import check_name, traced_step

    file = Path(os.fsdecode(path))
    called = file.stem if name is None else name
    check_name("to_object", called)
    if file.suffix in (".h", ".c"):
        raise ArgumentError(f"to_object: {file}: {file.suffix} is an ending of C source; use .o")
    wanted = object_target("to_object", target, cpu, features)
    traced = traced_step("to_object", step, example_inputs)
    made = made_object(traced, called, wanted)
    kind = wanted.target
    export = _described(made, file, header, kind.triple, kind.cpu, kind.features)
    _write(made, export)
    return export


def _described(
    made: MadeObject, file: Path, header: bool, triple: str, cpu: str, features: str
) -> ObjectExport:
    from smelt.compiler.codegen.object_file import code_bytes

    interface, exported = made.interface, made.exported
    pairs = zip((*exported.arguments, *exported.results), interface.names, strict=True)
    parameters = [one._replace(name=given) for one, given in pairs]
    sizes, count = interface.sizes, len(exported.arguments)
    return ObjectExport(
        str(file),
        str(file.with_suffix(".h")) if header else "",
        interface.name,
        triple,
        cpu,
        features,
        {"code": code_bytes(made.code), **sizes.flash},
        sizes.ram,
        sizes.state,
        made.stack_bytes,
        exported.flops,
        made.runtime_functions,
        tuple(parameters[:count]),
        tuple(parameters[count:]),
        interface.fields,
    )


def _write(made: MadeObject, export: ObjectExport) -> None:
    """Writes the files, each whole or not at all, the header last: it says that all is there."""
    files = {export.object_file: made.code}
    if export.header:  # what is opened first is renamed last
        text = made.interface.header(f"{OF_OBJECTS}{export.target}")
        check_header(Path(export.header), text)
        files = {export.header: text.encode(), **files}
    for one in files:
        if Path(one).is_dir():
            raise FileError(f"{one}: cannot be written (it is a folder); choose another name")
    with ExitStack() as stack:
        for path, contents in files.items():
            stack.enter_context(replacing(path)).write_bytes(contents)
