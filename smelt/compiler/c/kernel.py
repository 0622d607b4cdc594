"""Loop IR to C: a kernel becomes a function of its buffers, each statement a line or a loop.

`step.py` writes what a step does around its kernels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from smelt.compiler.c import operators
from smelt.compiler.c.indices import Ranged, plain
from smelt.compiler.c.operators import SUM, Text
from smelt.compiler.c.support import FUNCTIONS, needed
from smelt.compiler.c.text import SHORT, Names, elements, literal, shape_text, type_of
from smelt.compiler.codegen.transcendental import TRANSCENDENTAL, expand
from smelt.compiler.codegen.transcendental.integer_power import integer_power
from smelt.compiler.loops.substitute import add_terms
from smelt.dtypes import DType
from smelt.errors import CompileError
from smelt.ir import loops as ir
from smelt.ir.visit import Visitor, own_expressions, statements

WIDTH = 100  # of a line
# functions that kernels may call: nothing else in a kernel gets one of these names
FUNCTION_NAMES = frozenset(FUNCTIONS) | {
    f"{op}_{short}" for op in TRANSCENDENTAL for short in SHORT.values()
}


class Source:
    """A C file being written: the functions that its kernels call, each once, in order."""

    def __init__(self) -> None:
        self.support: dict[str, str] = {}  # name -> text

    def use(self, name: str) -> str:
        """Adds a function of `support/` to the file; returns its name."""
        if name not in self.support:
            self.support |= {one: FUNCTIONS[one] for one in needed(name)}
        return name

    def transcendental(self, op: str, dtype: DType, operands: int) -> str:
        """Adds `op`, such as exp, to the file as a function of arithmetic; returns its name."""
        name = f"{op}_{SHORT[dtype.name]}"
        if name not in self.support:
            variables = tuple([ir.Variable(f"x{number}", dtype) for number in range(operands)])
            body, result = (integer_power if dtype.kind == "int" else expand)(op, variables)
            function = Function(self)
            names = [function.bind(variable) for variable in variables]
            function.block(body, result)
            function.line(f"return {function.value(result)};")
            type_ = type_of(dtype)
            parameters = ", ".join(f"{type_} {given}" for given in names)
            head = f"static inline {type_} {name}({parameters})"
            self.support[name] = "\n".join([head, "{", *function.lines, "}"])
        return name


def kernel_text(source: Source, kernel: ir.Kernel, name: str) -> str:
    """Returns a kernel of plain loops as a C function with the parameters `kernel.buffers`.

    Raises CompileError when the kernel contains something that C cannot express.
    """
    function = Function(source)
    outputs = set(kernel.outputs)
    parameters, pointers = [], []
    for buffer in kernel.buffers:
        pointer = function.pointers[buffer] = function.names.fresh(buffer.name)
        pointers.append(pointer)
        constant = "" if buffer in outputs else "const "
        parameters.append(f"{constant}{type_of(buffer.dtype)} *restrict {pointer}")
    function.block(kernel.body)
    head = _wrapped(f"static void {name}(", parameters)
    lines = [f"/* {_shapes(kernel, function)} */", head, "{"]
    written = set(re.findall(r"\w+", "\n".join(function.lines)))
    unused = [pointer for pointer in pointers if pointer not in written]
    lines += [f"    (void){pointer};" for pointer in unused]
    return "\n".join([*lines, *function.lines, "}"])


def stack_bytes(kernel: ir.Kernel) -> int:
    """Returns the bytes of the arrays that a kernel keeps on the stack."""
    scratches = (part.buffer for part in statements(kernel.body) if isinstance(part, ir.Scratch))
    return sum(elements(buffer.shape) * buffer.dtype.itemsize for buffer in scratches)


def _shapes(kernel: ir.Kernel, function: Function) -> str:
    texts = [
        f"{function.pointers[buffer]}: {shape_text(buffer.dtype, buffer.shape)}"
        for buffer in kernel.buffers
    ]
    lines, width = [""], 94
    for text in texts:
        if len(lines[-1]) + len(text) + 2 > width:
            lines.append("")
        lines[-1] += (", " if lines[-1] else "") + text
    return ",\n   ".join(lines)


def _wrapped(head: str, parameters: list[str]) -> str:
    """Returns a function's head; parameters that do not fit on one line get a line each."""
    line = head + ", ".join(parameters or ["void"]) + ")"
    if len(line) <= 100:
        return line
    return head + "\n    " + ",\n    ".join(parameters) + ")"


