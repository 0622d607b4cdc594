"""Checks that a kernel is well formed: after every pass in tests, before compilation in use."""

from __future__ import annotations

from smelt.dtypes import DType, bool_, int64
from smelt.errors import CompileError
from smelt.ir import loops as ir
from smelt.ir.affine import LANE, Affine, affine
from smelt.ir.program import Program
from smelt.ir.show import expression_text, statement_text
from smelt.ir.visit import Visitor

_FLAGS = frozenset(["logical_not", "isnan", "isinf"])  # unary operations that give bool


def verify(kernel: ir.Kernel) -> None:
    """Checks names, dtypes, lanes, ranks, loop kinds, and bounds of affine indices without a mask.

    A let's name must be unique in a kernel; consecutive loops may share the name of their index.

    Raises CompileError, which names the kernel and the statement.
    """
    _Verifier(kernel).kernel()


def verify_program(program: Program) -> None:
    """Verifies every kernel of a program."""
    for kernel in program.kernels:
        verify(kernel)


class _Verifier(Visitor):
    """What is in scope at the current statement of a kernel."""

    def __init__(self, source: ir.Kernel) -> None:
        self.source = source
        self.buffers: set[ir.Buffer] = set(source.buffers)
        self.registers: set[ir.Register] = set()
        self.variables: dict[str, ir.Variable] = {}
        self.named: set[str] = set()  # by any let so far
        self.unrolled: set[str] = set()  # indices of unrolled loops
        self.sums: dict[str, Affine | None] = {}  # the affine forms of int64 lets
        self.ranges: dict[str, tuple[int, int]] = {}
        self.guarded = False  # inside an if, whose condition may keep indices in bounds
        self.here: ir.Statement | None = None

    def kernel(self) -> None:
        for statement in self.source.body[:-1]:
            self.require(
                self.source.parallel is None or isinstance(statement, ir.Let),
                "only lets may stand before a parallel loop",
                statement,
            )
        self.block(self.source.body, depth=0)

    def require(self, holds: bool, problem: str, where: ir.Statement | None = None) -> None:
        if not holds:
            raise self.error(problem, where)

    def error(self, problem: str, where: ir.Statement | None = None) -> CompileError:
        statement = where or self.here
        text = statement_text(statement) if statement else ""
        return CompileError(f"kernel {self.source.name}: {problem} in `{text}`")

    # -- statements --------------------------------------------------------------------------------

    def block(self, body: tuple[ir.Statement, ...], depth: int) -> None:
        variables, registers = dict(self.variables), set(self.registers)
        buffers, unrolled = set(self.buffers), set(self.unrolled)
        for statement in body:
            self.here = statement
            self.visit(statement, depth)
        self.variables, self.registers = variables, registers
        self.buffers, self.unrolled = buffers, unrolled

    def bind(self, variable: ir.Variable) -> None:
        self.require(variable.name not in self.variables, f"{variable.name} is defined twice")
        self.variables[variable.name] = variable
        self.sums.pop(variable.name, None)
        self.ranges.pop(variable.name, None)

    def let(self, let: ir.Let, depth: int) -> None:
        self.expression(let.value)
        self.agree(let.variable, let.value)
        self.require(let.variable.lanes == let.value.lanes, "name and value differ in lanes")
        name = let.variable.name
        self.require(name not in self.named, f"{name} is defined twice")
        self.named.add(name)
        self.bind(let.variable)
        if let.value.dtype is int64:
            self.sums[let.variable.name] = affine(let.value, self.sums)

    def declare(self, declare: ir.Declare, depth: int) -> None:
        register = declare.register
        self.expression(declare.start)
        self.require(register not in self.registers, f"register {register.name} is declared twice")
        self.fits(declare.start, register.dtype, register.lanes)
        self.registers.add(register)

    def assign(self, assign: ir.Assign, depth: int) -> None:
        self.register(assign.register, assign.index)
        self.expression(assign.value)
        self.fits(assign.value, assign.register.dtype, assign.register.lanes)

    def store(self, store: ir.Store, depth: int) -> None:
        for part in (*store.index, store.value, *(() if store.mask is None else (store.mask,))):
            self.expression(part)
        self.access(store.buffer, store.index, store.mask)
        lanes = max((part.lanes for part in store.index), default=1)
        self.fits(store.value, store.buffer.dtype, lanes)
        mask = store.mask
        self.require(mask is None or mask.lanes in (1, lanes), "mask and index differ in lanes")
        local = store.buffer not in self.source.inputs or store.buffer in self.source.outputs
        self.require(local, f"{store.buffer.name} is an input, which may only be read")

    def scratch(self, scratch: ir.Scratch, depth: int) -> None:
        self.require(scratch.buffer not in self.buffers, "the scratch buffer is declared twice")
        self.buffers.add(scratch.buffer)

    def transpose(self, tile: ir.Transpose, depth: int) -> None:
        rows, columns = (tile.source_axis, tile.rows), (tile.target_axis, tile.columns)
        for extent in (tile.rows, tile.columns):
            power = extent > 0 and extent & (extent - 1) == 0
            self.require(power, "the side of a tile is not a power of two")
        self.require(tile.source.dtype is tile.target.dtype, "the dtypes differ")
        self.tile(tile.source, tile.source_index, rows, tile.columns)
        self.tile(tile.target, tile.target_index, columns, tile.rows)

    def tile(
        self, buffer: ir.Buffer, index: tuple[ir.Expression, ...], side: tuple[int, int], width: int
    ) -> None:
        """Checks the first and the last element of a tile."""
        axis, extent = side
        self.require(0 <= axis < len(buffer.shape) - 1, "the axis of a tile is not before the last")
        reach = {axis: extent - 1, len(buffer.shape) - 1: width - 1}
        for part in index:
            self.expression(part)
        self.access(buffer, index, None, reach)

    def loop(self, loop: ir.Loop, depth: int) -> None:
        static = isinstance(loop.start, int) and isinstance(loop.stop, int)
        self.require(loop.kind in ("serial", "parallel", "unroll"), f"unknown kind {loop.kind!r}")
        self.require(loop.kind == "serial" or static, f"bounds of a {loop.kind} loop must be ints")
        outermost = loop.kind != "parallel" or (depth == 0 and loop is self.source.parallel)
        self.require(outermost, "only the outermost loop may be parallel")
        self.require(loop.step > 0, "a step must be positive")
        for bound in (loop.start, loop.stop):
            if not isinstance(bound, int):
                self.expression(bound)
                self.fits(bound, int64, 1)
        variables = dict(self.variables)
        self.bind(loop.variable)
        self.fits(loop.variable, int64, 1)
        if isinstance(loop.start, int) and isinstance(loop.stop, int):
            steps = range(loop.start, loop.stop, loop.step)
            if not steps:
                self.variables = variables
                return
            self.ranges[loop.variable.name] = (steps[0], steps[-1])
        else:
            self.follow(loop)
        if loop.kind == "unroll":
            self.unrolled.add(loop.variable.name)
        self.block(loop.body, depth + 1)
        self.variables = variables
        self.unrolled.discard(loop.variable.name)

    def follow(self, loop: ir.Loop) -> None:
        """Records the range of the index of a loop with a fixed length but an unknown start."""
        start, stop = (
            Affine(bound) if isinstance(bound, int) else affine(bound, self.sums)
            for bound in (loop.start, loop.stop)
        )
        name = loop.variable.name
        self.sums[name] = None
        if start is not None and stop is not None:
            length = stop + start.scaled(-1)
            if not length.terms and length.constant > 0:
                self.ranges["from " + name] = (0, (length.constant - 1) // loop.step * loop.step)
                self.sums[name] = start + Affine(0, {"from " + name: 1})

    def branch(self, branch: ir.If, depth: int) -> None:
        self.expression(branch.condition)
        self.fits(branch.condition, bool_, 1)
        guarded, self.guarded = self.guarded, True
        self.block(branch.body, depth + 1)
        self.guarded = guarded

    # -- places ------------------------------------------------------------------------------------

    def register(self, register: ir.Register, index: tuple[ir.Expression, ...]) -> None:
        self.require(register in self.registers, f"register {register.name} is not declared")
        self.require(len(index) == len(register.shape), f"{register.name}: wrong number of indices")
        for part, extent in zip(index, register.shape, strict=True):
            place = affine(part, self.sums)
            static = place is not None and all(name in self.unrolled for name in place.terms)
            self.require(static, f"an index of {register.name} is not known at compile time")
            self.inside(part, extent, register.name)

    def access(
        self,
        buffer: ir.Buffer,
        index: tuple[ir.Expression, ...],
        mask: ir.Expression | None,
        reach: dict[int, int] | None = None,
    ) -> None:
        self.require(buffer in self.buffers, f"buffer {buffer.name} is not in scope")
        count = len(buffer.shape)
        self.require(len(index) == count, f"{len(index)} indices for {count} axes of {buffer.name}")
        wide = {part.lanes for part in index if part.lanes > 1}
        self.require(len(wide) <= 1, f"indices of {buffer.name} have different lanes")
        for axis, part in enumerate(index):
            self.fits(part, int64, part.lanes)
            if mask is None and not self.guarded:
                self.inside(part, buffer.shape[axis], buffer.name, (reach or {}).get(axis, 0))
        if mask is not None:
            self.fits(mask, bool_, mask.lanes)
        elif buffer.missing and not self.guarded:
            self.exists(buffer, index, reach or {})

    def exists(
        self, buffer: ir.Buffer, index: tuple[ir.Expression, ...], reach: dict[int, int]
    ) -> None:
        """Checks that the last element of an access is not a missing one."""
        lanes = {LANE: (0, max((part.lanes for part in index), default=1) - 1)}
        last = 0
        for axis, (part, stride) in enumerate(zip(index, buffer.strides, strict=True)):
            place = affine(part, self.sums)
            bounds = None if place is None else place.bounds(self.ranges | lanes)
            if bounds is None:
                return
            last += stride * (bounds[1] + reach.get(axis, 0))
        if last >= buffer.existing:
            raise self.error(f"element {last} of {buffer.name} is missing,")

    def inside(self, index: ir.Expression, extent: int, name: str, reach: int = 0) -> None:
        place = affine(index, self.sums)
        lanes = {LANE: (0, index.lanes - 1)}
        bounds = place.bounds(self.ranges | lanes) if place is not None else None
        if bounds is not None:
            low, high = bounds[0], bounds[1] + reach
            if low < 0 or high >= extent:
                text = f"{expression_text(index)} ranges from {low} to {high}"
                raise self.error(f"{text}, outside an axis of {extent} of {name},")

    # -- expressions -------------------------------------------------------------------------------

    def fits(self, value: ir.Expression, dtype: DType, lanes: int) -> None:
        if value.dtype is not dtype or value.lanes not in (1, lanes):
            text = f"{expression_text(value)} is {value.dtype.name} x {value.lanes}"
            raise self.error(f"{text} instead of {dtype.name} x {lanes},")

    def agree(self, first: ir.Expression, *others: ir.Expression) -> None:
        for other in others:
            if first.dtype is not other.dtype:
                texts = [f"{expression_text(x)} is {x.dtype.name}" for x in (first, other)]
                raise self.error(" but ".join(texts))
        self.same_lanes(first, *others)

    def same_lanes(self, *parts: ir.Expression) -> None:
        wide = {part.lanes for part in parts if part.lanes > 1}
        if len(wide) > 1:
            raise self.error(f"operands are vectors of {sorted(wide)} lanes")

    def expression(self, expression: ir.Expression) -> None:
        """Checks an expression and all its subexpressions, each object once."""
        for part in ir.walk(expression):
            if not isinstance(part, (ir.Cast, ir.Lanes)):  # nothing can be wrong with these
                self.visit(part)

    def constant(self, constant: ir.Constant) -> None:
        self.require(constant.lanes >= 1, "a constant has no lanes")

    def variable(self, variable: ir.Variable) -> None:
        self.require(variable.name in self.variables, f"{variable.name} is not defined")
        self.require(
            self.variables[variable.name] == variable,
            f"{variable.name} differs in dtype or lanes from its definition",
        )

    def unary(self, unary: ir.Unary) -> None:
        self.require(unary.op in ir.UNARY, f"unknown operation {unary.op!r}")
        if unary.op in _FLAGS:
            self.require(unary.dtype is bool_, f"the dtype of {unary.op} must be bool")
        elif unary.op == "bitcast":
            same = unary.x.dtype.itemsize == unary.dtype.itemsize
            self.require(same, "bitcast between different widths")
        else:
            self.require(unary.dtype is unary.x.dtype, f"{unary.op} must not change the dtype")

    def binary(self, binary: ir.Binary) -> None:
        self.require(binary.op in ir.ARITHMETIC | ir.COMPARE, f"unknown operation {binary.op!r}")
        self.agree(binary.a, binary.b)

    def fma(self, fma: ir.Fma) -> None:
        self.agree(fma.a, fma.b, fma.c)

    def select(self, select: ir.Select) -> None:
        self.require(select.condition.dtype is bool_, "a condition is not bool")
        self.agree(select.yes, select.no)
        self.same_lanes(*ir.children(select))

    def load(self, load: ir.Load) -> None:
        self.access(load.buffer, load.index, load.mask)

    def read(self, read: ir.Read) -> None:
        self.register(read.register, read.index)

    def reduce(self, reduce: ir.Reduce) -> None:
        lanes = reduce.x.lanes
        self.require(reduce.op in ir.REDUCE, f"cannot reduce by {reduce.op!r}")
        self.require(lanes & (lanes - 1) == 0, f"{lanes} lanes are not a power of two")
