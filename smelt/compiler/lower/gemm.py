"""Lower a convolution: small ones as one sum an element, large ones as products of matrices.

Of the two ways in `convolution_cut.py`, the first becomes, for a 3 x 3 kernel on 64 channels, with
strips of 2 lines of 24 places:

    for n, strip:
        panel = scratch(float32[64, 3, 3, 48])
        for c, k, l, i, j:
            panel[c, k, l, i * 24 + j] = x[n, c, strip * 2 + i + k, j + l]
        for o, j in range(0, 48):
            acc = 0
            for c, k, l: acc = acc + w[o, c, k, l] * panel[c, k, l, j]
            y[n, o, strip * 48 + j] = acc

Whatever is computed of y on the way to memory (bias, activation) stands in place of `acc`. Padding
of x is a mask where the panel is filled, and nowhere else.
"""

from __future__ import annotations

import itertools
import math

from smelt.compiler.graph.gemm_blocking import ChannelCut, Extents, Part, PlaceCut, extents_of
from smelt.compiler.lower.kernel_builder import FlattenedAxes, Index, KernelBuilder
from smelt.compiler.lower.nests import Body, Loops, accumulate, input_position, nest
from smelt.ir.graph import Node
from smelt.ir.loops import (
    Binary,
    Buffer,
    Constant,
    Expression,
    Load,
    Read,
    Scratch,
    Statement,
    Store,
    constant,
)
from smelt.ops.contraction import matmul
from smelt.ops.movement import regroup


def lower_cut(builder: KernelBuilder, node: Node, how: PlaceCut | ChannelCut) -> Body:
    """Returns the loops of a group that begins with a large convolution or a deep product."""
    if isinstance(how, PlaceCut):
        return _Places(builder, node, how).body()
    return _Channels(builder, node, how).body()


class _Cut:
    """What both ways share: the loops around, and the product of a panel with the other operand."""

    def __init__(self, builder: KernelBuilder, node: Node) -> None:
        self.builder = builder
        self.node = node
        self.x, self.w = node.inputs
        self.e: Extents = extents_of(node)
        self.group = builder.loop("g", self.e.groups)
        self.zero = Constant(0, node.dtype)

    def loops(self, stem: str, extents: tuple[int, ...]) -> tuple[Index, Loops]:
        """Returns new indices, and their loops."""
        index = tuple([self.builder.loop(stem, extent) for extent in extents])
        return index, list(zip(index, extents, strict=True))

    def local(self, name: str, shape: tuple[int, ...]) -> Buffer:
        return Buffer(self.builder.fresh(name), shape, self.node.dtype)

    def read_x(self, n: Expression, c: Expression, places: Index, taps: Index) -> Expression:
        """Returns the element of x under a tap of the kernel that stands at a place."""
        if self.node.op is matmul:
            return self.builder.read(self.x, (n, c))
        channel = self.group * self.e.inner + c
        return self.builder.read(self.x, (n, channel, *input_position(self.node, places, taps)))

    def read_w(self, o: Expression, c: Expression, taps: Index) -> Expression:
        """Returns an element of w."""
        if self.node.op is matmul:
            return self.builder.read(self.w, (c, o))
        return self.builder.read(self.w, (self.output(o), c, *taps))

    def output(self, o: Expression) -> Expression:
        """Returns the number among all output channels of one of the group's."""
        return self.group * self.e.outputs + o

    def stored(self, buffer: Buffer, index: Index, value: Expression) -> Body:
        lets, value = self.builder.bound(value)
        return (*lets, Store(buffer, index, value))

    def cleared(self, buffer: Buffer) -> Body:
        index, loops = self.loops("z", buffer.shape)
        return nest(loops, (Store(buffer, index, self.zero),))


