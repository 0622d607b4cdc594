"""The kernel of one group while it is being written: its loop indices, buffers, names, and reads.

An inlined node is lowered by its card: `lower(readers, index, node)` returns one element as
an expression, and the readers recurse. So a movement is a substitution of indices and costs no
loop. What an expression uses twice is bound to a name. The loops around are written elsewhere
(`nests.py`, `blocked_gemm.py`, `standalone.py`), always through a `KernelBuilder`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from smelt.compiler.graph.fusion import Group, operations
from smelt.compiler.graph.memory_plan import Planned
from smelt.ir.bind_shared import bind_shared
from smelt.ir.graph import Node, scalar_value
from smelt.ir.loops import (
    Binary,
    Buffer,
    Constant,
    Expression,
    Kernel,
    Let,
    Load,
    Scratch,
    Statement,
    Store,
    Variable,
    constant,
    index_variable,
    walk,
)
from smelt.ir.visit import Body, Index
from smelt.ops import movement
from smelt.ops.op import Inlined, Shape

if TYPE_CHECKING:
    from smelt.compiler.graph.materialize import Materialized

NAME_PARTS = 4  # operations that a kernel's name mentions


@dataclass(frozen=True, slots=True)
class FlattenedAxes:
    """Last axes that loops walk as one: their indices and extents, and the index of that one."""

    indices: Index
    extents: Shape
    flat: Expression


class KernelBuilder:
    """One group on its way to a kernel."""

    def __init__(self, planned: Planned, group: Group) -> None:
        self.planned = planned
        self.group = group
        self.materialized: Materialized = planned.fused.ordered.materialized
        self.members: set[Node] = set(group.members)
        self._names = 0
        self.outer: tuple[Expression, ...] = tuple(
            [self.loop("i", extent) for extent in group.iteration_space]
        )
        overwritten = planned.fused.ordered.writes
        self._changes = self.members | {overwritten.get(node, node) for node in group.members}
        self.buffers: dict[tuple[Node, Shape, int], Buffer] = {}  # by shape and first element
        self.written: dict[Node, Buffer] = {}
        self.scratch: dict[Node, Buffer] = {}
        self.values: dict[Node, Variable] = {}
        self._flattened: FlattenedAxes | None = None
        self._inlined: dict[object, Expression] = {}

    def kernel(self, body: Body) -> tuple[Kernel, list[tuple[Node, int]]]:
        """Returns the kernel of a body; for each of `kernel.buffers`, its node and byte offset."""
        outputs = tuple(self.written.values())
        place_of = {
            buffer: (node, first * node.dtype.itemsize)
            for (node, _, first), buffer in self.buffers.items()
        }
        inputs = tuple([buffer for buffer in place_of if buffer not in set(outputs)])
        updated = tuple([buffer for buffer in outputs if place_of[buffer][0] in self.group.reads])
        kernel = Kernel(self._name(), inputs + updated, outputs, body)
        return kernel, [place_of[buffer] for buffer in kernel.buffers]

    def _name(self) -> str:
        names = operations(self.group, self.planned.fused)
        return "_".join(list(dict.fromkeys(names))[:NAME_PARTS])

    # --- results ----------------------------------------------------------------------------------

    def epilogue(self, index: Index, value: Expression) -> list[Statement]:
        """Returns the statements of all members, given the first one's element, at its index."""
        first, *followers = self.group.members
        self.forget_inlined()
        statements = self.emit_result(first, index, value)
        for node in followers:
            lets, value = self.bind(self.inline(node, index, None))
            statements += lets + self.emit_result(node, index, value)
        return statements

    def emit_result(self, node: Node, index: Index, value: Expression) -> list[Statement]:
        """Returns the statements that pass a value on to later members and to later kernels."""
        statements: list[Statement] = []
        depth = len(self.outer)
        if math.prod(node.shape[depth:]) == 1 and self._is_read_inside(node):
            variable = self.variable(node)
            statements.append(Let(variable, value))
            self.values[node] = variable
            value = variable
        if node in self.planned.slots:
            shape, index = self.view(node, index)
            statements.append(Store(self.output(node, shape), index, value))
        elif node not in self.values:
            self.scratch[node] = Buffer(f"row{len(self.scratch)}", node.shape[depth:], node.dtype)
            statements.append(Store(self.scratch[node], index[depth:], value))
        return statements

    def _is_read_inside(self, node: Node) -> bool:
        later = self.group.members[self.group.members.index(node) + 1 :]
        reads = (read for member in later for read in self.materialized.reads[member])
        return any(read.node is node for read in reads)

    # --- reading ----------------------------------------------------------------------------------

    def read(self, node: Node, index: Index, mask: Expression | None = None) -> Expression:
        """Returns the element of a node at an index: a constant, a register, a load, or inlined."""
        number = scalar_value(node)
        if number is not None:
            return Constant(number, node.dtype)
        if node in self.members:
            return self._read_member(node, index, mask)
        if node in self.materialized:
            return self._load(node, *self.view(node, index), mask)
        key = (node, index, mask)
        if key not in self._inlined:
            self._inlined[key] = self.inline(node, index, mask)
        return self._inlined[key]

    def _load(self, node: Node, shape: Shape, index: Index, mask: Expression | None) -> Expression:
        """Returns the load of an element of a node that is in memory under a shape.

        If leading axes are read at one place only (one step of a sequence), the buffer is the part
        there: so kernels for other places are equal, and are compiled once.
        """
        count, first = 0, 0
        if node not in self._changes:
            count, first = _fixed_axes(shape, index)
        return Load(self.buffer(node, shape[count:], first), index[count:], mask)

    def _read_member(self, node: Node, index: Index, mask: Expression | None) -> Expression:
        if node in self.values:
            return self.values[node]
        if node in self.scratch:
            return Load(self.scratch[node], index[len(self.outer) :], mask)
        return Load(self.written[node], index, mask)

    def inline(self, node: Node, index: Index, mask: Expression | None) -> Expression:
        """Returns the expression of an elementwise, movement, indexing or random node."""
        if node.op is movement.reshape:
            (x,) = node.inputs
            in_memory = x in self.materialized and x not in self.members and x.shape != node.shape
            if in_memory and _divides(movement.reshape.source(index, x.shape, node)):
                # the same memory under another shape saves the arithmetic
                return self._load(x, node.shape, index, mask)
        readers = tuple([partial(self.read, operand) for operand in node.inputs])
        return cast(Inlined, node.op).lower(readers, index, node, mask)

    def forget_inlined(self) -> None:
        """Forgets inlined expressions: the loop that they are in ends."""
        self._inlined.clear()

    # --- names ------------------------------------------------------------------------------------

    def bind(self, value: Expression) -> tuple[list[Statement], Expression]:
        """Returns lets for what an expression uses more than once, and the expression on them."""
        lets, (value,) = self.bind_all((value,))
        return lets, value

    def bind_all(
        self, values: Sequence[Expression]
    ) -> tuple[list[Statement], tuple[Expression, ...]]:
        """Returns the same for several expressions, which may have parts in common."""
        lets, rebuilt = bind_shared(values, self.fresh)
        return list(lets), rebuilt

    def fresh(self, stem: str) -> str:
        """Returns a name that the kernel does not use yet."""
        self._names += 1
        return f"{stem}{self._names}"

    def loop(self, stem: str, extent: int) -> Expression:
        """Returns a new loop index, or 0 if the loop would run once."""
        return constant(0) if extent == 1 else index_variable(self.fresh(stem))

    def variable(self, node: Node) -> Variable:
        """Returns a new name for the value of a member."""
        return Variable(self.fresh(f"{node.op.name}_"), node.dtype)

    # --- buffers ----------------------------------------------------------------------------------

    def buffer(self, node: Node, shape: Shape, first: int = 0) -> Buffer:
        """Returns the buffer of a materialized node, under its own shape or an alias of it, or of a
        part that begins with an element.
        """
        if node in self.members:
            node = self.planned.fused.ordered.writes.get(node, node)
        if (node, shape, first) not in self.buffers:
            suffix = "" if math.prod(shape) == node.size else f"_from_{first}"
            if shape not in (node.shape, ()):
                suffix += f"_as_{'x'.join(map(str, shape))}"
            name = _identifier(self.planned.slots[node].name) + suffix
            self.buffers[node, shape, first] = Buffer(name, shape, node.dtype)
        return self.buffers[node, shape, first]

    @contextmanager
    def flattened(self, axes: FlattenedAxes) -> Iterator[None]:
        """Within the block, buffers that end in these axes are accessed along a flat one."""
        self._flattened = axes
        try:
            yield
        finally:
            self._flattened = None

    def view(self, node: Node, index: Index) -> tuple[Shape, Index]:
        """Returns the shape and index by which a materialized node is read or written.

        Flattened axes count as one: it is the same memory, and saves dividing the index.
        """
        axes = self._flattened
        if axes is not None:
            leading = node.ndim - len(axes.indices)
            same = index[leading:] == axes.indices and node.shape[leading:] == axes.extents
            if leading >= 0 and same:
                shape = (*node.shape[:leading], math.prod(axes.extents))
                return shape, (*index[:leading], axes.flat)
        return node.shape, index

    def output(self, node: Node, shape: Shape | None = None) -> Buffer:
        """Returns the buffer that a member is written to: for a new state, the state's own."""
        self.written[node] = self.buffer(node, node.shape if shape is None else shape)
        return self.written[node]

    def workspace(self) -> Buffer:
        """Returns the second buffer that a sort works in."""
        return self.output(self.group.workspace[0])

    def scratch_statements(self) -> list[Statement]:
        """Returns the declarations of the local rows."""
        return [Scratch(buffer) for buffer in self.scratch.values()]


def _fixed_axes(shape: Shape, index: Index) -> tuple[int, int]:
    """Returns how many leading axes are read at one place, and the elements before it."""
    count, first = 0, 0
    for axis, (part, extent) in enumerate(zip(index, shape, strict=True)):
        if not isinstance(part, Constant) or not 0 <= part.value < extent:
            break
        first += int(part.value) * math.prod(shape[axis + 1 :])
        count = axis + 1 if extent > 1 else count
    return count, first


def _divides(index: Index) -> bool:
    return any(
        isinstance(part, Binary) and part.op in ("floordiv", "mod")
        for expression in index
        for part in walk(expression)
    )


def _identifier(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
