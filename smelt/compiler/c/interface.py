"""What a step looks like from outside, in C: its state, its arguments, its codes; the header.

    int NAME_step(NAME_state *state, arguments, results)

Whatever makes the code, C source or machine code, reads here where each slot of the program lies:
in a member of the state, in a constant, or where an argument points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from smelt.compiler.c.text import SHORT, Names, elements, shape_text, type_of
from smelt.compiler.c.workspace import Workspace, workspace
from smelt.dtypes import DType
from smelt.ir.program import Branch, Call, Check, Program, Repeat, Slot, regions


@dataclass(frozen=True, slots=True)
class Array:
    """A tensor that the step captured: what it is called, what it holds, and whether it changes."""

    name: str
    contents: np.ndarray
    dtype: DType
    changes: bool
    kind: str  # "parameters", "optimizer", ...: for the report


@dataclass(frozen=True, slots=True)
class Step:
    """What an interface says of a step.

    `argument_names` and `result_names` are those of the C function's parameters, `origins` says of
    each call where its operations stand in the user's program, `constant_origins` the same of
    constants by their number, `messages` what each check found.
    """

    name: str
    program: Program
    states: Sequence[Array]
    constants: Sequence[np.ndarray]
    arguments: Sequence[tuple[str, DType, tuple[int, ...]]]
    results: Sequence[tuple[str, DType, tuple[int, ...]]]
    messages: Sequence[str]
    origins: dict[Call, str]
    constant_origins: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Field:
    """A member of NAME_state: its name in C, that of the tensor ("" for temporaries), and where.

    `offset` counts bytes from the beginning of the structure.
    """

    name: str
    tensor: str
    dtype: DType
    shape: tuple[int, ...]
    offset: int
    kind: str = ""  # of the tensor: "parameters", ...


@dataclass(slots=True)
class Sizes:
    """Bytes by part, as they are in C: of flash, of the state in RAM, and of the stack."""

    flash: dict[str, int] = field(default_factory=dict)
    ram: dict[str, int] = field(default_factory=dict)
    stack: int = 0  # of the kernel that keeps most there
    state: int = 0  # sizeof(NAME_state)


@dataclass(frozen=True, slots=True)
class Constant:
    """An array that never changes, and what a comment says of it."""

    name: str
    contents: np.ndarray
    dtype: DType
    shape: tuple[int, ...]
    comment: str


@dataclass(frozen=True, slots=True)
class Initial:
    """What a member of the state holds at first; the constant that has it, "" for zeros."""

    member: str
    contents: np.ndarray
    constant: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a slot lies: so many elements behind the beginning of a member, of a constant, or of
    what an argument or a result points to.
    """

    kind: str  # "member", "constant" or "parameter"
    name: str
    is_constant: bool
    offset: int = 0


