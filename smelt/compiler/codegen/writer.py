"""LLVM IR as text: types, constants, operands, and a writer with basic blocks and loops.

Text is both the quickest way from Python into LLVM (no object per instruction) and what `explain`
prints. Pointers are opaque and addressed by `getelementptr` only.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from smelt.dtypes import DType, bfloat16, encode, float32, int64
from smelt.ir.symbolic import formula, is_symbolic, largest

# types in a register, and in memory; 16-bit floats are only bits here, because their arithmetic is
# done in float32
_REGISTER = {
    "bool": "i1",
    "int8": "i8",
    "int32": "i32",
    "int64": "i64",
    "float16": "i16",
    "bfloat16": "i16",
    "float32": "float",
    "float64": "double",
}
_MEMORY = _REGISTER | {"bool": "i8"}
_SHORT = {"float": "f32", "double": "f64", "half": "f16"}


def vector(element: str, lanes: int) -> str:
    """Returns the LLVM type of `lanes` elements; one lane is the element itself."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def register_type(dtype: DType, lanes: int = 1) -> str:
    """Returns the LLVM type that a value of `dtype` has in a register."""
    return vector(_REGISTER[dtype.name], lanes)


def memory_type(dtype: DType, lanes: int = 1) -> str:
    """Returns the LLVM type that a value of `dtype` has in memory; only bool differs."""
    return vector(_MEMORY[dtype.name], lanes)


def suffix(type_: str) -> str:
    """Returns a type as the name of an intrinsic spells it: `<16 x float>` is `v16f32`."""
    if type_.startswith("<"):
        lanes, element = type_[1:-1].split(" x ")
        return f"v{lanes}{suffix(element)}"
    return "p0" if type_ == "ptr" else _SHORT.get(type_, type_)


def literal(value: bool | int | float, dtype: DType) -> str:
    """Returns a number as an LLVM literal; floats are written as their bits, and so exactly."""
    if dtype.kind == "bool":
        return "true" if value else "false"
    if dtype.kind == "int":
        width = 8 * dtype.itemsize
        wrapped = (int(value) + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))
        return str(wrapped)
    with np.errstate(over="ignore"):
        if dtype.itemsize == 2:
            narrow = encode(np.array(value), bfloat16) if dtype is bfloat16 else np.float16(value)
            return str(int(np.asarray(narrow).view(np.int16)))
        exact = float(np.float32(value)) if dtype is float32 else float(value)
    return f"0x{struct.unpack('<Q', struct.pack('<d', exact))[0]:016X}"


@lru_cache(1024)
def ramp(stride: int, lanes: int) -> tuple[int, ...]:
    """Returns 0, stride, 2 * stride, ...: one number per lane."""
    return tuple(stride * lane for lane in range(lanes))


class Value(NamedTuple):
    """An operand: its text, and what is known of it at compile time.

    `lane_offsets` is not None for an index vector that is still a formula:
    `text + lane_offsets[lane]`, where the first offset is 0.
    """

    text: str
    dtype: DType
    lanes: int = 1
    number: int | None = None  # the value, if it is a known integer
    upper_bound: int | None = None  # the value is in 0..upper_bound, if that is known
    lane_offsets: tuple[int, ...] | None = None
    first_lanes: int | None = None  # of a constant mask: it holds in so many first lanes

    @property
    def stride(self) -> int | None:
        """The difference between neighboring lanes of a formula, if it is constant."""
        if self.lane_offsets is None:
            return None
        stride = self.lane_offsets[1] if len(self.lane_offsets) > 1 else 0
        return stride if self.lane_offsets == ramp(stride, len(self.lane_offsets)) else None

    @property
    def type(self) -> str:
        """The LLVM type in a register."""
        return register_type(self.dtype, self.lanes)

    @property
    def is_literal(self) -> bool:
        """Whether the text is a constant, not a name."""
        return not self.text.startswith("%")

    @property
    def typed(self) -> str:
        """The operand with its type before it."""
        return f"{self.type} {self.text}"


def integer(number: int) -> Value:
    """Returns a known int64, wrapped to its width, or a parameter of the program."""
    if is_symbolic(number):
        bound = largest(number) if number >= 0 else None
        return Value(parameter(number), int64, upper_bound=bound)
    return _known(number)


def parameter(number: Any) -> str:
    """Returns the name, in every function, of a number that is passed when a step runs.

    The brackets keep a user's name for a length apart from the names of the functions' own values.
    """
    return f'%"[{formula(number)}]"'


@lru_cache(4096)
def _known(number: int) -> Value:
    text = literal(number, int64)
    return Value(text, int64, number=int(text), upper_bound=int(text) if int(text) >= 0 else None)


class Module:
    """An LLVM module being written: its functions, and the external functions that they call.

    Args:
        has_short_loops: whether loops that are known to be short count in 32 bits, as a CPU likes
            that has no registers of 64.
    """

    def __init__(self, has_short_loops: bool = False) -> None:
        self.has_short_loops = has_short_loops
        self.functions: list[str] = []
        self.parameters: dict[str, int] = {}  # the names of symbolic numbers, and their places
        self.declarations: dict[str, str] = {}
        self.helpers: set[str] = set()

    def __str__(self) -> str:
        return "\n\n".join(["\n".join(self.declarations.values()), *self.functions]) + "\n"


