"""Loop IR to LLVM IR: one method for each kind of statement, one rule for each kind of expression.

A kernel becomes an internal function of pointers to its buffers. A parallel kernel's function also
takes a range of iterations, and has a second entry that unpacks its pointers for the thread pool.
`step.py` writes what a step does around its kernels.
"""

from __future__ import annotations

import re
from itertools import product
from typing import NamedTuple

from smelt.compiler.codegen import memory as llvm_memory
from smelt.compiler.codegen.arithmetic import binary, fma, reduce, select, unary
from smelt.compiler.codegen.convert import convert
from smelt.compiler.codegen.operands import constant, splat
from smelt.compiler.codegen.step import emit_call, emit_job, emit_step
from smelt.compiler.codegen.transcendental import TRANSCENDENTAL, expand
from smelt.compiler.codegen.transcendental.integer_power import integer_power
from smelt.compiler.codegen.writer import (
    Module,
    Value,
    Writer,
    integer,
    memory_type,
    ramp,
    register_type,
)
from smelt.dtypes import DType, int64
from smelt.errors import CompileError
from smelt.ir import loops as ir
from smelt.ir.program import Program, collectives
from smelt.ir.symbolic import is_symbolic, largest, settled
from smelt.ir.visit import Visitor
from smelt.mpi.native import SYMBOL

# the attributes let LLVM use the widest vectors that the CPU has, as the loops ask for
ATTRIBUTES = 'nounwind noinline "min-legal-vector-width"="512" "prefer-vector-width"="512"'
HELPER = ATTRIBUTES.replace("noinline", "alwaysinline")
_LEAVES = (ir.Constant, ir.Variable, ir.Lanes)
_ODD = r"[^\w.-]"  # characters that names of functions do not have
SHORT = 1 << 30  # limit for the bounds of a loop that counts in 32 bits
STACK_BYTES = 1 << 20  # limit for the scratch buffers of one kernel, on a thread's stack


def emit(program: Program, entry: str = "run", threads: bool = True) -> str:
    """Returns the LLVM module of a program; it exports `entry` and `entry_block` of `step.py`.

    With `threads`, parallel kernels are passed to the external function `smelt_parallel`.

    Raises CompileError when the program contains something that has no machine code.
    """
    return str(emitted(program, entry, threads))


def emitted(program: Program, entry: str = "run", threads: bool = True) -> Module:
    """Returns the module whose text `emit` returns."""
    module = Module()
    names = {
        kernel: f'@"{re.sub(_ODD, "_", kernel.name)}.{number}"'
        for number, kernel in enumerate(program.kernels)
    }
    for kernel, name in names.items():
        emit_kernel(module, kernel, name, program.is_dynamic)
    if collectives(program):
        module.declarations[SYMBOL] = f"@{SYMBOL} = external global i64"
    emit_step(module, program, names, entry, threads)
    emit_call(module, f"{entry}_block", entry)
    return module


def emit_kernel(module: Module, kernel: ir.Kernel, name: str, is_dynamic: bool = False) -> None:
    """Adds a kernel's function to the module, and the entry for the thread pool if it is parallel.

    The parameters are one pointer per buffer, in the order of `kernel.buffers`, no two of which
    alias; then the program's parameters, if it has some; then, if the kernel is parallel, begin and
    end of a range of iterations.
    """
    function = _Function(module, kernel)
    function.block(kernel.body)
    function.writer.do("ret void")
    outputs = set(kernel.outputs)
    parameters = [
        f"{_parameter(buffer, buffer in outputs)} {function.pointers[buffer]}"
        for buffer in kernel.buffers
    ]
    parameters += ["ptr %parameters"] if is_dynamic else []
    if kernel.parallel:
        parameters += ["i64 %begin", "i64 %end"]
    function.writer.finish(f"define internal void {name}({', '.join(parameters)}) {ATTRIBUTES}")
    if kernel.parallel:
        emit_job(module, name, len(kernel.buffers) + is_dynamic)