class Interface:
    """The state, the constants and the parameters of a step.

    Args:
        step: what it is an interface of.
        taken: names that the code has for other things.
        is_filled: whether somebody else fills the state, with all that the step captured: then what
            does not change is a member as well, and there are no initial values among the
            constants.
        alignment: bytes at multiples of which members and temporaries begin; 1 is as in C.
    """

    def __init__(
        self,
        step: Step,
        taken: frozenset[str] = frozenset(),
        is_filled: bool = False,
        alignment: int = 1,
    ) -> None:
        self.step: Step = step
        self.is_filled: bool = is_filled
        self.alignment: int = alignment
        self.name: str = step.name
        self.upper: str = step.name.upper()
        own = {f"{self.name}_{what}" for what in ("init", "step", "state")}
        # of everything outside of kernels: what is local in the step hides nothing
        self.globals: Names = Names({*taken, *own, "state"})
        self.members: Names = Names()
        self.sizes: Sizes = Sizes()
        self.workspace: Workspace = workspace(step.program, alignment)
        self.touched: set[Slot] = touched(step.program)
        self.places: dict[Slot, Place] = {}
        self.constants: list[Constant] = []
        self.initial: list[Initial] = []
        self.parameters: list[tuple[str, str]] = []  # declaration and comment
        self.names: list[str] = []  # of arguments and results, as they are in the end
        self.unused: list[str] = []
        self.fields: tuple[Field, ...] = ()
        self._fields: list[Field] = []
        self._place_parameters()
        self._place_states()
        self._place_constants()
        self._place_temporaries()
        self._order_fields()

    # -- where things lie --------------------------------------------------------------------------

    def _place_parameters(self) -> None:
        slots = {(slot.kind, slot.number): slot for slot in self.step.program.slots}
        for kind, several in (("argument", self.step.arguments), ("result", self.step.results)):
            constant = "const " if kind == "argument" else ""
            for number, (wanted, dtype, shape) in enumerate(several):
                name = self.globals.fresh(wanted)
                self.names.append(name)
                slot = slots.get((kind, number))
                if slot is None:
                    self.unused.append(name)
                else:
                    self.places[slot] = Place("parameter", name, kind == "argument")
                text = f"{constant}{type_of(dtype)} *{name}"
                self.parameters.append((text, shape_text(dtype, shape)))

    def _place_states(self) -> None:
        for slot in self.step.program.slots:
            if slot.kind != "state" or slot not in self.touched:
                continue
            state = self.step.states[slot.number]
            if not state.changes and not self.is_filled:
                comment = f"{state.name}: {shape_text(slot.dtype, slot.shape)}"
                name = self._constant(state.name, state.contents, slot, comment)
                self.places[slot] = Place("constant", name, True)
                self._add(self.sizes.flash, state.kind, slot)
                continue
            member = self.members.fresh(state.name)
            self.places[slot] = Place("member", member, False)
            kind = state.kind
            self._fields.append(Field(member, state.name, slot.dtype, slot.shape, 0, kind))
            self._add(self.sizes.ram, state.kind, slot)
            self._set_initially(member, state, slot)

    def _place_constants(self) -> None:
        for slot in self.step.program.slots:
            if slot.kind == "constant" and slot in self.touched:
                array = self.step.constants[slot.number]
                origin = self.step.constant_origins.get(slot.number, "")
                shape = shape_text(slot.dtype, slot.shape)
                comment = f"{origin}: {shape}" if origin else shape
                name = self._constant(f"constant{slot.number}", array, slot, comment)
                self.places[slot] = Place("constant", name, True)
                self._add(self.sizes.flash, "constants", slot)

    def _place_temporaries(self) -> None:
        for dtype, count in sorted(
            self.workspace.elements.items(), key=lambda pair: -pair[0].itemsize
        ):
            member = self.members.fresh(f"workspace_{SHORT[dtype.name]}")
            self._fields.append(Field(member, "", dtype, (count,), 0))
            nbytes = count * dtype.itemsize
            self.sizes.ram["workspace"] = self.sizes.ram.get("workspace", 0) + nbytes
            for slot, offset in self.workspace.offsets.items():
                if slot.dtype is dtype:
                    self.places[slot] = Place("member", member, False, offset)

    def _constant(self, wanted: str, array: np.ndarray, slot: Slot, comment: str) -> str:
        name = self.globals.fresh(wanted)
        contents = np.ascontiguousarray(array)
        self.constants.append(Constant(name, contents, slot.dtype, slot.shape, comment))
        return name

    def _set_initially(self, member: str, state: Array, slot: Slot) -> None:
        name, contents = "", np.ascontiguousarray(state.contents)
        if contents.view(np.uint8).any() and not self.is_filled:
            name = self._constant(f"initial_{state.name}", state.contents, slot, state.name)
            self._add(self.sizes.flash, "initial values", slot)
        self.initial.append(Initial(member, contents, name))

    def _add(self, sizes: dict[str, int], part: str, slot: Slot) -> None:
        nbytes = elements(slot.shape) * slot.dtype.itemsize
        sizes[part] = sizes.get(part, 0) + nbytes

    def _order_fields(self) -> None:
        """Gives members their places in the order in which nothing lies between them: widest
        first.
        """
        placed, end = [], 0
        for one in sorted(self._fields, key=lambda one: -one.dtype.itemsize):
            offset = -(-end // self.alignment) * self.alignment
            placed.append(replace(one, offset=offset))
            end = offset + elements(one.shape) * one.dtype.itemsize
        self.fields = tuple(placed)
        widest = max((one.dtype.itemsize for one in placed), default=1)
        self.sizes.state = -(-end // widest) * widest if placed else 1

    # -- text --------------------------------------------------------------------------------------

    def prototype(self) -> str:
        """Returns the head of the step's function."""
        lines = [f"{self.name}_state *state", *[text for text, _ in self.parameters]]
        comments = ["", *[comment for _, comment in self.parameters]]
        ends = [*[","] * (len(lines) - 1), ")"]
        shown = [
            f"    {line}{end}" + (f" /* {text} */" if text else "")
            for line, end, text in zip(lines, ends, comments, strict=True)
        ]
        return f"int {self.name}_step(\n" + "\n".join(shown)

    def header(self, needs: str = "C99, needs no library") -> str:
        """Returns the text of the header; `needs` says what the code is written in or made for."""
        struct = [
            f"    {type_of(one.dtype)} {one.name}[{elements(one.shape)}]; "
            f"/* {comment(one.tensor or 'temporaries')}: {shape_text(one.dtype, one.shape)} */"
            for one in self.fields
        ]
        if not struct:
            struct = ["    char unused; /* C has no empty structures */"]
        codes = [f"    {self.upper}_OK = 0,"]
        for number, message in enumerate(self.step.messages, 1):
            line = f"    {self.upper}_CHECK_{number} = {number}, /* {comment(message)} */"
            codes.append(line)
        guard = f"{self.upper}_H"
        return "\n".join(
            [
                f"/* {self.name}: exported by Smelt; {needs}. */",
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


def comment(text: str) -> str:
    """Returns a text that may stand in a comment of C."""
    return " ".join(text.replace("*/", "* /").replace("/*", "/ *").split())


def touched(program: Program) -> set[Slot]:
    """Returns the slots of a program that its parts name."""
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
            inner = touched(region.program)
            found |= {one.outer for one in region.bindings if one.inner in inner}
    return found
