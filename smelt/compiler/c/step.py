"""A program as a C header and a C file: state, constants, kernels, and the step function.

    int NAME_step(NAME_state *state, arguments, results)

runs one step and returns NAME_OK, or the code of the check that failed; every kernel that writes
a state comes after all checks. States that the step does not change are constants, so inference
needs RAM only for temporaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from smelt.compiler.c.kernel import (
    FUNCTION_NAMES,
    WIDTH,
    Function,
    Source,
    kernel_text,
    stack_bytes,
)
from smelt.compiler.c.support import PRELUDE
from smelt.compiler.c.text import SHORT, Names, elements, shape_text, type_of, values
from smelt.compiler.c.workspace import Workspace, workspace
from smelt.dtypes import DType
from smelt.errors import CompileError
from smelt.ir.program import (
    Binding,
    Branch,
    Call,
    Check,
    Part,
    Program,
    Region,
    Repeat,
    Slot,
    calls,
    regions,
)


@dataclass(frozen=True, slots=True)
class Array:
    """A tensor that the step captured: its name and contents, and whether the step changes it."""

    name: str
    contents: np.ndarray
    dtype: DType
    changes: bool
    kind: str  # "parameters", "optimizer", ...: for the report


@dataclass(frozen=True, slots=True)
class Step:
    """What the C file of a step is made from.

    `arguments` and `results` are the parameters of the C function: name, dtype and shape. `origins`
    says where in the user's program the operations of each call are, `messages` what each failed
    check means.
    """

    name: str
    program: Program
    states: Sequence[Array]
    constants: Sequence[np.ndarray]
    arguments: Sequence[tuple[str, DType, tuple[int, ...]]]
    results: Sequence[tuple[str, DType, tuple[int, ...]]]
    messages: Sequence[str]
    origins: dict[Call, str]


@dataclass(frozen=True, slots=True)
class Field:
    """A member of NAME_state: its C name, the tensor's name ("" for temporaries), and its place.

    `offset` is in bytes from the beginning of the structure.
    """

    name: str
    tensor: str
    dtype: DType
    shape: tuple[int, ...]
    offset: int


@dataclass(slots=True)
class Sizes:
    """Bytes in C: of flash by part, of RAM by part, and of the stack."""

    flash: dict[str, int] = field(default_factory=dict)
    ram: dict[str, int] = field(default_factory=dict)
    stack: int = 0  # of the kernel that uses most
    state: int = 0  # sizeof(NAME_state)


@dataclass(frozen=True, slots=True)
class Files:
    """A step as C: the texts of the header and of the C file, and the memory that they need.

    `names` are the C names of arguments and results: the wanted ones, if they were not taken.
    """

    header: str
    source: str
    sizes: Sizes
    fields: tuple[Field, ...]
    names: tuple[str, ...]


def emit(step: Step) -> Files:
    """Returns the C files of a step.

    Raises CompileError, which says where the operation is, when C cannot express something.
    """
    return _File(step).files()


class _File:
    def __init__(self, step: Step) -> None:
        self.step = step
        self.name, self.upper = step.name, step.name.upper()
        self.source = Source()
        self.sizes = Sizes()
        self.workspace: Workspace = workspace(step.program)
        self.touched = _touched(step.program)
        own = {f"{self.name}_{what}" for what in ("init", "step", "state")}
        # shared by everything outside of kernels, so that no local of the step hides a global
        self.globals = Names({*FUNCTION_NAMES, *own, "state"})
        self.members = Names()
        self.places: dict[Slot, tuple[str, bool]] = {}  # the pointer, and whether it is constant
        self.data: list[str] = []
        self.fields: list[Field] = []
        self.initial: list[str] = []

    def files(self) -> Files:
        self.place_results()
        self.place_states()
        self.place_constants()
        self.place_temporaries()
        kernels, names = self.kernels()
        body = _Body(self, names)
        for part in self.step.program.body:
            body.part(part)
        header = self.header()
        source = [
            f'#include "{self.name}.h"',
            PRELUDE,
            f"typedef char {self.name}_state_has_its_size"
            f"[sizeof({self.name}_state) == {self.upper}_STATE_BYTES ? 1 : -1];",
            *self.source.support.values(),
            *self.data,
            *kernels,
            self.init_function(),
            body.text(self.prototype()),
        ]
        text = "\n\n".join(part.strip("\n") for part in source) + "\n"
        return Files(header, text, self.sizes, tuple(self.ordered_fields()), tuple(self.names))

    # -- placement in memory -----------------------------------------------------------------------

    def place_results(self) -> None:
        slots = {(slot.kind, slot.number): slot for slot in self.step.program.slots}
        self.parameters: list[tuple[str, str]] = []  # declaration and comment
        self.names: list[str] = []
        self.unused: list[str] = []
        for kind, several in (("argument", self.step.arguments), ("result", self.step.results)):
            constant = "const " if kind == "argument" else ""
            for number, (wanted, dtype, shape) in enumerate(several):
                name = self.globals.fresh(wanted)
                self.names.append(name)
                slot = slots.get((kind, number))
                if slot is None:
                    self.unused.append(name)
                else:
                    self.places[slot] = name, kind == "argument"
                text = f"{constant}{type_of(dtype)} *{name}"
                self.parameters.append((text, shape_text(dtype, shape)))

    def place_states(self) -> None:
        for slot in self.step.program.slots:
            if slot.kind != "state" or slot not in self.touched:
                continue
            state = self.step.states[slot.number]
            if not state.changes:
                comment = f"{state.name}: {shape_text(slot.dtype, slot.shape)}"
                self.places[slot] = self.constant(state.name, state.contents, slot, comment), True
                self.add(self.sizes.flash, state.kind, slot)
                continue
            member = self.members.fresh(state.name)
            self.places[slot] = f"state->{member}", False
            self.fields.append(Field(member, state.name, slot.dtype, slot.shape, 0))
            self.add(self.sizes.ram, state.kind, slot)
            self.set_initially(member, state, slot)

    def place_constants(self) -> None:
        for slot in self.step.program.slots:
            if slot.kind == "constant" and slot in self.touched:
                array = self.step.constants[slot.number]
                comment = shape_text(slot.dtype, slot.shape)
                name = self.constant(f"constant{slot.number}", array, slot, comment)
                self.places[slot] = name, True
                self.add(self.sizes.flash, "constants", slot)

    def place_temporaries(self) -> None:
        for dtype, count in sorted(
            self.workspace.elements.items(), key=lambda pair: -pair[0].itemsize
        ):
            member = self.members.fresh(f"workspace_{SHORT[dtype.name]}")
            self.fields.append(Field(member, "", dtype, (count,), 0))
            nbytes = count * dtype.itemsize
            self.sizes.ram["workspace"] = self.sizes.ram.get("workspace", 0) + nbytes
            for slot, offset in self.workspace.offsets.items():
                if slot.dtype is dtype:
                    place = f"state->{member}" + (f" + {offset}" if offset else "")
                    self.places[slot] = place, False

    def constant(self, wanted: str, array: np.ndarray, slot: Slot, comment: str) -> str:
        name = self.globals.fresh(wanted)
        type_ = type_of(slot.dtype)
        lines = values(np.ascontiguousarray(array), slot.dtype)
        head = f"static const {type_} {name}[{elements(slot.shape)}] = {{"
        self.data.append(f"/* {_comment(comment)} */\n{head}\n{lines}\n}};")
        return name

    def set_initially(self, member: str, state: Array, slot: Slot) -> None:
        count = elements(slot.shape)
        value = "0"
        if np.ascontiguousarray(state.contents).view(np.uint8).any():
            name = self.constant(f"initial_{state.name}", state.contents, slot, state.name)
            self.add(self.sizes.flash, "initial values", slot)
            value = f"{name}[i]"
        self.initial += [
            f"    for (int32_t i = 0; i < {count}; i++)",
            f"        state->{member}[i] = {value};",
        ]

    def add(self, sizes: dict[str, int], part: str, slot: Slot) -> None:
        nbytes = elements(slot.shape) * slot.dtype.itemsize
        sizes[part] = sizes.get(part, 0) + nbytes

    # -- functions ---------------------------------------------------------------------------------

    def kernels(self) -> tuple[list[str], dict[object, str]]:
        texts, names = [], {}
        first: dict[object, Call] = {}
        for call in calls(self.step.program):
            first.setdefault(call.kernel, call)
        for number, (kernel, call) in enumerate(first.items()):
            name = self.globals.fresh(f"kernel_{number}_{call.kernel.name}")
            names[kernel] = name
            origin = self.step.origins.get(call, "")
            try:
                text = kernel_text(self.source, call.kernel, name)
            except CompileError as error:
                where = f"\n  at {origin}" if origin else ""
                raise CompileError(
                    f"to_c: {error.message}, which {call.kernel.name} needs; compute it outside of "
                    f"the exported step{where}"
                ) from error
            comment = f"/* {_comment(origin)} */\n" if origin else ""
            texts.append(comment + text)
            self.sizes.stack = max(self.sizes.stack, stack_bytes(call.kernel))
        return texts, names

    def prototype(self) -> str:
        lines = [f"{self.name}_state *state", *[text for text, _ in self.parameters]]
        comments = ["", *[comment for _, comment in self.parameters]]
        ends = [*[","] * (len(lines) - 1), ")"]
        shown = [
            f"    {line}{end}" + (f" /* {comment} */" if comment else "")
            for line, end, comment in zip(lines, ends, comments, strict=True)
        ]
        return f"int {self.name}_step(\n" + "\n".join(shown)

    def init_function(self) -> str:
        head = f"void {self.name}_init({self.name}_state *state)\n{{"
        return "\n".join([head, *(self.initial or ["    (void)state;"]), "}"])

    def ordered_fields(self) -> list[Field]:
        """Returns the members, the widest first, so that there is no padding between them."""
        placed, offset = [], 0
        for one in sorted(self.fields, key=lambda one: -one.dtype.itemsize):
            placed.append(replace(one, offset=offset))
            offset += elements(one.shape) * one.dtype.itemsize
        return placed

    def header(self) -> str:
        ordered = self.ordered_fields()
        struct = [
            f"    {type_of(one.dtype)} {one.name}[{elements(one.shape)}]; "
            f"/* {_comment(one.tensor or 'temporaries')}: {shape_text(one.dtype, one.shape)} */"
            for one in ordered
        ]
        nbytes = sum(elements(one.shape) * one.dtype.itemsize for one in ordered)
        widest = max((one.dtype.itemsize for one in ordered), default=1)
        if not struct:
            struct, nbytes = ["    char unused; /* C has no empty structures */"], 1
        self.sizes.state = -(-nbytes // widest) * widest
        codes = [f"    {self.upper}_OK = 0,"]
        for number, message in enumerate(self.step.messages, 1):
            line = f"    {self.upper}_CHECK_{number} = {number}, /* {_comment(message)} */"
            codes.append(line)
        guard = f"{self.upper}_H"
        return "\n".join(
            [
                f"/* {self.name}: exported by Smelt; C99, needs no library. */",
                f"#ifndef {guard}\n#define {guard}\n",
                "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n",
                '#ifdef __cplusplus\nextern "C" {\n#endif\n',
                f"#define {self.upper}_STATE_BYTES {self.sizes.state}\n",
                f"/* what {self.name}_step returns: other codes say which check failed; the state",
                "   is then as it was */",
                "enum {",
                *codes,
                "};\n",
                f"typedef struct {self.name}_state {{",
                *struct,
                f"}} {self.name}_state;\n",
                "/* sets a state to what it was when it was exported */",
                f"void {self.name}_init({self.name}_state *state);\n",
                "/* one step; the arrays must not overlap */",
                self._declared(self.prototype()),
                "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n",
            ]
        )

    @staticmethod
    def _declared(prototype: str) -> str:
        """Returns a function's head as a declaration."""
        at = prototype.rindex(")") if not prototype.endswith("*/") else prototype.rindex(") /*")
        return f"{prototype[: at + 1]};{prototype[at + 1 :]}"