def _parameter(buffer: ir.Buffer, is_output: bool) -> str:
    size = buffer.existing * buffer.dtype.itemsize
    known = f" dereferenceable({size})" if size and not is_symbolic(size) else ""
    return f"ptr noalias{'' if is_output else ' readonly'}{known}"


class Memory(NamedTuple):
    """A part of the stack: the type of its elements, how many there are, where it begins."""

    type: str
    size: int
    address: str


class _Function(Visitor):
    """The state of one kernel's emission: where buffers and registers are, what names stand for."""

    def __init__(self, module: Module, kernel: ir.Kernel | None = None) -> None:
        self.writer = Writer(module)
        self.kernel = kernel
        buffers = kernel.buffers if kernel else ()
        self.pointers = {buffer: f"%b{number}" for number, buffer in enumerate(buffers)}
        self.cells: dict[tuple[ir.Register, tuple[int, ...]], str] = {}
        self.names: dict[str, Value] = {}
        self.scratch_bytes = 0
        self.scratches: dict[ir.Buffer, Memory] = {}  # in scope, the outermost first
        self.free: list[Memory] = []  # of scratches whose scope has ended

    # -- statements ------------------------------------------------------------------------------

    def block(self, body: tuple[ir.Statement, ...]) -> None:
        """Writes statements in order; their names and scratches end with the block."""
        outer, count = dict(self.names), len(self.scratches)
        for statement in body:
            self.visit(statement)
        self.names = outer
        for buffer in list(self.scratches)[count:]:
            del self.pointers[buffer]
            self.free.append(self.scratches.pop(buffer))

    def let(self, let: ir.Let) -> None:
        value, lanes = self.value(let.value), let.variable.lanes
        self.names[let.variable.name] = value if value.lanes == lanes else self.splat(value, lanes)

    def splat(self, value: Value, lanes: int) -> Value:
        """Returns the value with that many lanes; index vectors stay formulas."""
        if value.lanes == 1 and value.dtype is int64 and lanes > 1:
            return value._replace(lanes=lanes, lane_offsets=ramp(0, lanes))
        return splat(self.writer, value, lanes)

    def declare(self, declare: ir.Declare) -> None:
        register = declare.register
        start = splat(self.writer, self.value(declare.start), register.lanes)
        type_ = register_type(register.dtype, register.lanes)
        for place in product(*map(range, register.shape)):
            if (register, place) not in self.cells:
                self.cells[register, place] = self.writer.alloca(type_)
            self.writer.do(f"store {start.typed}, ptr {self.cells[register, place]}")

    def assign(self, assign: ir.Assign) -> None:
        value = splat(self.writer, self.value(assign.value), assign.register.lanes)
        cell = self.cell(assign.register, [self.value(part) for part in assign.index])
        self.writer.do(f"store {value.typed}, ptr {cell}")

    def store(self, store: ir.Store) -> None:
        index = [self.value(part) for part in store.index]
        mask = None if store.mask is None else self.value(store.mask)
        value, pointer = self.value(store.value), self.pointer(store.buffer)
        llvm_memory.store(self.writer, pointer, store.buffer, index, value, mask)

    def scratch(self, scratch: ir.Scratch) -> None:
        buffer = scratch.buffer
        if buffer in self.pointers:  # declared by another copy of a tile's statements
            return
        memory = self.free_memory(buffer) or self.new_memory(buffer)
        self.scratches[buffer], self.pointers[buffer] = memory, memory.address

    def free_memory(self, buffer: ir.Buffer) -> Memory | None:
        """Takes the smallest free memory that is large enough; None if there is none."""
        type_, size = memory_type(buffer.dtype), largest(buffer.size)
        fitting = [one for one in self.free if one.type == type_ and one.size >= size]
        if not fitting:
            return None
        memory = min(fitting, key=lambda one: one.size)
        self.free.remove(memory)
        return memory

    def new_memory(self, buffer: ir.Buffer) -> Memory:
        """Reserves memory on the stack for a scratch."""
        type_, size = memory_type(buffer.dtype), max(largest(buffer.size), 1)
        self.scratch_bytes += size * buffer.dtype.itemsize
        if self.scratch_bytes > STACK_BYTES:
            raise CompileError(
                f"scratch buffers take {self.scratch_bytes} bytes of stack, more than {STACK_BYTES}"
            )
        return Memory(type_, size, self.writer.alloca(f"[{size} x {type_}]"))

    def transpose(self, tile: ir.Transpose) -> None:
        source = [self.value(part) for part in tile.source_index]
        target = [self.value(part) for part in tile.target_index]
        llvm_memory.transpose(
            self.writer,
            (self.pointer(tile.source), tile.source, source, tile.source_axis),
            (self.pointer(tile.target), tile.target, target, tile.target_axis),
            tile.rows,
            tile.columns,
        )

    def branch(self, branch: ir.If) -> None:
        with self.writer.when(self.value(branch.condition).text):
            self.block(branch.body)

    def loop(self, loop: ir.Loop) -> None:
        if loop.kind == "unroll":
            self.unroll(loop)
        elif loop.kind == "parallel":
            self.share(loop)
        else:
            start, stop = self.bound(loop.start), self.bound(loop.stop)
            known = start.number is not None and stop.number is not None
            runs = known and start.number < stop.number  # type: ignore[operator]
            if not known or runs:
                self.run(loop, start, stop, runs)

    def run(self, loop: ir.Loop, start: Value, stop: Value, runs: bool) -> None:
        limit = stop.upper_bound if start.upper_bound is not None else None
        short = limit is not None and max(limit, start.upper_bound or 0, loop.step) <= SHORT
        with self.writer.loop(start.text, stop.text, loop.step, runs=runs, short=short) as index:
            self.names[loop.variable.name] = Value(index, int64, upper_bound=limit)
            self.block(loop.body)

    def unroll(self, loop: ir.Loop) -> None:
        start, stop = (self.bound(settled(bound)).number for bound in (loop.start, loop.stop))
        if start is None or stop is None:
            raise CompileError(f"the bounds of the unrolled loop {loop.variable.name} are unknown")
        for number in range(start, stop, loop.step):
            self.names[loop.variable.name] = integer(number)
            self.block(loop.body)

    def share(self, loop: ir.Loop) -> None:
        """Writes the part of a parallel loop that one thread claims: iterations begin to end."""
        start, stop = self.bound(loop.start), self.bound(loop.stop)
        with self.writer.loop("%begin", "%end", 1, runs=True) as number:
            iteration = Value(number, int64, upper_bound=stop.upper_bound)
            steps = binary(self.writer, "mul", iteration, integer(loop.step))
            index = binary(self.writer, "add", steps, start)
            limit = stop.upper_bound if start.upper_bound is not None else None
            self.names[loop.variable.name] = index._replace(upper_bound=limit)
            self.block(loop.body)

    def bound(self, bound: int | ir.Expression) -> Value:
        return integer(bound) if isinstance(bound, int) else self.value(bound)

    # -- places ----------------------------------------------------------------------------------

    def pointer(self, buffer: ir.Buffer) -> str:
        if buffer not in self.pointers:
            raise CompileError(f"buffer {buffer.name} is not in scope")
        return self.pointers[buffer]

    def cell(self, register: ir.Register, index: list[Value]) -> str:
        place = tuple(part.number for part in index)
        if (register, place) not in self.cells:
            raise CompileError(f"register {register.name}{list(place)} is not declared")
        return self.cells[register, place]  # type: ignore[index]

    # -- expressions -----------------------------------------------------------------------------

    def value(self, root: ir.Expression) -> Value:
        """Writes an expression and everything below it, each object once, without recursion."""
        done: dict[int, Value] = {}
        stack = [root]
        while stack:
            part, ready = stack[-1], True
            below = ir.children(part)
            for child in below:
                if id(child) in done:
                    continue
                if type(child) in _LEAVES:
                    done[id(child)] = self.visit(child)
                else:
                    stack.append(child)
                    ready = False
            if ready and id(part) not in done:
                operands = [done[id(child)] for child in below]
                done[id(part)] = self.visit(part, *operands)
            if ready:
                stack.pop()
        return done[id(root)]

    def constant(self, part: ir.Constant) -> Value:
        if part.dtype is int64 and part.lanes > 1:
            return constant(part.value, int64)._replace(
                lanes=part.lanes, lane_offsets=ramp(0, part.lanes)
            )
        return constant(part.value, part.dtype, part.lanes)

    def variable(self, part: ir.Variable) -> Value:
        if part.name not in self.names:
            raise CompileError(f"variable {part.name} has no value")
        return self.names[part.name]

    def lane_numbers(self, part: ir.Lanes) -> Value:
        steps = ramp(1, part.lanes)
        return integer(0)._replace(lanes=part.lanes, upper_bound=part.lanes - 1, lane_offsets=steps)

    def unary(self, part: ir.Unary, x: Value) -> Value:
        if part.op in TRANSCENDENTAL and x.dtype.is_float:
            return self.approximate(part.op, x)
        return unary(self.writer, part.op, x, part.dtype)

    def binary(self, part: ir.Binary, a: Value, b: Value) -> Value:
        if part.op in TRANSCENDENTAL and a.dtype.kind != "bool":
            return self.approximate(part.op, a, b)
        return binary(self.writer, part.op, a, b)

    def fma(self, _part: ir.Fma, a: Value, b: Value, c: Value) -> Value:
        return fma(self.writer, a, b, c)

    def select(self, _part: ir.Select, condition: Value, yes: Value, no: Value) -> Value:
        return select(self.writer, condition, yes, no)

    def cast(self, part: ir.Cast, x: Value) -> Value:
        return convert(self.writer, x, part.dtype)

    def load(self, part: ir.Load, *operands: Value) -> Value:
        index = operands[: len(part.index)]
        mask = operands[-1] if part.mask is not None else None
        pointer = self.pointer(part.buffer)
        return llvm_memory.load(self.writer, pointer, part.buffer, index, mask)

    def read(self, part: ir.Read, *index: Value) -> Value:
        register = part.register
        type_ = register_type(register.dtype, register.lanes)
        text = self.writer.load(type_, self.cell(register, list(index)))
        return Value(text, register.dtype, register.lanes)

    def reduce(self, part: ir.Reduce, x: Value) -> Value:
        return reduce(self.writer, part.op, x)

    def approximate(self, op: str, *arguments: Value) -> Value:
        """Calls the helper that computes `op` by arithmetic alone; writes it on first use."""
        dtype = arguments[0].dtype
        if dtype.compute is not dtype:
            wide = [convert(self.writer, part, dtype.compute) for part in arguments]
            return convert(self.writer, self.approximate(op, *wide), dtype)
        lanes = max(part.lanes for part in arguments)
        operands = [splat(self.writer, part, lanes).typed for part in arguments]
        name, type_ = f"{op}.{dtype.name}.{lanes}", register_type(dtype, lanes)
        if name not in self.writer.module.helpers:
            self.writer.module.helpers.add(name)
            _emit_helper(self.writer.module, name, op, [dtype] * len(arguments), lanes)
        text = self.writer.let(f"call {type_} @{name}({', '.join(operands)})")
        return Value(text, dtype, lanes)


def _emit_helper(module: Module, name: str, op: str, dtypes: list[DType], lanes: int) -> None:
    function = _Function(module)
    arguments = tuple(
        ir.Variable(f"x{number}", dtype, lanes) for number, dtype in enumerate(dtypes)
    )
    values = [Value(f"%{part.name}", part.dtype, lanes) for part in arguments]
    function.names = {part.name: value for part, value in zip(arguments, values, strict=True)}
    statements, result = (integer_power if dtypes[0].kind == "int" else expand)(op, arguments)
    for statement in statements:
        function.visit(statement)
    returned = splat(function.writer, function.value(result), lanes)
    function.writer.do(f"ret {returned.typed}")
    parameters = ", ".join(value.typed for value in values)
    function.writer.finish(f"define internal {returned.type} @{name}({parameters}) {HELPER}")