class _Places(_Cut):
    """Columns are places."""

    def __init__(self, builder: KernelBuilder, node: Node, how: PlaceCut) -> None:
        super().__init__(builder, node)
        self.how = how
        self.sample = builder.loop("n", self.e.samples)
        self.before = [builder.loop("p", extent) for extent in self.e.places[:-2]]

    def body(self) -> Body:
        """Returns all strips of all samples."""
        strips: Body = ()
        for lines, columns in itertools.product(self.how.lines, self.how.columns):
            strips += self.strips(lines, columns)
        before = list(zip(self.before, self.e.places[:-2], strict=True))
        around = [(self.sample, self.e.samples), (self.group, self.e.groups), *before]
        return nest(around, strips)

    def strips(self, lines: Part, columns: Part) -> Body:
        """Returns the loops over strips of one shape."""
        (first, count, rows), (left, pieces, width) = lines, columns
        line, column = self.builder.loop("s", count), self.builder.loop("s", pieces)
        corner = (
            line * rows + first,
            column * width + left,
        )
        body = self.strip(corner, rows, width)
        return nest([(line, count), (column, pieces)], body)

    def strip(self, corner: tuple[Expression, Expression], rows: int, width: int) -> Body:
        e, inner = self.e, self.how.inner
        panel = self.local("panel", (inner, *e.taps, rows * width))
        o, j = self.builder.loop("o", e.outputs), self.builder.loop("j", rows * width)
        across = [(o, e.outputs), (j, rows * width)]
        if inner == e.inner:
            total, value = self.multiplied(panel, constant(0), o, j, self.zero)
            results = self.results(corner, o, j, value)
            filled = self.filled(panel, constant(0), corner, rows, width)
            return (Scratch(panel), *filled, *nest(across, (*total, *results)))
        totals = self.local("totals", (e.outputs, rows * width))
        block = self.builder.loop("b", e.inner // inner)
        first = block * inner
        total, value = self.multiplied(panel, first, o, j, Load(totals, (o, j)))
        body = (
            *self.filled(panel, first, corner, rows, width),
            *nest(across, (*total, Store(totals, (o, j), value))),
        )
        return (
            Scratch(panel),
            Scratch(totals),
            *self.cleared(totals),
            *nest([(block, e.inner // inner)], body),
            *nest(across, tuple(self.results(corner, o, j, Load(totals, (o, j))))),
        )

    def filled(
        self,
        panel: Buffer,
        first: Expression,
        corner: tuple[Expression, Expression],
        rows: int,
        width: int,
    ) -> Body:
        """Returns the loops that copy what a strip needs of x, once a tap."""
        (c, *taps), loops = self.loops("k", panel.shape[:-1])
        (i, j), inside = self.loops("i", (rows, width))
        spot = (corner[0] + i, corner[1] + j)
        places = (*self.before, *spot)[-len(self.e.places) :]
        value = self.read_x(self.sample, first + c, places, tuple(taps))
        column = i * width + j
        return nest([*loops, *inside], self.stored(panel, (c, *taps, column), value))

    def multiplied(
        self, panel: Buffer, first: Expression, o: Expression, j: Expression, start: Expression
    ) -> tuple[Body, Read]:
        (c, *taps), loops = self.loops("k", panel.shape[:-1])
        weight = self.read_w(o, first + c, tuple(taps))
        product = Binary("mul", weight, Load(panel, (c, *taps, j)))
        return accumulate(self.builder, "add", start, product, loops)

    def results(
        self, corner: tuple[Expression, Expression], o: Expression, j: Expression, value: Expression
    ) -> list[Statement]:
        """Returns what is done with an element of the result; places are counted in one number."""
        extents = (*self.e.places[:-2], self.e.lines, self.e.places[-1])
        flat: Expression = constant(0)
        for part, extent in zip((*self.before, *corner), extents, strict=True):
            flat = flat * extent + part
        flat = flat + j
        places = regroup((flat,), (math.prod(self.e.places),), self.e.places)
        with self.builder.flattened(FlattenedAxes(places, self.e.places, flat)):
            return self.builder.epilogue((self.sample, self.output(o), *places), value)


class _Channels(_Cut):
    """Columns are output channels."""

    def __init__(self, builder: KernelBuilder, node: Node, how: ChannelCut) -> None:
        super().__init__(builder, node)
        self.how = how
        self.strip = builder.loop("s", self.e.outputs // how.outputs)
        self.many = builder.loop("n", self.e.samples // how.samples)

    def body(self) -> Body:
        """Returns all panels and all samples."""
        e, how = self.e, self.how
        totals = self.local("totals", (*e.places, how.samples, how.outputs))
        blocks: Body = ()
        for channels, taps in itertools.product(how.inner, how.taps):
            blocks += self.blocks(totals, channels, taps)
        inside = (Scratch(totals), *self.cleared(totals), *blocks, *self.results(totals))
        around = [
            (self.group, e.groups),
            (self.many, e.samples // how.samples),
            (self.strip, e.outputs // how.outputs),
        ]
        return nest(around, inside)

    def blocks(self, totals: Buffer, channels: Part, taps: Part) -> Body:
        """Returns the loops over blocks of the depth of one shape."""
        loops = [(self.builder.loop("b", count), count) for _, count, _ in (channels, taps)]
        first, tap = (
            block * size + start
            for (block, _), (start, _, size) in zip(loops, (channels, taps), strict=True)
        )
        panel = self.local("panel", (channels[2], taps[2], *self.e.taps[1:], self.how.outputs))
        filled, added = self.filled(panel, first, tap), self.added(panel, totals, first, tap)
        return nest(loops, (Scratch(panel), *filled, *added))

    def filled(self, panel: Buffer, first: Expression, tap: Expression) -> Body:
        """Returns the loops that turn a part of w, so that output channels lie side by side."""
        (c, k, *taps, j), loops = self.loops("k", panel.shape)
        value = self.read_w(self.column(j), first + c, (tap + k, *taps))
        return nest(loops, self.stored(panel, (c, k, *taps, j), value))

    def added(self, panel: Buffer, totals: Buffer, first: Expression, tap: Expression) -> Body:
        """Returns the loops that add a panel's part of all sums; the longest one innermost."""
        (*places, n, j), rows = self.loops("i", totals.shape)
        (c, k, *taps), loops = self.loops("k", panel.shape[:-1])
        x = self.read_x(self.number(n), first + c, tuple(places), (tap + k, *taps))
        here = (*places, n, j)
        product = Binary("mul", x, Load(panel, (c, k, *taps, j)))
        total, value = accumulate(self.builder, "add", Load(totals, here), product, loops)
        rows[:-1] = sorted(rows[:-1], key=lambda loop: loop[1])
        return nest(rows, (*total, Store(totals, here, value)))

    def results(self, totals: Buffer) -> Body:
        """Returns the loops that bring the sums to memory."""
        (*places, n, j), loops = self.loops("i", totals.shape)
        value = Load(totals, (*places, n, j))
        index = (self.number(n), self.output(self.column(j)), *places)
        return nest([*loops[-2:], *loops[:-2]], tuple(self.builder.epilogue(index, value)))

    def number(self, n: Expression) -> Expression:
        return self.many * self.how.samples + n

    def column(self, j: Expression) -> Expression:
        return self.strip * self.how.outputs + j