class Writer:
    """The body of one function: instructions in basic blocks, and the stack slots of its entry."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.lines: list[str] = []
        self.label: str = "entry"
        self.stack: list[str] = []
        self.known: dict[str, str] = {}  # names of the results of instructions that have run here
        self.count: int = 0
        self._parameters_from = 0  # the line from which on `%parameters` is defined

    def fresh(self, prefix: str = "v") -> str:
        """Returns a name that nothing else in the function has."""
        self.count += 1
        return f"{prefix}{self.count}"

    def do(self, instruction: str) -> None:
        """Writes an instruction that has no result."""
        self.lines.append("  " + instruction)

    def let(self, instruction: str) -> str:
        """Returns the name of an instruction's result; one that has run already is not repeated.

        The instruction must depend on its operands only: not a load or an external call.
        """
        name = self.known.get(instruction)
        if name is None:
            name = self.known[instruction] = self.define(instruction)
        return name

    def define(self, instruction: str) -> str:
        """Writes an instruction, even a repeated one, and returns the name of its result."""
        self.count += 1
        name = f"%v{self.count}"
        self.lines.append(f"  {name} = {instruction}")
        return name

    def load(self, type_: str, address: str, align: int = 0) -> str:
        """Reads memory and returns the result; `align` 0 means the type's alignment."""
        aligned = f", align {align}" if align else ""
        return self.define(f"load {type_}, ptr {address}{aligned}")

    def call(self, result: str, name: str, *operands: str) -> str:
        """Calls an external function or an intrinsic and returns its result ("" if void).

        `operands` are texts with their types before them; the declaration is made from the types.
        """
        if name not in self.module.declarations:
            types = ", ".join(_type_of(operand) for operand in operands)
            self.module.declarations[name] = f"declare {result} @{name}({types})"
        instruction = f"call {result} @{name}({', '.join(operands)})"
        if result == "void":
            self.do(instruction)
            return ""
        return self.define(instruction)

    def alloca(self, type_: str, align: int = 64) -> str:
        """Reserves a stack slot for the whole call and returns its address."""
        name = "%" + self.fresh("slot")
        self.stack.append(f"  {name} = alloca {type_}, align {align}")
        return name

    def block(self, label: str) -> None:
        """Starts the basic block `label`."""
        self.lines.append(f"{label}:")
        self.label = label

    @contextmanager
    def loop(
        self, start: str, stop: str, step: int, *, runs: bool, short: bool = False
    ) -> Iterator[str]:
        """Opens `for (i = start; i < stop; i += step)` and yields i.

        The test is at the end of the loop. There is another before the loop, unless `runs` says
        that it runs at least once, which also says that i cannot overflow. A `short` loop has
        bounds in 0..2^30, and counts in 32 bits if the module wants it.
        """
        body, after = self.fresh("loop"), self.fresh("after")
        kind = "i32" if short and self.module.has_short_loops else "i64"
        first, last = start, stop
        if kind == "i32":
            first, last = (self._shortened(bound) for bound in (start, stop))
        before = self.label
        if runs:
            self.do(f"br label %{body}")
        else:
            entered = self.let(f"icmp slt i64 {start}, {stop}")
            self.do(f"br i1 {entered}, label %{body}, label %{after}")
        self.block(body)
        index = "%" + self.fresh("i")
        place = len(self.lines)  # of the phi, which needs to know the last block of the body
        known = dict(self.known)
        self.lines.append("")
        yield self.let(f"zext nneg i32 {index} to i64") if kind == "i32" else index
        flags = "nuw nsw " if runs and not start.startswith("-") else ""
        following = self.let(f"add {flags}{kind} {index}, {step}")
        again = self.let(f"icmp slt {kind} {following}, {last}")
        self.do(f"br i1 {again}, label %{body}, label %{after}")
        self.lines[place] = (
            f"  {index} = phi {kind} [{first}, %{before}], [{following}, %{self.label}]"
        )
        self.known = known
        self.block(after)

    def _shortened(self, number: str) -> str:
        """Returns an i64 as an i32."""
        return self.let(f"trunc i64 {number} to i32") if number.startswith("%") else number

    @contextmanager
    def when(self, condition: str, again: str = "") -> Iterator[None]:
        """Opens a block that runs only if the i1 `condition` holds; after it the block `again`
        runs, if that is given.
        """
        body, after = self.fresh("then"), self.fresh("after")
        self.do(f"br i1 {condition}, label %{body}, label %{after}")
        self.block(body)
        known = dict(self.known)
        yield
        self.do(f"br label %{again or after}")
        self.known = known
        self.block(after)

    def take_parameters(self, pointer: str) -> None:
        """Loads the address of the program's parameters, if it is not an argument."""
        self.do(f"%parameters = load ptr, ptr {pointer}")
        self._parameters_from = len(self.lines)

    def finish(self, head: str) -> None:
        """Adds the function to the module; `head` is its `define` line without the brace.

        The program's parameters that it uses are read first, from `%parameters`.
        """
        found = dict.fromkeys(re.findall(r'%"\[[^"]*\]"', "\n".join(self.lines)))
        reads = []
        for name in found:
            place = self.module.parameters.setdefault(name, len(self.module.parameters))
            address = f"getelementptr inbounds i64, ptr %parameters, i64 {place}"
            reads.append(f"  %p{place} = {address}")
            reads.append(f"  {name} = load i64, ptr %p{place}, !invariant.load !{{}}")
        self.lines[self._parameters_from : self._parameters_from] = reads
        text = "\n".join([f"{head} {{", "entry:", *self.stack, *self.lines, "}"])
        self.module.functions.append(text)


def _type_of(operand: str) -> str:
    if operand.startswith("<"):
        return operand[: operand.index(">") + 1]
    return operand[: operand.index(" ")]
