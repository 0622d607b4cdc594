"""The modules of a step, with SIMD and without, and where things lie in their memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from smelt.compiler.c.kernel import stack_bytes
from smelt.compiler.codegen.object_file import code_bytes
from smelt.dtypes import DType
from smelt.export.c_names import CParameter
from smelt.export.names import distinct_tensors
from smelt.export.object_code import made_object
from smelt.export.object_targets import object_target
from smelt.export.traced_step import TracedStep
from smelt.export.wasm.linker import LINE, link

__all__ = ["Placed", "WasmStep", "wasm_step"]

TRIPLE = "wasm32-unknown-unknown"
# the CPU and the features, in LLVM's words: all that SIMD engines have; what every engine has
SIMD, SCALAR = ("generic", "+simd128"), ("mvp", "")
_FRAMES = 65_536  # bytes of stack beside the arrays of kernels


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor, an argument or a result, and its offset in bytes: of a tensor in the state, of the
    others behind it, from __heap_base on.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    offset: int

    @property
    def length(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self.length * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class WasmStep:
    """Both modules of a step, and what their callers have to know.

    `initial` holds the bytes of the tensors at export, in their order.
    """

    name: str
    simd: bytes
    scalar: bytes
    code_bytes: int
    memory_bytes: int
    state_bytes: int
    flops: int
    arguments: tuple[Placed, ...]
    results: tuple[Placed, ...]
    tensors: tuple[Placed, ...]
    initial: tuple[bytes, ...]
    checks: tuple[str, ...]


def wasm_step(traced: TracedStep, name: str, has_initial: bool = True) -> WasmStep:
    """Returns the modules of a step.

    Args:
        traced: the step.
        name: of its function.
        has_initial: whether the modules hold what the state is at first; otherwise it is 0.

    Raises:
        CompileError: LLVM has no code for something.
    """
    made = {}
    for kind, (cpu, features) in (("simd", SIMD), ("scalar", SCALAR)):
        target = object_target(traced.caller, TRIPLE, cpu, features)
        made[kind] = made_object(traced, name, target, is_filled=True)
    one = made["simd"]
    interface, exported = one.interface, one.exported
    starts = {each.member: each.contents for each in interface.initial}
    tensors, initial = [], []
    for given, field in distinct_tensors(interface.fields):
        tensors.append(Placed(given, field.dtype, field.shape, field.offset))
        initial.append(np.ascontiguousarray(starts[field.name]).tobytes())
    placed = _placed([*exported.arguments, *exported.results], interface.names)
    count = len(exported.arguments)
    free = max((each.offset + each.nbytes for each in placed), default=0)
    stack = _FRAMES + sum(map(stack_bytes, exported.step.program.kernels))
    contents: Mapping[int, bytes] = {}
    if has_initial:
        contents = {each.offset: part for each, part in zip(tensors, initial, strict=True)}
    state = interface.sizes.state
    linked = {
        kind: link(each.code, name, state, contents, free, stack) for kind, each in made.items()
    }
    return WasmStep(
        name,
        linked["simd"].contents,
        linked["scalar"].contents,
        code_bytes(one.code),
        linked["simd"].memory_bytes,
        state,
        exported.flops,
        placed[:count],
        placed[count:],
        tuple(tensors),
        tuple(initial),
        # without the lines below, which say where it stands in Python
        tuple(message.partition("\n")[0] for message in exported.step.messages),
    )


def _placed(parameters: list[CParameter], names: list[str]) -> tuple[Placed, ...]:
    """Returns parameters one behind the other, each at a cache line."""
    found, offset = [], 0
    for one, name in zip(parameters, names, strict=True):
        found.append(Placed(name, one.dtype, one.shape, offset))
        offset += -(-found[-1].nbytes // LINE) * LINE
    return tuple(found)