class Function(Visitor):
    """One C function while it is written."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.names: Names = Names(FUNCTION_NAMES)
        self.lines: list[str] = []
        self.indent: int = 1
        self.pointers: dict[ir.Buffer, str] = {}
        self.registers: dict[ir.Register, str] = {}
        self.variables: dict[str, Text] = {}
        self.indices: dict[str, Ranged] = {}

    def line(self, text: str) -> None:
        """Writes a line; one that is too long is continued on indented lines."""
        pad = "    " * self.indent
        while len(pad) + len(text) > WIDTH:
            room = max(WIDTH - len(pad), 40)
            cut = max(text.rfind(mark, 10, room) + 1 for mark in (", ", " + ", " * ", " ? ", " : "))
            if cut <= 0:
                break
            self.lines.append(pad + text[:cut].rstrip())
            pad, text = "    " * (self.indent + 1), text[cut:].strip()
        self.lines.append(pad + text)

    def bind(self, variable: ir.Variable) -> str:
        """Gives a new variable its C name, which is returned."""
        name = self.names.fresh(variable.name)
        self.variables[variable.name] = Text(name)
        self.indices.pop(variable.name, None)
        return name

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Names that are made within the block are free again after it."""
        names, variables, indices = self.names, dict(self.variables), dict(self.indices)
        self.names = names.child()
        yield
        self.names, self.variables, self.indices = names, variables, indices

    # -- statements --------------------------------------------------------------------------------

    def block(self, body: Sequence[ir.Statement], result: ir.Expression | None = None) -> None:
        """Writes statements in order, except lets that neither they nor `result` read."""
        read = _names_read([result] if result is not None else [])
        kept = []
        for statement in reversed(body):
            if not isinstance(statement, ir.Let) or statement.variable.name in read:
                kept.append(statement)
                read |= _names_read(_expressions_written(statement))
        for statement in reversed(kept):
            self.visit(statement)

    def let(self, let: ir.Let) -> None:
        index = plain(let.value, self.indices)
        value = self.value(let.value)
        name = self.bind(let.variable)
        type_ = "int32_t" if index is not None else type_of(let.variable.dtype)
        self.line(f"const {type_} {name} = {value};")
        if index is not None:
            self.indices[let.variable.name] = Ranged(Text(name), index.low, index.high)

    def declare(self, declare: ir.Declare) -> None:
        register = declare.register
        if register.lanes != 1 or register.shape:
            raise CompileError(f"register {register.name} holds more than one number")
        name = self.registers[register] = self.names.fresh(register.name)
        self.line(f"{type_of(register.dtype)} {name} = {self.value(declare.start)};")

    def assign(self, assign: ir.Assign) -> None:
        self.line(self.changed(self.register(assign.register), assign.value))

    def changed(self, target: str, value: ir.Expression) -> str:
        """Returns the statement that assigns a value; a sum of old value and term is `a += b`."""
        terms = _terms(value)
        if len(terms) == 2 and str(self.value(terms[0])) == target:
            return f"{target} += {self.value(terms[1])};"
        return f"{target} = {self.value(value)};"

    def store(self, store: ir.Store) -> None:
        element = f"{self.pointer(store.buffer)}[{self.offset(store.buffer, store.index)}]"
        line = self.changed(element, store.value)
        if store.mask is None:
            self.line(line)
            return
        self.open(f"if ({self.value(store.mask)})")
        self.line(line)
        self.close()

    def scratch(self, scratch: ir.Scratch) -> None:
        buffer = scratch.buffer
        name = self.pointers[buffer] = self.names.fresh(buffer.name)
        shape = shape_text(buffer.dtype, buffer.shape)
        self.line(f"{type_of(buffer.dtype)} {name}[{elements(buffer.shape)}]; /* {shape} */")

    def transpose(self, tile: ir.Transpose) -> None:
        raise CompileError(f"a transposed tile of {tile.rows} x {tile.columns} has no C code")

    def branch(self, branch: ir.If) -> None:
        self.open(f"if ({self.value(branch.condition)})")
        with self.scope():
            self.block(branch.body)
        self.close()

    def loop(self, loop: ir.Loop) -> None:
        start, stop = self.bound(loop.start), self.bound(loop.stop)
        with self.scope():
            name = self.bind(loop.variable)
            small = start is not None and stop is not None
            type_ = "int32_t" if small else "int64_t"
            first = start.text if start is not None else self.value(loop.start)  # type: ignore[arg-type]
            last = stop.text if stop is not None else self.value(loop.stop)  # type: ignore[arg-type]
            step = f"{name}++" if loop.step == 1 else f"{name} += {loop.step}"
            self.open(f"for ({type_} {name} = {first}; {name} < {last.within(SUM)}; {step})")
            if start is not None and stop is not None:
                high = max(stop.high - 1, start.low)
                self.indices[loop.variable.name] = Ranged(Text(name), start.low, high)
            self.block(loop.body)
            self.close()

    def open(self, head: str) -> None:
        """Writes the head of a block and opens the block."""
        self.line(f"{head} {{")
        self.indent += 1

    def close(self) -> None:
        """Closes a block."""
        self.indent -= 1
        self.line("}")

    def bound(self, bound: int | ir.Expression) -> Ranged | None:
        return plain(ir.constant(bound) if isinstance(bound, int) else bound, self.indices)

    # -- places ------------------------------------------------------------------------------------

    def pointer(self, buffer: ir.Buffer) -> str:
        if buffer not in self.pointers:
            raise CompileError(f"buffer {buffer.name} is not in scope")
        return self.pointers[buffer]

    def register(self, register: ir.Register) -> str:
        if register not in self.registers:
            raise CompileError(f"register {register.name} is not declared")
        return self.registers[register]

    def offset(self, buffer: ir.Buffer, index: tuple[ir.Expression, ...]) -> Text:
        """Returns the number of elements before the one at an index."""
        total: ir.Expression = ir.constant(0)
        for part, extent, stride in zip(index, buffer.shape, buffer.strides, strict=True):
            if extent != 1:
                total = add_terms(total, part * stride)
        return self.value(total)

    # -- expressions -------------------------------------------------------------------------------

    def value(self, expression: ir.Expression) -> Text:
        """Returns the text of an expression."""
        if expression.lanes != 1:
            raise CompileError(f"an expression of {expression.lanes} lanes has no C code")
        index = plain(expression, self.indices)
        return index.text if index is not None else self.visit(expression)

    def constant(self, part: ir.Constant) -> Text:
        text = literal(part.value, part.dtype)
        return Text(text, SUM if text.startswith(("-", "(")) else operators.ATOM)

    def variable(self, part: ir.Variable) -> Text:
        if part.name not in self.variables:
            raise CompileError(f"variable {part.name} has no value")
        return self.variables[part.name]

    def unary(self, part: ir.Unary) -> Text:
        if part.op in TRANSCENDENTAL and part.x.dtype.is_float:
            return self.approximate(part.op, part.x)
        x = self.value(part.x)
        return operators.unary(self.source.use, part.op, x, part.x.dtype, part.dtype)

    def binary(self, part: ir.Binary) -> Text:
        dtype = part.a.dtype
        if part.op in TRANSCENDENTAL and dtype.kind != "bool":
            return self.approximate(part.op, part.a, part.b)
        return operators.binary(
            self.source.use, part.op, self.value(part.a), self.value(part.b), dtype
        )

    def fma(self, part: ir.Fma) -> Text:
        a, b, c = (self.value(one) for one in (part.a, part.b, part.c))
        return operators.fma(self.source.use, a, b, c, part.dtype)

    def select(self, part: ir.Select) -> Text:
        operands = [self.value(one) for one in (part.condition, part.yes, part.no)]
        return operators.select(*operands)

    def cast(self, part: ir.Cast) -> Text:
        return operators.convert(self.source.use, self.value(part.x), part.x.dtype, part.dtype)

    def load(self, part: ir.Load) -> Text:
        element = Text(f"{self.pointer(part.buffer)}[{self.offset(part.buffer, part.index)}]")
        if part.mask is None:
            return element
        zero = Text(literal(0, part.dtype))
        return operators.select(self.value(part.mask), element, zero)

    def read(self, part: ir.Read) -> Text:
        return Text(self.register(part.register))

    def approximate(self, op: str, *arguments: ir.Expression) -> Text:
        dtype = arguments[0].dtype
        texts = [
            operators.convert(self.source.use, self.value(one), dtype, dtype.compute)
            for one in arguments
        ]
        name = self.source.transcendental(op, dtype.compute, len(arguments))
        result = Text(f"{name}({', '.join(map(str, texts))})")
        return operators.convert(self.source.use, result, dtype.compute, dtype)


