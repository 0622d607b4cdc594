"""`to_wasm`: a compiled function or training step as WebAssembly, for browsers and Node."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smelt.atomic import replacing, writable_folder
from smelt.errors import FileError
from smelt.export.c_names import CParameter

if TYPE_CHECKING:
    from smelt.export.wasm.modules import Placed, WasmStep

__all__ = ["WasmExport", "to_wasm"]

Location = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class WasmExport:
    """What `to_wasm` wrote.

    Attributes:
        module, scalar_module: paths of the modules with SIMD and without.
        script: path of the ES module that loads and calls them.
        types: path of its types for TypeScript.
        name: of the step.
        code_bytes: bytes of the code of the module with SIMD, without the tensors.
        memory_bytes: bytes of memory that a loaded step takes.
        state_bytes: bytes of its state: tensors and temporaries.
        flops: floating-point operations of one step; a multiply-add counts 2, an exp 1.
        arguments, results, tensors: what it is called with, in order, what it returns, and what its
            state holds.
    """

    module: str
    scalar_module: str
    script: str
    types: str
    name: str
    code_bytes: int
    memory_bytes: int
    state_bytes: int
    flops: int
    arguments: tuple[CParameter, ...]
    results: tuple[CParameter, ...]
    tensors: tuple[CParameter, ...]


def to_wasm(
    step: Callable[..., Any], folder: Location, *example_inputs: Any, name: str = "net"
) -> WasmExport:
    """Writes a function or a training step as WebAssembly that browsers and Node run.

    There are four files: NAME.wasm, whose code has vectors (SIMD of 128 bits), NAME.scalar.wasm for
    engines without them, NAME.js, an ES module that loads one of both and calls it with typed
    arrays, and NAME.d.ts, its types:

        import { load } from "./NAME.js";
        const net = await load();
        const loss = net.step(images, labels);   // what it changes, it keeps
        const weights = net.stateDict();         // by name; loadStateDict sets them

    The modules have all tensors that the step captured, as they are now, and import nothing. They
    compute what the C code of `to_c` does, with the same bits. No linker is needed.

    Args:
        step: a compiled function, a module, or a function, which is compiled.
        folder: the output folder; it is created if it does not exist, and files with these names
            are replaced.
        example_inputs: example arguments of the step; the modules take their shapes and dtypes.
        name: of files and of the step; an identifier of C.

    Returns:
        What was written.

    Raises:
        ArgumentError: `step` is not a function, `name` is not an identifier, or the step consumes
            gradients that an earlier call left in .grad.
        CompileError: LLVM has no code for something, or there is not enough memory in WebAssembly.
        FileError: the files cannot be written there.

    Example:
        >>> import smelt, tempfile
        >>> from smelt import export
        >>> folder = tempfile.mkdtemp()
        >>> made = export.to_wasm(lambda x: x * 2, folder, smelt.zeros(3), name="twice")
        >>> made.results[0].shape, made.memory_bytes
        ((3,), 131072)
    """
    # loaded when it is needed: the passes and the emitter
    from smelt.export.traced_step import check_name, traced_step
    from smelt.export.wasm.modules import wasm_step

    check_name("to_wasm", name)
    made = wasm_step(traced_step("to_wasm", step, example_inputs), name)
    return _write(writable_folder(folder), made)


def _write(folder: Path, made: WasmStep) -> WasmExport:
    """Writes the files, each whole or not at all, the script last: it says that all is there."""
    from smelt.export.wasm.texts import javascript, types

    endings = (".js", ".wasm", ".scalar.wasm", ".d.ts")
    script, module, scalar, declared = [folder / f"{made.name}{one}" for one in endings]
    contents = {  # what is opened first is renamed last
        script: javascript(made, module.name, scalar.name).encode(),
        module: made.simd,
        scalar: made.scalar,
        declared: types(made).encode(),
    }
    for one in contents:
        if one.is_dir():
            raise FileError(f"{one}: cannot be written (it is a folder); choose another name")
    with ExitStack() as stack:
        for path, part in contents.items():
            stack.enter_context(replacing(path)).write_bytes(part)
    return WasmExport(
        str(module),
        str(scalar),
        str(script),
        str(declared),
        made.name,
        made.code_bytes,
        made.memory_bytes,
        made.state_bytes,
        made.flops,
        *(_parameters(several) for several in (made.arguments, made.results, made.tensors)),
    )


def _parameters(several: tuple[Placed, ...]) -> tuple[CParameter, ...]:
    return tuple(CParameter(one.name, one.dtype, one.shape) for one in several)
