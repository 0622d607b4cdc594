"""A program as a C header and a C file: state, constants, kernels, and the step function.

    int NAME_step(NAME_state *state, arguments, results)

runs one step and returns NAME_OK, or the code of the check that failed; every kernel that writes
a state comes after all checks. States that the step does not change are constants, so inference
needs RAM only for temporaries.
"""

from __future__ import annotations

from dataclasses import dataclass

from smelt.compiler.c.interface import Field, Interface, Sizes, Step, comment, touched
from smelt.compiler.c.kernel import (
    FUNCTION_NAMES,
    WIDTH,
    Function,
    Source,
    kernel_text,
    stack_bytes,
)
from smelt.compiler.c.support import PRELUDE
from smelt.compiler.c.text import elements, type_of, values
from smelt.errors import CompileError
from smelt.ir.program import Binding, Branch, Call, Check, Part, Region, Repeat, Slot, calls


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
        self.source = Source()
        self.interface = Interface(step, FUNCTION_NAMES)
        self.name, self.upper = self.interface.name, self.interface.upper
        self.sizes = self.interface.sizes

    def files(self) -> Files:
        interface = self.interface
        kernels, names = self.kernels()
        body = _Body(self, names)
        for part in self.step.program.body:
            body.part(part)
        source = [
            f'#include "{self.name}.h"',
            PRELUDE,
            f"typedef char {self.name}_state_has_its_size"
            f"[sizeof({self.name}_state) == {self.upper}_STATE_BYTES ? 1 : -1];",
            *self.source.support.values(),
            *self.data(),
            *kernels,
            self.init_function(),
            body.text(interface.prototype()),
        ]
        text = "\n\n".join(part.strip("\n") for part in source) + "\n"
        names_given = tuple(interface.names)
        return Files(interface.header(), text, self.sizes, interface.fields, names_given)

    def data(self) -> list[str]:
        texts = []
        for one in self.interface.constants:
            head = f"static const {type_of(one.dtype)} {one.name}[{elements(one.shape)}] = {{"
            lines = values(one.contents, one.dtype)
            texts.append(f"/* {comment(one.comment)} */\n{head}\n{lines}\n}};")
        return texts

    def places(self) -> dict[Slot, tuple[str, bool]]:
        """Returns the pointer to each slot, and whether it is constant."""
        texts = {}
        for slot, place in self.interface.places.items():
            base = f"state->{place.name}" if place.kind == "member" else place.name
            text = f"{base} + {place.offset}" if place.offset else base
            texts[slot] = text, place.is_constant
        return texts

    def kernels(self) -> tuple[list[str], dict[object, str]]:
        texts, names = [], {}
        first: dict[object, Call] = {}
        for call in calls(self.step.program):
            first.setdefault(call.kernel, call)
        for number, (kernel, call) in enumerate(first.items()):
            name = self.interface.globals.fresh(f"kernel_{number}_{call.kernel.name}")
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
            above = f"/* {comment(origin)} */\n" if origin else ""
            texts.append(above + text)
            self.sizes.stack = max(self.sizes.stack, stack_bytes(call.kernel))
        return texts, names

    def init_function(self) -> str:
        lines = []
        for one in self.interface.initial:
            value = f"{one.constant}[i]" if one.constant else "0"
            lines += [
                f"    for (int32_t i = 0; i < {max(1, one.contents.size)}; i++)",
                f"        state->{one.member}[i] = {value};",
            ]
        head = f"void {self.name}_init({self.name}_state *state)\n{{"
        return "\n".join([head, *(lines or ["    (void)state;"]), "}"])


class _Body:
    """The body of the step function: calls, checks, loops and branches."""

    def __init__(self, file: _File, kernels: dict[object, str]) -> None:
        self.file = file
        self.kernels = kernels
        self.function = Function(file.source)
        self.function.names = file.interface.globals
        self.places = file.places()
        self.declared: list[str] = []
        for slot in file.step.program.slots:
            if slot.kind == "status":
                name = file.interface.globals.fresh(slot.name)
                self.places[slot] = name, False
                self.declared.append(f"    int64_t {name}[1];")
        self.uses_state = bool(file.interface.fields)

    def text(self, prototype: str) -> str:
        """Returns the whole function."""
        unused = [*self.file.interface.unused, *([] if self.uses_state else ["state"])]
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
        named = touched(region.program)
        for binding in region.bindings:
            if binding.inner in named:
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
            self.function.line(f"{line} /* {comment(origin)} */")
        else:
            if origin:
                self.function.line(f"/* {comment(origin)} */")
            self.function.line(line)