def _terms(value: ir.Expression) -> list[ir.Expression]:
    """Returns the terms of a sum of floats, which are added from the left."""
    if isinstance(value, ir.Binary) and value.op == "add" and value.dtype.compute is value.dtype:
        return [*_terms(value.a), value.b] if value.dtype.is_float else [value]
    return [value]


def _names_read(several: Iterable[ir.Expression]) -> set[str]:
    """Returns the variables in the C text of expressions; see `_long_axes`."""
    names, seen, stack = set(), set(), list(several)
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if type(part) is ir.Variable:
            names.add(part.name)
        elif type(part) is ir.Load:
            stack += _long_axes(part.buffer, part.index)
            stack += [] if part.mask is None else [part.mask]
        else:
            stack += ir.children(part)
    return names


def _long_axes(buffer: ir.Buffer, index: tuple[ir.Expression, ...]) -> list[ir.Expression]:
    """Returns the indices along axes of more than one element: others add nothing to an offset."""
    return [part for part, extent in zip(index, buffer.shape, strict=True) if extent != 1]


def _expressions_written(statement: ir.Statement) -> Iterator[ir.Expression]:
    """Yields the expressions in the C text of a statement, and of those within it."""
    for part in statements([statement]):
        if isinstance(part, ir.Store):
            yield from _long_axes(part.buffer, part.index)
            yield part.value
            if part.mask is not None:
                yield part.mask
        else:
            yield from own_expressions(part)
