"""A plain-Python interpreter of the loop IR: it defines what a kernel means.

It is slow and checks everything that machine code does not: an index outside its axis, two lanes
that write the same element, an array that does not match its buffer. Scratch and arena memory
start as nan (or -1), so that reading a value before it is written is noticed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from smelt.errors import CompileError
from smelt.ir import arithmetic
from smelt.ir import loops as ir
from smelt.ir.program import (
    Branch,
    Call,
    Check,
    Collective,
    Program,
    Region,
    Repeat,
    Sections,
    Slot,
)
from smelt.ir.show import node_text
from smelt.ir.visit import Visitor
from smelt.mpi.group import current

Value = arithmetic.Value
_UNWRITTEN = 0xFF  # the initial value of each byte of memory: reads as nan, or -1


def run_kernel(kernel: ir.Kernel, arrays: Sequence[np.ndarray], backwards: bool = False) -> None:
    """Runs a kernel on arrays in the order of `kernel.buffers`; outputs are changed in place.

    An array may differ from its buffer in shape, but not in size, since both are dense. It does not
    contain the buffer's missing elements.

    With `backwards`, the iterations of the parallel loop run last to first: a correct kernel gives
    the same bits.

    Raises CompileError when an array does not fit its buffer, or the kernel is invalid.
    """
    buffers = kernel.buffers
    if len(arrays) != len(buffers):
        raise CompileError(f"{kernel.name} takes {len(buffers)} arrays; got {len(arrays)}")
    for buffer, array in zip(buffers, arrays, strict=True):
        _check_array(kernel.name, buffer, array)
    shaped = (_shaped(buffer, array) for buffer, array in zip(buffers, arrays, strict=True))
    machine = _Machine(kernel, dict(zip(buffers, shaped, strict=True)), backwards)
    with np.errstate(all="ignore"):
        machine.block(kernel.body)


def run_program(program: Program, arrays: Mapping[Slot, np.ndarray]) -> int:
    """Runs one step in place, on one array for every slot except those in the arena.

    Returns 0, or `check.number + 1` when a check ended the step.

    Raises CompileError when a slot has no array, or a kernel is invalid.
    """
    arena = np.full(program.arena_bytes, _UNWRITTEN, np.uint8)
    return _run(program, dict(arrays), arena)


def _run(program: Program, places: dict[Slot, np.ndarray], arena: np.ndarray) -> int:
    for slot in program.slots:
        if slot.kind == "arena":
            block = arena[slot.offset : slot.offset + slot.nbytes]
            places[slot] = block.view(slot.dtype.storage).reshape(slot.shape)
        elif slot not in places:
            raise CompileError(f"slot {slot.name} ({slot.kind} {slot.number}) has no array")
    for part in program.body:
        match part:
            case Call():
                _call(part, places)
            case Sections(calls=several):
                for call in reversed(
                    several
                ):  # the order does not matter; this one shows if it does
                    _call(call, places)
            case Check(slot=slot, number=number) if places[slot].any():
                return number + 1
            case Collective():
                places[part.target][...] = _collective(part, places[part.source])
            case Repeat(region=region):
                for chunk in range(part.chunks):
                    for iteration in _iterations(part, places):
                        _run_region(region, places, iteration, chunk)
            case Branch(flag=flag, yes=yes, no=no):
                _run_region(yes if places[flag].any() else no, places, 0)
    return 0


def _call(call: Call, places: Mapping[Slot, np.ndarray]) -> None:
    pairs = zip(call.kernel.buffers, call.places, strict=True)
    run_kernel(call.kernel, [_part(places[slot], at, buffer) for buffer, (slot, at) in pairs])


def _collective(part: Collective, array: np.ndarray) -> np.ndarray | int:
    """Returns the result of a collective; a nonblocking one completes at once."""
    group = current()
    match part.function:
        case "MPI_Allreduce" | "MPI_Iallreduce":
            return group.all_reduce(array, part.op)
        case "MPI_Allgather":
            return group.all_gather(array)
        case "MPI_Reduce_scatter_block":
            return group.reduce_scatter(array, part.op)
        case "MPI_Alltoall":
            return group.all_to_all(array)
        case "MPI_Bcast":
            return group.broadcast(array, part.root)
        case "MPI_Barrier":
            group.barrier()
    return 0  # of a barrier, or of waiting for a request


def _part(array: np.ndarray, offset: int, buffer: ir.Buffer) -> np.ndarray:
    """Returns the elements of a buffer that begins `offset` bytes into an array."""
    first, size = offset // array.itemsize, buffer.existing
    return array if array.size == size else array.reshape(-1)[first : first + size]


def _shaped(buffer: ir.Buffer, array: np.ndarray) -> np.ndarray:
    """Returns an array in the shape of its buffer; missing elements read as unwritten memory."""
    if buffer.missing:
        whole = _unwritten(buffer)
        whole[: array.size] = array.reshape(-1)
        array = whole
    return array.reshape(buffer.shape)


def _unwritten(buffer: ir.Buffer) -> np.ndarray:
    """Returns a flat array for the elements of a buffer, in which nothing has been written."""
    memory = np.full(buffer.size * buffer.dtype.itemsize, _UNWRITTEN, np.uint8)
    return memory.view(buffer.dtype.storage)


def _iterations(part: Repeat, places: dict[Slot, np.ndarray]) -> Iterator[int]:
    if part.flag is None:
        yield from range(part.trip_count or 0)
    while part.flag is not None and places[part.flag].any():
        yield 0


def _run_region(
    region: Region, places: dict[Slot, np.ndarray], iteration: int, chunk: int = 0
) -> None:
    inner = {}
    for binding in region.bindings:
        slot, begin = binding.inner, binding.start + iteration * binding.stride
        begin += chunk * binding.chunk_stride
        block = places[binding.outer].reshape(-1).view(np.uint8)[begin : begin + slot.nbytes]
        inner[slot] = block.view(slot.dtype.storage).reshape(slot.shape)
    none = np.empty(0, np.uint8)
    arena = none if region.arena is None else places[region.arena].view(np.uint8)
    _run(region.program, inner, arena[chunk * region.program.arena_bytes :])


def _check_array(kernel: str, buffer: ir.Buffer, array: np.ndarray) -> None:
    dense = array.size == buffer.existing and array.flags.c_contiguous
    if not dense or array.dtype != buffer.dtype.storage:
        raise CompileError(
            f"{kernel}: buffer {buffer.name} is {buffer.dtype.name}{list(buffer.shape)}; "
            f"got {'a dense' if dense else 'an'} array of {array.dtype}{list(array.shape)}"
        )


class _Machine(Visitor):
    """The state of one run: arrays of buffers, values of registers and of variables."""

    def __init__(
        self, kernel: ir.Kernel, arrays: dict[ir.Buffer, np.ndarray], backwards: bool
    ) -> None:
        self.kernel = kernel
        self.arrays = arrays
        self.backwards = backwards
        self.registers: dict[ir.Register, np.ndarray] = {}
        self.variables: dict[str, Value] = {}

    def fail(self, statement: ir.Statement | ir.Expression, problem: str) -> CompileError:
        text = node_text(statement)
        known = {name: value.tolist() for name, value in self.variables.items()}
        return CompileError(f"{self.kernel.name}: {problem} in `{text}` with {known}")

    # -- statements --------------------------------------------------------------------------------

    def block(self, body: tuple[ir.Statement, ...]) -> None:
        for statement in body:
            self.visit(statement)

    def let(self, let: ir.Let) -> None:
        self.variables[let.variable.name] = self.value(let.value)

    def declare(self, declare: ir.Declare) -> None:
        register = declare.register
        shape = (*register.shape, register.lanes) if register.lanes > 1 else register.shape
        array = self.registers[register] = np.empty(shape, register.dtype.storage)
        array[...] = self.value(declare.start)

    def assign(self, assign: ir.Assign) -> None:
        array = self.register(assign, assign.register)
        array[self.place(assign, assign.register, assign.index)] = self.value(assign.value)

    def store(self, store: ir.Store) -> None:
        array = self.array(store, store.buffer)
        lanes = max((part.lanes for part in store.index), default=1)
        index = tuple(np.broadcast_to(self.value(part), (lanes,)) for part in store.index)
        value = np.broadcast_to(self.value(store.value), (lanes,))
        if store.mask is not None:
            kept = np.broadcast_to(self.value(store.mask), (lanes,))
            index, value = tuple(part[kept] for part in index), value[kept]
        self.check_bounds(store, index, array.shape)
        if index and len(value) > 1:
            places = np.ravel_multi_index(index, array.shape)
            if len(np.unique(places)) < len(places):
                raise self.fail(store, "two lanes write the same element")
        if len(value):
            array[index] = value if lanes > 1 or index else value[0]

    def scratch(self, scratch: ir.Scratch) -> None:
        buffer = scratch.buffer
        self.arrays[buffer] = _unwritten(buffer).reshape(buffer.shape)

    def transpose(self, tile: ir.Transpose) -> None:
        rows, columns = np.arange(tile.rows)[:, None], np.arange(tile.columns)[None, :]
        source = [np.asarray(self.value(part)) for part in tile.source_index]
        target = [np.asarray(self.value(part)) for part in tile.target_index]
        source[tile.source_axis] = source[tile.source_axis] + rows
        source[-1] = source[-1] + columns
        target[tile.target_axis] = target[tile.target_axis] + columns
        target[-1] = target[-1] + rows
        self.check_bounds(tile, source, tile.source.shape)
        self.check_bounds(tile, target, tile.target.shape)
        values = self.array(tile, tile.source)[tuple(source)]
        self.array(tile, tile.target)[tuple(target)] = values

    def loop(self, loop: ir.Loop) -> None:
        start, stop = (
            bound if isinstance(bound, int) else int(self.value(bound))
            for bound in (loop.start, loop.stop)
        )
        steps = range(start, stop, loop.step)
        if self.backwards and loop.kind == "parallel":
            steps = steps[::-1]
        for step in steps:
            self.variables[loop.variable.name] = np.int64(step)
            self.block(loop.body)

    def branch(self, branch: ir.If) -> None:
        if self.value(branch.condition):
            self.block(branch.body)

    # -- places ------------------------------------------------------------------------------------

    def array(self, where: ir.Statement | ir.Expression, buffer: ir.Buffer) -> np.ndarray:
        if buffer not in self.arrays:
            raise self.fail(where, f"buffer {buffer.name} is not in scope")
        return self.arrays[buffer]

    def register(self, where: ir.Statement | ir.Expression, register: ir.Register) -> np.ndarray:
        if register not in self.registers:
            raise self.fail(where, f"register {register.name} is not declared")
        return self.registers[register]

    def place(
        self,
        where: ir.Statement | ir.Expression,
        register: ir.Register,
        index: tuple[ir.Expression, ...],
    ) -> tuple[Any, ...]:
        place = tuple(self.value(part) for part in index)
        self.check_bounds(where, place, register.shape)
        return (*place, ...)

    def check_bounds(
        self, where: ir.Statement | ir.Expression, index: Sequence[Value], shape: tuple[int, ...]
    ) -> None:
        if len(index) != len(shape):
            raise self.fail(where, f"{len(index)} indices for shape {list(shape)}")
        for axis, (part, extent) in enumerate(zip(index, shape, strict=True)):
            if np.size(part) and (np.min(part) < 0 or np.max(part) >= extent):
                given = np.asarray(part).tolist()
                raise self.fail(where, f"index {given} is outside axis {axis} of {list(shape)}")

    # -- expressions -------------------------------------------------------------------------------

    def value(self, expression: ir.Expression) -> Value:
        return self.visit(expression)

    def constant(self, constant: ir.Constant) -> Value:
        value = arithmetic.cast(np.asarray(constant.value)[()], constant.dtype)
        return value if constant.lanes == 1 else np.full(constant.lanes, value)

    def variable(self, variable: ir.Variable) -> Value:
        if variable.name not in self.variables:
            raise self.fail(variable, f"variable {variable.name} has no value")
        return self.variables[variable.name]

    def lane_numbers(self, lanes: ir.Lanes) -> Value:
        return np.arange(lanes.lanes, dtype=np.int64)

    def unary(self, unary: ir.Unary) -> Value:
        return arithmetic.unary(unary.op, self.value(unary.x), unary.x.dtype, unary.dtype)

    def binary(self, binary: ir.Binary) -> Value:
        a, b = self.value(binary.a), self.value(binary.b)
        return arithmetic.binary(binary.op, a, b, binary.a.dtype, binary.dtype)

    def fma(self, fma: ir.Fma) -> Value:
        return arithmetic.fma(self.value(fma.a), self.value(fma.b), self.value(fma.c), fma.dtype)

    def select(self, select: ir.Select) -> Value:
        yes, no = self.value(select.yes), self.value(select.no)
        chosen: Value = np.where(self.value(select.condition), yes, no)
        return chosen[()]

    def cast(self, cast: ir.Cast) -> Value:
        return arithmetic.convert(self.value(cast.x), cast.x.dtype, cast.dtype)

    def load(self, load: ir.Load) -> Value:
        array = self.array(load, load.buffer)
        if load.mask is None:
            index = tuple(self.value(part) for part in load.index)
            self.check_bounds(load, index, array.shape)
            return array[index]
        kept = np.broadcast_to(self.value(load.mask), (load.lanes,))
        wide = (np.broadcast_to(self.value(part), (load.lanes,)) for part in load.index)
        index = tuple(part[kept] for part in wide)
        self.check_bounds(load, index, array.shape)
        values = np.zeros(load.lanes, array.dtype)
        values[kept] = array[index] if index else array[()]
        return values if load.lanes > 1 else values[0]

    def read(self, read: ir.Read) -> Value:
        array = self.register(read, read.register)
        value = array[self.place(read, read.register, read.index)]
        return value.copy() if value.ndim else value[()]

    def reduce(self, reduce: ir.Reduce) -> Value:
        values = self.value(reduce.x)
        while values.size > 1:
            half = values.size // 2
            values = arithmetic.binary(
                reduce.op, values[:half], values[half:], reduce.dtype, reduce.dtype
            )
        return values[0] if values.ndim else values
