"""A step as functions that C calls, in LLVM: nothing outside is called, and no address is known.

    void NAME_init(NAME_state* state)
    int NAME_step(NAME_state* state, argument*, ..., result*, ...)

What `step.py` reads from a table stands in the code here: where in the state or in a constant a
slot lies, or which parameter points to it. The kernels are the same. They run on the calling
thread, one step a call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smelt.compiler.codegen.kernel import emit_kernel
from smelt.compiler.codegen.step import Parts
from smelt.compiler.codegen.writer import Module, Writer
from smelt.errors import CompileError
from smelt.ir.loops import Kernel
from smelt.ir.program import (
    Branch,
    Call,
    Check,
    Collective,
    Part,
    Program,
    Progress,
    Region,
    Repeat,
    Sections,
    Slot,
)

Address = tuple[str, int]  # a pointer's name in LLVM, and how many bytes behind it
STATE = "%state"


def parameter(number: int) -> str:
    """Returns the name in LLVM of a parameter of NAME_step, behind the state."""
    return f"%p{number}"


def constant(name: str) -> str:
    """Returns the name in LLVM of a constant: none that a function has."""
    return f"@data.{name}"


@dataclass(frozen=True, slots=True)
class Data:
    """A constant array: its name, its bytes, and the size of its elements."""

    name: str
    contents: bytes
    itemsize: int


@dataclass(frozen=True, slots=True)
class Start:
    """What `count` elements at an offset of the state are at first: a constant's, or 0."""

    offset: int
    itemsize: int
    count: int
    constant: str = ""


@dataclass(frozen=True, slots=True)
class Freestanding:
    """A step with all its places.

    `addresses` has all slots of the program and of its regions but those that are bound, and those
    of checks.
    """

    name: str
    program: Program
    addresses: Mapping[Slot, Address]
    constants: Sequence[Data]
    starts: Sequence[Start]
    parameters: int  # how many arguments and results there are


def emit_freestanding(step: Freestanding, has_short_loops: bool = False) -> str:
    """Returns the LLVM module of a step: NAME_init and NAME_step are its exports.

    Raises CompileError when the program says something that has no machine code here.
    """
    module = Module(has_short_loops)
    names = {
        kernel: f'@"{re.sub(_ODD, "_", kernel.name)}.{number}"'
        for number, kernel in enumerate(step.program.kernels)
    }
    for kernel, name in names.items():
        emit_kernel(module, kernel, name)
    _emit_init(module, step)
    _Step(module, step, names).emit()
    return alone("\n\n".join([_data(one) for one in step.constants] + [str(module)]))


def emit_call(name: str, parameters: int) -> str:
    """Returns the LLVM function `int NAME_call(void** addresses)`: NAME_step, with its arguments in
    one block.
    """
    w = Writer(Module())
    places = [w.let(f"getelementptr ptr, ptr %block, i64 {n}") for n in range(parameters + 1)]
    operands = ", ".join(f"ptr {w.load('ptr', place)}" for place in places)
    w.do(f"ret i32 {w.let(f'call i32 @{name}_step({operands})')}")
    w.finish(f"define i32 @{name}_call(ptr %block) nounwind")
    return alone(w.module.functions[0]) + "\n"


def alone(text: str) -> str:
    """Returns LLVM text whose functions LLVM does not turn into calls of a C library."""
    return re.sub(r"^(define [^\n]*) nounwind", r'\1 nounwind "no-builtins"', text, flags=re.M)


_ODD = r"[^\w.-]"  # what stays out of the names of functions
_PLAIN = re.compile(rb"[ !#-\[\]-~]")  # what a string of LLVM holds as it is


def _data(data: Data) -> str:
    """Returns the definition of a constant; its bytes are written as they lie in memory."""
    contents = data.contents or bytes(data.itemsize)
    if any(contents):
        text = "".join(_CHARACTERS[byte] for byte in contents)
        value = f'c"{text}"'
    else:
        value = "zeroinitializer"
    type_ = f"[{len(contents)} x i8]"
    name = constant(data.name)
    return f"{name} = internal unnamed_addr constant {type_} {value}, align {data.itemsize}"


_CHARACTERS = [
    chr(byte) if _PLAIN.fullmatch(bytes([byte])) else f"\\{byte:02X}" for byte in range(256)
]


def _emit_init(module: Module, step: Freestanding) -> None:
    w = Writer(module)
    for start in step.starts:
        type_ = f"i{8 * start.itemsize}"
        target = w.let(f"getelementptr i8, ptr {STATE}, i64 {start.offset}")
        with w.loop("0", str(start.count), 1, runs=True, short=True) as index:
            value = "0"
            if start.constant:
                base = constant(start.constant)
                source = w.let(f"getelementptr {type_}, ptr {base}, i64 {index}")
                value = w.load(type_, source)
            place = w.let(f"getelementptr {type_}, ptr {target}, i64 {index}")
            w.do(f"store {type_} {value}, ptr {place}")
    w.do("ret void")
    w.finish(f"define void @{step.name}_init(ptr {STATE}) nounwind")


class _Step(Parts):
    """The emission of NAME_step."""

    def __init__(self, module: Module, step: Freestanding, names: Mapping[Kernel, str]) -> None:
        super().__init__(module, step.program, names, shares=False)
        self.step = step
        self.statuses = {
            slot: self.writer.alloca("i64", align=8)
            for slot in step.program.slots
            if slot.kind == "status"
        }

    def emit(self) -> None:
        w = self.writer
        for part in self.program.body:
            self.part(part, "0")
        w.do("ret i32 0")
        pointers = [f"ptr {STATE}", *(f"ptr {parameter(n)}" for n in range(self.step.parameters))]
        head = f"define i32 @{self.step.name}_step({', '.join(pointers)}) nounwind"
        w.finish(head)

    def part(self, part: Part, step: str) -> None:
        match part:
            case Call():
                self.call(part)
            case Check():
                self.check(part)
            case Repeat(trip_count=None):
                self.loop_while(part)
            case Repeat(chunks=1):
                self.loop_times(part)
            case Branch():
                self.branch(part)
            case Repeat() | Sections():
                raise CompileError("what threads share has no freestanding code")
            case Collective() | Progress():
                raise CompileError("ranks that exchange data have no freestanding code")

    def check(self, check: Check) -> None:
        w = self.writer
        status = w.load("i64", self.address(check.slot))
        out, on = w.fresh("leave"), w.fresh("on")
        failed = w.let(f"icmp ne i64 {status}, 0")
        w.do(f"br i1 {failed}, label %{out}, label %{on}")
        w.block(out)
        w.do(f"ret i32 {check.number + 1}")
        w.block(on)

    def own_address(self, slot: Slot) -> str:
        if slot in self.statuses:
            return self.statuses[slot]
        base, offset = self.step.addresses[slot]
        w = self.writer
        return w.let(f"getelementptr i8, ptr {base}, i64 {offset}") if offset else base

    def bases(self, region: Region) -> dict[Slot, str]:
        """Returns the addresses of the outer slots that a region is bound to, and touches."""
        outer = dict.fromkeys(binding.outer for binding in region.bindings)
        known = [self.places, self.statuses, self.step.addresses]
        return {slot: self.address(slot) for slot in outer if any(slot in one for one in known)}

    def temporaries(self, region: Region, bases: dict[Slot, str], chunk: str) -> dict[Slot, str]:
        return {
            slot: self.own_address(slot)
            for slot in region.program.slots
            if slot.kind == "arena" and slot in self.step.addresses
        }
