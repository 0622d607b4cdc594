"""`to_library`: a compiled function or training step as a file that runs with NumPy alone."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smelt import tree
from smelt.atomic import write_bytes
from smelt.compiler.artifacts import ResultTree, Traced
from smelt.errors import ArgumentError
from smelt.export.c_names import CParameter
from smelt.tensor import Tensor
from smelt.version import __version__
from smelt_runtime.library_file import written

if TYPE_CHECKING:
    from smelt.export.object_code import MadeObject

__all__ = ["LibraryExport", "to_library"]

Location = str | os.PathLike[str]

# what a library needs of its processor, as Linux calls it, by LLVM's name for the kind of CPU
_V1 = ("cmov", "cx8", "fpu", "fxsr", "mmx", "sse", "sse2")
_V2 = (*_V1, "cx16", "lahf_lm", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3")
_V3 = (*_V2, "abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave")
_V4 = (*_V3, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")
CPUS: dict[str, dict[str, tuple[str, ...]]] = {
    "x86_64": {"x86-64-v3": _V3, "x86-64-v4": _V4, "x86-64-v2": _V2, "x86-64": _V1},
    "aarch64": {"generic": ("asimd", "fp")},
}


@dataclass(frozen=True, slots=True)
class LibraryExport:
    """What `to_library` wrote.

    Attributes:
        file: its path.
        machine, cpu: what the code is for.
        code_bytes: bytes of the code, with its constants.
        state_bytes: bytes of memory that a loaded library takes: tensors and temporaries.
        flops: floating-point operations of one step; a multiply-add counts 2, an exp 1.
        arguments, results: what it is called with, in order, and what it returns.
        tensors: the names of the tensors in it.
    """

    file: str
    machine: str
    cpu: str
    code_bytes: int
    state_bytes: int
    flops: int
    arguments: tuple[CParameter, ...]
    results: tuple[CParameter, ...]
    tensors: tuple[str, ...]


def to_library(
    step: Callable[..., Any],
    path: Location,
    *example_inputs: Any,
    machine: str | None = None,
    cpu: str | None = None,
) -> LibraryExport:
    """Writes a function or a training step as a library: a file that `smelt_runtime.load` runs with
    NumPy alone, without Smelt and without LLVM.

    The file has machine code, which runs on one thread and computes what Smelt's does, and all
    tensors that the step captured. No linker is needed.

    Args:
        step: a compiled function, a module, or a function, which is compiled.
        path: of the file, such as "digits.smeltlib".
        example_inputs: example arguments of the step; the library takes their shapes and dtypes.
        machine: "x86_64" or "aarch64"; by default this one.
        cpu: the oldest CPU that the library should run on: for x86_64 "x86-64-v3" (AVX2, the
            default), "x86-64-v4" (AVX-512), "x86-64-v2" or "x86-64"; for aarch64 "generic".

    Returns:
        What was written.

    Raises:
        ArgumentError: `step` is not a function, there is no code for that machine or CPU, the
            function returns something that a file cannot hold, or the step consumes gradients that
            an earlier call left in .grad.
        CompileError: LLVM has no code for something.
        FileError: the file cannot be written there.

    Example:
        >>> import smelt, tempfile
        >>> from smelt import export
        >>> from smelt_runtime import load
        >>> path = tempfile.mkdtemp() + "/twice.smeltlib"
        >>> made = export.to_library(lambda x: x * 2, path, smelt.zeros(3))
        >>> load(path)(smelt.ones(3).numpy())
        array([2., 2., 2.], dtype=float32)
    """
    # loaded when it is needed: the passes and the emitter
    from smelt.export.code_image import code_image
    from smelt.export.object_code import made_object
    from smelt.export.object_targets import object_target
    from smelt.export.traced_step import traced_step

    machine, cpu = _checked(machine, cpu)
    target = object_target("to_library", f"{machine}-unknown-linux-gnu", cpu, None)
    traced = traced_step("to_library", step, example_inputs)
    structure = _structure(traced.traced)
    made = made_object(traced, "step", target, is_filled=True, has_call=True)
    image, entry = code_image(made.code, "step_call")
    file = Path(os.fsdecode(path))
    header, contents = _header(made, file.stem, len(image))
    header |= {"machine": machine, "cpu": cpu, "needs": CPUS[machine][cpu]}
    header |= {"entry": entry, "structure": structure}
    write_bytes(file, written(header, image, contents))
    exported, interface = made.exported, made.interface
    return LibraryExport(
        str(file),
        machine,
        cpu,
        len(image),
        interface.sizes.state,
        exported.flops,
        tuple(exported.arguments),
        tuple(exported.results),
        tuple(one["name"] for one in header["tensors"]),
    )


def _checked(machine: str | None, cpu: str | None) -> tuple[str, str]:
    """Returns for which machine and CPU to make code."""
    here = machine or platform.machine()
    if here not in CPUS:
        raise ArgumentError(f"to_library: machine={here!r}: choose one of {', '.join(CPUS)}")
    known = CPUS[here]
    wanted = cpu or next(iter(known))
    if wanted not in known:
        raise ArgumentError(f"to_library: cpu={wanted!r}: choose one of {', '.join(known)}")
    return here, wanted


def _header(made: MadeObject, name: str, code_bytes: int) -> tuple[dict[str, Any], list[bytes]]:
    """Returns what the file says of a step, and the contents of its tensors."""
    from smelt.export.names import distinct_tensors

    interface, exported = made.interface, made.exported
    initial = {one.member: one.contents.tobytes() for one in interface.initial}
    tensors, contents = [], []
    for given, field in distinct_tensors(interface.fields):
        of_field = {"kind": field.kind, "offset": field.offset}
        tensors.append(_described(given, field.dtype.name, field.shape) | of_field)
        contents.append(initial[field.name])
    header = {
        "name": name,
        "made_by": f"smelt {__version__}",
        "code_bytes": code_bytes,
        "state_bytes": interface.sizes.state,
        "tensors": tensors,
        "arguments": [_described(x.name, x.dtype.name, x.shape) for x in exported.arguments],
        "results": [_described(x.name, x.dtype.name, x.shape) for x in exported.results],
        "checks": list(exported.step.messages),
    }
    return header, contents


def _described(name: str, dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": [int(extent) for extent in shape]}


def _structure(traced: Traced) -> list[list[Any]]:
    """Returns what a function returned around its tensors, as `smelt_runtime` reads it."""
    result = traced.result
    if not isinstance(result, ResultTree):
        return [["result"]]
    leaves = iter(result.leaves)
    items: list[list[Any]] = []
    for kind, keys, count in result.structure.items:
        if kind is tree.LEAF:
            leaf = next(leaves)
            items.append(["result"] if isinstance(leaf, Tensor) else ["value", _value(leaf)])
        elif kind is None:
            items.append(["value", None])
        elif kind is dict:
            items.append(["dict", [_key(key) for key in keys]])
        else:
            items.append(["list" if issubclass(kind, list) else "tuple", count])
    return items


def _value(leaf: Any) -> Any:
    if type(leaf) not in (bool, int, float, str):
        raise ArgumentError(
            f"to_library: the function returns a {type(leaf).__name__}; return tensors, numbers, "
            "texts, None, and tuples, lists and dicts of them"
        )
    return leaf


def _key(key: Any) -> Any:
    if type(key) not in (str, int):
        raise ArgumentError(f"to_library: a dict that the function returns has the key {key!r}")
    return key
