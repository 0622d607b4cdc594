"""Lower: a group -> a kernel of plain scalar loops.

An inlined node is lowered by its card: `lower(readers, index, node)` gives one element as an
expression, and the readers recurse. So a movement is a substitution of indices and costs no loop.
What is used twice in a loop body is named once. The nests written here are naive on purpose;
`schedule` makes them fast.
"""

from __future__ import annotations

import math

from smelt.compiler.convolution_cut import cut
from smelt.compiler.fuse import Group, is_elementwise, operations
from smelt.compiler.lower_alone import lower_alone, nest
from smelt.compiler.lower_control import lower_control
from smelt.compiler.lower_convolution import convolution_taps, lower_cut
from smelt.compiler.plan import Planned
from smelt.compiler.share import share
from smelt.ir.graph import Node, scalar_value
from smelt.ir.loops import (
    Assign,
    Binary,
    Buffer,
    Constant,
    Declare,
    Expression,
    Kernel,
    Let,
    Load,
    Read,
    Register,
    Scratch,
    Statement,
    Store,
    Variable,
    constant,
    index_variable,
    walk,
)
from smelt.ir.program import Call, Check, Part, Program, Slot
from smelt.ops import movement
from smelt.ops.convolution import convolution
from smelt.ops.elementwise import broadcast_index
from smelt.ops.op import Inlined, Reader, Shape
from smelt.ops.reduction import Reduction

Index = tuple[Expression, ...]
NAME_PARTS = 4  # operations that a kernel's name mentions


def lower(planned: Planned, name: str = "step") -> Program:
    """Returns the program of a planned step: its slots and one kernel per group, in order."""
    body: list[Part] = []
    extra: list[Slot] = []
    checks = {one.node: number for number, one in enumerate(planned.graph.assertions)}
    for group in planned.fused.groups:
        if group.kind == "control":
            part, constants = lower_control(planned, group.members, lower)
            body.append(part)
            extra += constants
            continue
        kernel, nodes = Lowering(planned, group).kernel()
        body.append(Call(kernel, tuple([planned.slots[node] for node in nodes])))
        body += [Check(planned.slots[n], checks[n]) for n in group.members if n in checks]
    slots = tuple(dict.fromkeys([*planned.slots.values(), *extra]))
    return Program(name, slots, planned.arena_bytes, tuple(body))


