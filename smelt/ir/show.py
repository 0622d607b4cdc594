"""The text of a kernel or a program: for golden tests, cache keys, and people.

    def softmax(y: float32[64, 10]; x: float32[64, 10]):
        for i in range(0, 64):  # parallel
            top: float32 = -inf
            for j in range(0, 10):
                top = maximum(top, x[i, j])
            ...

It looks like Python. Outputs stand before the semicolon, inputs after it; `name: dtype = start`
declares a register, `name = value` names or assigns a value; a mask follows `where`. Constants are
float32, int64 or bool unless a suffix says otherwise (`1_i32`, `0.5_f64`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from smelt.ir import loops as ir
from smelt.ir.program import (
    Branch,
    Call,
    Check,
    Collective,
    Program,
    Progress,
    Region,
    Repeat,
    Sections,
    Slot,
)
from smelt.ir.visit import METHODS, Visitor

INFIX = {
    "add": (" + ", 6),
    "sub": (" - ", 6),
    "mul": (" * ", 7),
    "div": (" / ", 7),
    "floordiv": (" // ", 7),
    "mod": (" % ", 7),
    "shl": (" << ", 5),
    "bitwise_and": (" & ", 4),
    "bitwise_xor": (" ^ ", 3),
    "bitwise_or": (" | ", 2),
    "eq": (" == ", 1),
    "ne": (" != ", 1),
    "lt": (" < ", 1),
    "le": (" <= ", 1),
    "gt": (" > ", 1),
    "ge": (" >= ", 1),
}
ATOM = 9
SUFFIX = {"int8": "_i8", "int32": "_i32", "float16": "_f16", "bfloat16": "_bf16", "float64": "_f64"}


def kernel_text(kernel: ir.Kernel, canonical: bool = False) -> str:
    """Returns the text of a kernel.

    With `canonical`, the kernel, its buffers, registers and variables are renamed in order of
    appearance: kernels that differ only in names have one text and are compiled once.
    """
    return _Printer(canonical).kernel(kernel)


def statement_text(statement: ir.Statement) -> str:
    """Returns the text of one statement for error messages; of a block, only the first line."""
    printer = _Printer(canonical=False)
    printer.statement(statement, "")
    return printer.lines[0]


def expression_text(expression: ir.Expression) -> str:
    """Returns the text of one expression."""
    return _Printer(canonical=False).text(expression)


def node_text(node: ir.Statement | ir.Expression) -> str:
    """Returns the text of a statement or an expression, whichever it is."""
    if isinstance(node, ir.Statement):
        return statement_text(node)
    return expression_text(node)


def program_text(program: Program) -> str:
    """Returns the text of a program: its slots, its kernels, then what runs in order."""
    kernels = dict(zip(program.kernels, _distinct(program.kernels).values(), strict=True))
    lines = [f"program {program.name}:  # arena of {program.arena_bytes} bytes"]
    lines += _body_lines(program, _distinct(program.slots), kernels)
    texts = (_Printer(False).kernel(kernel, name) for kernel, name in kernels.items())
    return "\n\n".join(["\n".join(lines), *texts])


def _body_lines(
    program: Program, names: dict[Slot, str], kernels: dict[ir.Kernel, str]
) -> Iterator[str]:
    """Yields a line for each slot of a program, then the lines of what runs."""
    for slot in program.slots:
        yield f"    {names[slot]}: {_slot_text(slot)}"
    for part in program.body:
        match part:
            case Call():
                yield f"    {_call_text(part, names, kernels)}"
            case Sections(calls=several, order=order):
                yield f"    in parallel, in the order {', '.join(map(str, order))}:"
                yield from (f"        {_call_text(call, names, kernels)}" for call in several)
            case Check(slot=slot, number=number):
                yield f"    check {number}: stop unless {names[slot]} == 0"
            case Collective(source=source, target=target):
                yield f"    {names[target]} = {part.text} of {names[source]} #{part.request}"
            case Progress(request=request):
                yield f"    progress of #{request}"
            case Repeat(region=region, trip_count=trip_count, flag=flag, chunks=chunks):
                counted = f"for iteration in range({trip_count})"
                if chunks > 1:
                    counted += f", for each chunk in range({chunks}), in parallel"
                yield f"    {counted if flag is None else f'while {names[flag]}'}:"
                yield from _region_lines(region, names, kernels)
            case Branch(flag=flag):
                yield f"    if {names[flag]}:"
                yield from _region_lines(part.yes, names, kernels)
                yield "    else:"
                yield from _region_lines(part.no, names, kernels)


def _call_text(call: Call, names: dict[Slot, str], kernels: dict[ir.Kernel, str]) -> str:
    places = [f"{names[slot]}{f' + {at} bytes' if at else ''}" for slot, at in call.places]
    return f"{kernels[call.kernel]}({', '.join(places)})"


def _region_lines(
    region: Region, names: dict[Slot, str], kernels: dict[ir.Kernel, str]
) -> Iterator[str]:
    inner = _distinct(region.program.slots)
    for binding in region.bindings:
        offset = f" + {binding.start} + iteration * {binding.stride} bytes"
        place = names[binding.outer] + (offset if binding.stride else "")
        place += f" + chunk * {binding.chunk_stride} bytes" if binding.chunk_stride else ""
        yield f"        {inner[binding.inner]} lies at {place}"
    if region.arena is not None:
        yield f"        arena lies at {names[region.arena]}"
    for line in _body_lines(region.program, inner, kernels):
        yield f"    {line}"


def _slot_text(slot: Slot) -> str:
    where = f"arena at {slot.offset}" if slot.kind == "arena" else f"{slot.kind} {slot.number}"
    return f"{_array_text(slot)}  # {where}"


def _array_text(array: Slot | ir.Buffer) -> str:
    missing = f"; {array.missing} missing" if isinstance(array, ir.Buffer) and array.missing else ""
    return f"{array.dtype.name}[{', '.join(map(str, array.shape))}{missing}]"


def _distinct(things: tuple[Any, ...]) -> dict[Any, str]:
    """Returns a name for each thing: its own, followed by a number if that one is taken."""
    taken = _Taken()
    return {thing: taken.fresh(thing.name) for thing in things}


class _Taken:
    """The names that are taken, and how often each was requested."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.wanted: dict[str, int] = {}

    def fresh(self, wanted: str) -> str:
        """Returns the requested name, followed by a number if it is taken."""
        name, number = wanted, self.wanted.get(wanted, 1)
        while name in self.names:
            number += 1
            name = f"{wanted}_{number}"
        self.names.add(name)
        self.wanted[wanted] = number
        return name


