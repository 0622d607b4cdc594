"""A traced step as object code: places, LLVM text, the code, and what it needs from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smelt.compiler.c.interface import Interface, Place
from smelt.compiler.c.kernel import stack_bytes
from smelt.compiler.codegen.apart import ConstructError, compile_apart
from smelt.compiler.codegen.freestanding import (
    STATE,
    Address,
    Data,
    Freestanding,
    Start,
    alone,
    constant,
    emit_call,
    emit_freestanding,
    parameter,
)
from smelt.compiler.codegen.kernel import emit_kernel
from smelt.compiler.codegen.object_file import undefined
from smelt.compiler.codegen.soft_float import AVAILABLE, definitions, with_inlined_fma
from smelt.compiler.codegen.writer import Module
from smelt.errors import CompileError
from smelt.export.object_targets import ObjectTarget
from smelt.export.traced_step import ExportedStep, TracedStep

__all__ = ["MadeObject", "made_object"]

LINE = 64  # bytes at which members begin where vectors are read from them
# what a linker, and not a library, has a name for
_LINKERS = (
    "__stack_pointer",
    "__linear_memory",
    "_GLOBAL_OFFSET_TABLE_",
)
# what LLVM calls for a fused multiply-add where a CPU has none
_FUSED = {"@llvm.fma.f32(": "fmaf", "@llvm.fma.f64(": "fma"}


@dataclass(frozen=True, slots=True)
class MadeObject:
    """Object code of a step: `runtime_functions` are those of the compiler's library that it calls,
    for arithmetic that the CPU has not.
    """

    code: bytes
    exported: ExportedStep
    interface: Interface
    runtime_functions: tuple[str, ...]
    stack_bytes: int


def made_object(
    traced: TracedStep,
    name: str,
    target: ObjectTarget,
    is_filled: bool = False,
    has_call: bool = False,
) -> MadeObject:
    """Returns the object code of a step.

    Args:
        traced: the step.
        name: of its functions.
        target: what the code is for.
        is_filled: whether whoever loads the code fills the state, with all that the step captured;
            NAME_init does nothing then.
        has_call: whether there is a NAME_call, which takes all addresses in one block.

    Raises:
        CompileError: LLVM has no code for something, or the code needs what nothing defines.
    """
    if target.cpu is None:
        exported = traced.plain(name, is_filled)
    else:
        exported = traced.vectorized(name, target.cpu)
    taken = frozenset({f"{name}_call"})
    alignment = LINE if is_filled else 1
    interface = Interface(exported.step, taken, is_filled, alignment)
    text = emit_freestanding(_freestanding(exported, interface), target.has_short_loops)
    if target.vectorizes:
        text = with_inlined_fma(text)
    if has_call:
        text += "\n" + emit_call(name, len(interface.names))
    try:
        code, needed = _complete(text, target)
    except ConstructError as error:
        kernel = _culprit(exported, target)
        raise _located(error, traced.caller, exported, kernel) from error
    stack = max((stack_bytes(kernel) for kernel in exported.step.program.kernels), default=0)
    return MadeObject(code, exported, interface, tuple(needed), stack)


def _complete(text: str, target: ObjectTarget) -> tuple[bytes, list[str]]:
    """Returns object code that brings along what it needs, and the names of the rest."""
    added = {name for mark, name in _FUSED.items() if mark in text and not target.has_fma}
    while True:
        whole = text + ("\n" + alone(definitions(added, text)) if added else "")
        code = compile_apart(whole, target.target, target.passes)
        missing = [one for one in undefined(code) if one not in _LINKERS]
        found = AVAILABLE.intersection(missing) - added
        if not found:
            break
        added |= found
    of_c = [one for one in missing if not one.startswith("__")]
    if of_c:
        raise CompileError(
            f"the code for {target.target.triple}, {target.target.cpu} calls {', '.join(of_c)} of "
            "the C library, which it cannot bring along"
        )
    return code, missing


def _freestanding(exported: ExportedStep, interface: Interface) -> Freestanding:
    offsets = {one.name: one.offset for one in interface.fields}
    numbers = {name: number for number, name in enumerate(interface.names)}

    def address(place: Place, itemsize: int) -> Address:
        behind = place.offset * itemsize
        if place.kind == "member":
            return STATE, offsets[place.name] + behind
        base = constant(place.name) if place.kind == "constant" else None
        return base or parameter(numbers[place.name]), behind

    addresses = {
        slot: address(place, slot.dtype.itemsize) for slot, place in interface.places.items()
    }
    constants = [
        Data(one.name, np.ascontiguousarray(one.contents).tobytes(), one.dtype.itemsize)
        for one in interface.constants
    ]
    itemsizes = {one.name: one.dtype.itemsize for one in interface.fields}
    starts = [
        Start(offsets[one.member], itemsizes[one.member], max(1, one.contents.size), one.constant)
        for one in interface.initial
    ]
    count = len(interface.names)
    program = exported.step.program
    given = [] if interface.is_filled else starts
    return Freestanding(interface.name, program, addresses, constants, given, count)


def _culprit(exported: ExportedStep, target: ObjectTarget) -> str:
    """Returns the name of a kernel of which LLVM makes no code, or "" if it makes code of each.

    LLVM does not say where it was when it ended; so halves of the kernels are tried alone.
    """
    suspects = list(exported.step.program.kernels)
    while suspects:
        half = suspects[: (len(suspects) + 1) // 2]
        module = Module(target.has_short_loops)
        for number, kernel in enumerate(half):
            emit_kernel(module, kernel, f'@"{number}"')
        text = alone(str(module).replace("define internal void", "define void"))
        try:
            compile_apart(text, target.target, target.passes)
            suspects = suspects[len(half) :]
        except ConstructError:
            if len(suspects) == 1:
                return suspects[0].name
            suspects = half
    return ""


def _located(
    error: ConstructError, caller: str, exported: ExportedStep, kernel: str
) -> CompileError:
    """Returns the error with the user's line, if a kernel is known to be at fault."""
    place = exported.places.get(kernel, "")
    inside = f"\n  in {kernel}, at {place}" if place else f"\n  in {kernel}" if kernel else ""
    return CompileError(f"{caller}: {error.message}{inside}")