class _Body:
    """The body of the step function: calls, checks, loops and branches."""

    def __init__(self, file: _File, kernels: dict[object, str]) -> None:
        self.file = file
        self.kernels = kernels
        self.function = Function(file.source)
        self.function.names = file.globals
        self.places = dict(file.places)
        self.declared: list[str] = []
        for slot in file.step.program.slots:
            if slot.kind == "status":
                name = file.globals.fresh(slot.name)
                self.places[slot] = name, False
                self.declared.append(f"    int64_t {name}[1];")
        self.uses_state = bool(file.fields)

    def text(self, prototype: str) -> str:
        """Returns the whole function."""
        unused = [*self.file.unused, *([] if self.uses_state else ["state"])]
        lines = self.declared + [f"    (void){name};" for name in unused]
        return "\n".join(
            [prototype, "{", *lines, *self.function.lines, f"    return {self.file.upper}_OK;", "}"]
        )

    def part(self, part: Part) -> None:
        function = self.function
        match part:
            case Call():
                self.call(part)
            case Check(slot=slot, number=number):
                function.open(f"if ({self.pointer(slot)}[0] != 0)")
                function.line(f"return {self.file.upper}_CHECK_{number + 1};")
                function.close()
            case Repeat(flag=None):
                iteration = function.names.fresh("iteration")
                head = f"int32_t {iteration} = 0; {iteration} < {part.trip_count}; {iteration}++"
                function.open(f"for ({head})")
                self.region(part.region, iteration)
                function.close()
            case Repeat(flag=Slot() as flag):
                function.open(f"while ({self.pointer(flag)}[0])")
                self.region(part.region, "0")
                function.close()
            case Branch(flag=flag):
                for negation, region in (("", part.yes), ("!", part.no)):
                    function.open(f"if ({negation}{self.pointer(flag)}[0])")
                    self.region(region, "0")
                    function.close()

    def region(self, region: Region, iteration: str) -> None:
        around, names = dict(self.places), self.function.names
        self.function.names = names.child()
        touched = _touched(region.program)
        for binding in region.bindings:
            if binding.inner in touched:
                self.bind(binding, iteration)
        for part in region.program.body:
            self.part(part)
        self.places, self.function.names = around, names

    def bind(self, binding: Binding, iteration: str) -> None:
        base, is_constant = self.places[binding.outer]
        size = binding.inner.dtype.itemsize
        start, stride = binding.start // size, binding.stride // size
        text = base
        if start:
            text += f" + {start}"
        if stride:
            sign = "-" if stride < 0 else "+"
            step = iteration if abs(stride) == 1 else f"{iteration} * {abs(stride)}"
            text += f" {sign} {step}"
        if text == base and not base.startswith("state->"):
            self.places[binding.inner] = base, is_constant
            return
        name = self.function.names.fresh(binding.inner.name)
        constant = "const " if is_constant else ""
        self.function.line(f"{constant}{type_of(binding.inner.dtype)} *{name} = {text};")
        self.places[binding.inner] = name, is_constant

    def pointer(self, slot: Slot) -> str:
        text, _ = self.places[slot]
        return f"({text})" if " " in text else text

    def call(self, call: Call) -> None:
        texts = []
        for slot, offset in call.places:
            text, _ = self.places[slot]
            first = offset // slot.dtype.itemsize
            texts.append(f"{text} + {first}" if first else text)
        origin = self.file.step.origins.get(call, "")
        line = f"{self.kernels[call.kernel]}({', '.join(texts)});"
        pad = 4 * self.function.indent
        if origin and pad + len(line) + len(origin) + 7 <= WIDTH:
            self.function.line(f"{line} /* {_comment(origin)} */")
        else:
            if origin:
                self.function.line(f"/* {_comment(origin)} */")
            self.function.line(line)


def _touched(program: Program) -> set[Slot]:
    """Returns the slots that the parts of a program use."""
    found: set[Slot] = set()
    for part in program.body:
        match part:
            case Call(slots=slots):
                found |= set(slots)
            case Check(slot=slot):
                found.add(slot)
            case Repeat(flag=flag) | Branch(flag=flag) if flag is not None:
                found.add(flag)
        for region in regions(part):
            inner = _touched(region.program)
            found |= {one.outer for one in region.bindings if one.inner in inner}
    return found


def _comment(text: str) -> str:
    """Returns a text that is allowed in a C comment."""
    return " ".join(text.replace("*/", "* /").replace("/*", "/ *").split())