class _Printer(Visitor):
    """Writes one kernel; knows the names of its buffers, registers and variables."""

    def __init__(self, canonical: bool) -> None:
        self.canonical = canonical
        self.lines: list[str] = []
        self.variables: dict[str, str] = {}
        self.objects: dict[ir.Buffer | ir.Register, str] = {}
        self.taken = _Taken()
        self.count = 0

    def kernel(self, kernel: ir.Kernel, name: str | None = None) -> str:
        written = ", ".join(map(self.parameter, kernel.outputs))
        read = ", ".join(map(self.parameter, kernel.inputs))
        title = "kernel" if self.canonical else name or kernel.name
        self.lines.append(f"def {title}({written}; {read}):")
        self.block(kernel.body, "    ")
        return "\n".join(self.lines)

    def parameter(self, buffer: ir.Buffer) -> str:
        if buffer in self.objects:  # an output that is read too
            return self.objects[buffer]
        return f"{self.name(buffer)}: {_array_text(buffer)}"

    def name(self, thing: ir.Buffer | ir.Register) -> str:
        known = self.objects.get(thing)
        if known is None:
            letter = "b" if type(thing) is ir.Buffer else "r"
            known = self.objects[thing] = self.fresh(thing.name, letter)
        return known

    def fresh(self, name: str, letter: str) -> str:
        if self.canonical:
            self.count += 1
            return f"{letter}{self.count}"
        return self.taken.fresh(name)

    def bind(self, variable: ir.Variable) -> str:
        if not self.canonical:
            return variable.name
        name = self.variables[variable.name] = self.fresh(variable.name, "v")
        return name

    # -- statements --------------------------------------------------------------------------------

    def block(self, body: tuple[ir.Statement, ...], indent: str) -> None:
        if not body:
            self.lines.append(indent + "pass")
        for statement in body:
            self.statement(statement, indent)

    def statement(self, statement: ir.Statement, indent: str) -> None:
        self.visit(statement, indent)

    def let(self, let: ir.Let, indent: str) -> None:
        value = self.text(let.value)
        self.lines.append(f"{indent}{self.bind(let.variable)} = {value}")

    def declare(self, declare: ir.Declare, indent: str) -> None:
        register = declare.register
        lanes = f"x{register.lanes}" if register.lanes > 1 else ""
        shape = f"[{', '.join(map(str, register.shape))}]" if register.shape else ""
        kind = f"{register.dtype.name}{lanes}{shape}"
        self.lines.append(f"{indent}{self.name(register)}: {kind} = {self.text(declare.start)}")

    def assign(self, assign: ir.Assign, indent: str) -> None:
        target = self.name(assign.register) + (self.index(assign.index) if assign.index else "")
        self.lines.append(f"{indent}{target} = {self.text(assign.value)}")

    def store(self, store: ir.Store, indent: str) -> None:
        place = self.name(store.buffer) + self.index(store.index, store.mask)
        self.lines.append(f"{indent}{place} = {self.text(store.value)}")

    def scratch(self, scratch: ir.Scratch, indent: str) -> None:
        buffer = scratch.buffer
        self.lines.append(f"{indent}{self.name(buffer)} = scratch({_array_text(buffer)})")

    def transpose(self, tile: ir.Transpose, indent: str) -> None:
        source = self.name(tile.source) + self.tile_index(
            tile.source_index, {tile.source_axis: tile.rows, -1: tile.columns}
        )
        target = self.name(tile.target) + self.tile_index(
            tile.target_index, {tile.target_axis: tile.columns, -1: tile.rows}
        )
        self.lines.append(f"{indent}{target} = transpose({source})")

    def loop(self, loop: ir.Loop, indent: str) -> None:
        start, stop = map(self.bound, (loop.start, loop.stop))
        step = f", {loop.step}" if loop.step != 1 else ""
        kind = f"  # {loop.kind}" if loop.kind != "serial" else ""
        name = self.bind(loop.variable)
        self.lines.append(f"{indent}for {name} in range({start}, {stop}{step}):{kind}")
        self.block(loop.body, indent + "    ")

    def branch(self, branch: ir.If, indent: str) -> None:
        self.lines.append(f"{indent}if {self.text(branch.condition)}:")
        self.block(branch.body, indent + "    ")

    def bound(self, bound: int | ir.Expression) -> str:
        return str(bound) if isinstance(bound, int) else self.text(bound)

    def index(self, index: tuple[ir.Expression, ...], mask: ir.Expression | None = None) -> str:
        where = f" where {self.text(mask)}" if mask is not None else ""
        return f"[{', '.join(map(self.text, index))}{where}]"

    def tile_index(self, index: tuple[ir.Expression, ...], extents: dict[int, int]) -> str:
        parts = [self.text(part) for part in index]
        for axis, extent in extents.items():
            parts[axis] += f" :+ {extent}"
        return f"[{', '.join(parts)}]"

    # -- expressions -------------------------------------------------------------------------------

    def text(self, expression: ir.Expression, above: int = 0) -> str:
        """Returns an expression's text, in parentheses if it binds more weakly than `above`."""
        text, strength = getattr(self, METHODS[type(expression)])(expression)
        return text if strength >= above else f"({text})"

    def constant(self, constant: ir.Constant) -> tuple[str, int]:
        text = repr(constant.value)
        text += SUFFIX.get(constant.dtype.name, "")
        if constant.dtype.is_float and isinstance(constant.value, int):
            text = f"{constant.dtype.name}({constant.value!r})"
        if constant.lanes > 1:
            return f"repeat({text}, {constant.lanes})", ATOM
        return text, 8 if text[0] == "-" else ATOM

    def variable(self, variable: ir.Variable) -> tuple[str, int]:
        return self.variables.get(variable.name, variable.name), ATOM

    def lane_numbers(self, lanes: ir.Lanes) -> tuple[str, int]:
        return f"lanes({lanes.lanes})", ATOM

    def unary(self, unary: ir.Unary) -> tuple[str, int]:
        if unary.op == "neg":
            return "-" + self.text(unary.x, ATOM), 8
        if unary.op == "bitcast":
            return f"bitcast({self.text(unary.x)}, {unary.dtype.name})", ATOM
        return f"{unary.op}({self.text(unary.x)})", ATOM

    def binary(self, binary: ir.Binary) -> tuple[str, int]:
        infix = INFIX.get(binary.op)
        if infix is None:
            return self.function(binary.op, binary.a, binary.b)
        sign, strength = infix
        left = strength + 1 if strength == 1 else strength  # comparisons do not chain
        return self.text(binary.a, left) + sign + self.text(binary.b, strength + 1), strength

    def fma(self, fma: ir.Fma) -> tuple[str, int]:
        return self.function("fma", fma.a, fma.b, fma.c)

    def select(self, select: ir.Select) -> tuple[str, int]:
        return self.function("select", select.condition, select.yes, select.no)

    def cast(self, cast: ir.Cast) -> tuple[str, int]:
        return self.function(f"as_{cast.dtype.name}", cast.x)

    def load(self, load: ir.Load) -> tuple[str, int]:
        return self.name(load.buffer) + self.index(load.index, load.mask), ATOM

    def read(self, read: ir.Read) -> tuple[str, int]:
        return self.name(read.register) + (self.index(read.index) if read.index else ""), ATOM

    def reduce(self, reduce: ir.Reduce) -> tuple[str, int]:
        return f"reduce({reduce.op}, {self.text(reduce.x)})", ATOM

    def function(self, name: str, *arguments: ir.Expression) -> tuple[str, int]:
        return f"{name}({', '.join(map(self.text, arguments))})", ATOM