class Lowering:
    """One group on its way to a kernel: its loop indices, buffers, and the values in registers."""

    def __init__(self, planned: Planned, group: Group) -> None:
        self.planned = planned
        self.group = group
        self.stored = planned.fused.ordered.stored
        self.members = set(group.members)
        self._names = 0
        self.outer = tuple([self.loop("i", extent) for extent in group.outer])
        self.buffers: dict[tuple[Node, Shape], Buffer] = {}
        self.written: dict[Node, Buffer] = {}
        self.scratch: dict[Node, Buffer] = {}
        self.values: dict[Node, Variable] = {}
        self.joined: tuple[Index, Shape, Expression] | None = None  # see `place`
        self._inlined: dict[object, Expression] = {}

    def kernel(self) -> tuple[Kernel, list[Node]]:
        """Returns the kernel, and the node behind each of `kernel.buffers`."""
        first = self.group.members[0]
        if self.group.kind == "alone":
            body = lower_alone(self, self.group.members[0])
        elif (how := cut(first)) is not None:
            body = lower_cut(self, first, how)
        else:
            statements: list[Statement] = []
            for node in self.group.members:
                statements += self.member(node)
            loops = list(zip(self.outer, self.group.outer, strict=True))
            body = nest(loops, (*self.scratch_statements(), *statements))
        outputs = tuple(self.written.values())
        behind = {buffer: node for (node, _), buffer in self.buffers.items()}
        inputs = tuple([buffer for buffer in behind if buffer not in set(outputs)])
        updated = tuple([one for one in outputs if behind[one] in self.group.reads])
        kernel = Kernel(self._name(), inputs + updated, outputs, body)
        return kernel, [behind[buffer] for buffer in kernel.buffers]

    def _name(self) -> str:
        names = operations(self.group, self.planned.fused.ordered)
        return "_".join(list(dict.fromkeys(names))[:NAME_PARTS])

    # --- members ----------------------------------------------------------------------------------

    def member(self, node: Node) -> list[Statement]:
        """Returns the statements that compute a member within the outer loops."""
        depth = len(self.outer)
        inner = tuple([self.loop("j", extent) for extent in node.shape[depth:]])
        index = self.outer + inner
        self._inlined.clear()
        if is_elementwise(node):
            statements, value = self.named(self.expand(node, index, None))
        else:
            statements, value = self.accumulated(node, index)
        statements += self.kept(node, index, value)
        return list(nest(list(zip(inner, node.shape[depth:], strict=True)), tuple(statements)))

    def epilogue(self, index: Index, value: Expression) -> list[Statement]:
        """Returns what the members make of the first one's element, each at the same index."""
        first, *others = self.group.members
        statements = self.kept(first, index, value)
        for node in others:
            lets, value = self.named(self.expand(node, index, None))
            statements += lets + self.kept(node, index, value)
        return statements

    def kept(self, node: Node, index: Index, value: Expression) -> list[Statement]:
        """Returns what makes a member's value known to later members and to later kernels."""
        statements: list[Statement] = []
        depth = len(self.outer)
        if math.prod(node.shape[depth:]) == 1 and self._is_read_inside(node):
            variable = self.variable(node)
            statements.append(Let(variable, value))
            self.values[node] = variable
            value = variable
        if not self.planned.is_internal(node):
            shape, index = self.place(node, index)
            statements.append(Store(self.output(node, shape), index, value))
        elif node not in self.values:
            self.scratch[node] = Buffer(f"row{len(self.scratch)}", node.shape[depth:], node.dtype)
            statements.append(Store(self.scratch[node], index[depth:], value))
        return statements

    def _is_read_inside(self, node: Node) -> bool:
        later = self.group.members[self.group.members.index(node) + 1 :]
        return any(read.node is node for one in later for read in self.stored.reads(one))

    def accumulated(self, node: Node, index: Index) -> tuple[list[Statement], Expression]:
        """Returns the loops of a reduction or contraction, and the expression of its result."""
        if node.op.family == "contraction":
            return self._contraction(node, index)
        (x,), axes = node.inputs, node.attributes["axes"]
        inner = {axis: self.loop("k", x.shape[axis]) for axis in axes}
        kept = iter(index)
        at = tuple([inner[axis] if axis in inner else next(kept) for axis in range(x.ndim)])
        extents = [(inner[axis], x.shape[axis]) for axis in axes]
        assert isinstance(node.op, Reduction)
        start = node.op.start_value(node.dtype)
        return self._accumulate(node.op.combine, start, x, self.read(x, at), extents)

    def _contraction(self, node: Node, index: Index) -> tuple[list[Statement], Expression]:
        if node.op is convolution:
            product, taps = convolution_taps(self, node, index)
            return self._accumulate("add", 0, node.inputs[0], product, taps)
        a, b = node.inputs
        k = self.loop("k", a.shape[-1])
        *batch, row, column = index
        left = self.read(a, (*broadcast_index(tuple(batch), a.shape[:-2]), row, k))
        right = self.read(b, (*broadcast_index(tuple(batch), b.shape[:-2]), k, column))
        product = Binary("mul", left, right)
        return self._accumulate("add", 0, a, product, [(k, a.shape[-1])])

    def _accumulate(
        self,
        combine: str,
        start: int | float,
        x: Node,
        element: Expression,
        loops: list[tuple[Expression, int]],
    ) -> tuple[list[Statement], Expression]:
        register = Register(self.fresh("acc"), x.dtype)
        lets, value = self.named(element)
        step = Assign(register, (), Binary(combine, Read(register), value))
        declare = Declare(register, Constant(start, x.dtype))
        return [declare, *nest(loops, (*lets, step))], Read(register)

    # --- reading ----------------------------------------------------------------------------------

    def read(self, node: Node, index: Index, mask: Expression | None = None) -> Expression:
        """Returns the element of a node at an index: a constant, a register, a load, or inlined."""
        number = scalar_value(node)
        if number is not None:
            return Constant(number, node.dtype)
        if node in self.members:
            return self._read_member(node, index, mask)
        if self.stored.has(node):
            shape, index = self.place(node, index)
            return Load(self.buffer(node, shape), index, mask)
        key = (node, index, mask)
        found = self._inlined.get(key)
        if found is None:
            found = self._inlined[key] = self.expand(node, index, mask)
        return found

    def _read_member(self, node: Node, index: Index, mask: Expression | None) -> Expression:
        if node in self.values:
            return self.values[node]
        if node in self.scratch:
            return Load(self.scratch[node], index[len(self.outer) :], mask)
        return Load(self.written[node], index, mask)

    def expand(self, node: Node, index: Index, mask: Expression | None) -> Expression:
        """Returns the expression of an elementwise, movement, indexing or random node."""
        if node.op is movement.reshape:
            (x,) = node.inputs
            in_memory = self.stored.has(x) and x not in self.members and x.shape != node.shape
            if in_memory and _divides(movement.reshape.source(index, x.shape, node)):
                # the same memory under another shape spares the arithmetic
                return Load(self.buffer(x, node.shape), index, mask)
        readers = tuple([self._reader(operand) for operand in node.inputs])
        assert isinstance(node.op, Inlined)
        return node.op.lower(readers, index, node, mask)

    def _reader(self, operand: Node) -> Reader:
        def read(index: Index, mask: Expression | None = None) -> Expression:
            return self.read(operand, index, mask)

        return read

    # --- names ------------------------------------------------------------------------------------

    def named(self, value: Expression) -> tuple[list[Statement], Expression]:
        """Returns lets for what an expression uses more than once, and the expression on them."""
        lets, value = share(value, self.fresh)
        return list(lets), value

    def fresh(self, stem: str) -> str:
        """Returns a name that the kernel does not use yet."""
        self._names += 1
        return f"{stem}{self._names}"

    def loop(self, stem: str, extent: int) -> Expression:
        """Returns a new loop index, or 0 where the loop would turn once."""
        return constant(0) if extent == 1 else index_variable(self.fresh(stem))

    def variable(self, node: Node) -> Variable:
        """Returns a new name for the value of a member."""
        return Variable(self.fresh(f"{node.op.name}_"), node.dtype)

    def buffer(self, node: Node, shape: Shape) -> Buffer:
        """Returns the buffer of a stored node, under its own shape or an alias of it."""
        old = self.planned.fused.ordered.writes.get(node)
        node = node if old is None else old if node in self.members else node
        found = self.buffers.get((node, shape))
        if found is None:
            suffix = "" if shape == node.shape else f"_as_{'x'.join(map(str, shape))}"
            name = _identifier(self.planned.slots[node].name) + suffix
            found = self.buffers[(node, shape)] = Buffer(name, shape, node.dtype)
        return found

    def place(self, node: Node, index: Index) -> tuple[Shape, Index]:
        """Returns the shape and index by which a stored node is read or written.

        Where the last axes are walked in one go (`joined`), they count as one axis: it is the same
        memory, and spares taking the index apart.
        """
        if self.joined is not None:
            parts, extents, flat = self.joined
            kept = node.ndim - len(parts)
            if kept >= 0 and index[kept:] == parts and node.shape[kept:] == extents:
                return (*node.shape[:kept], math.prod(extents)), (*index[:kept], flat)
        return node.shape, index

    def output(self, node: Node, shape: Shape | None = None) -> Buffer:
        """Returns the buffer that a member is written to: for a new state, the state's own."""
        self.written[node] = self.buffer(node, node.shape if shape is None else shape)
        return self.written[node]

    def workspace(self, node: Node) -> Buffer:
        """Returns the second buffer that a sort works in."""
        return self.output(self.group.workspace[0])

    def scratch_statements(self) -> list[Statement]:
        """Returns the declarations of the local rows."""
        return [Scratch(buffer) for buffer in self.scratch.values()]


def _divides(index: Index) -> bool:
    return any(
        isinstance(part, Binary) and part.op in ("floordiv", "mod")
        for expression in index
        for part in walk(expression)
    )


def _identifier(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
