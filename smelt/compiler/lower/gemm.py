"""Lower a blocked product: a large convolution, or a deep matmul, a panel at a time.

Of the two strategies in `graph/gemm_blocking.py`, the spatial one becomes, for a 3 x 3 kernel on 64
channels, with tiles of 2 rows of 24 positions:

    for n, tile:
        panel = scratch(float32[64, 3, 3, 48])
        for c, k, l, i, j:
            panel[c, k, l, i * 24 + j] = x[n, c, tile * 2 + i + k, j + l]
        for o, j in range(0, 48):
            acc = 0
            for c, k, l: acc = acc + w[o, c, k, l] * panel[c, k, l, j]
            y[n, o, tile * 48 + j] = acc

Whatever is computed of y on the way to memory (bias, activation) stands in place of `acc`. Padding
of x is a mask where the panel is packed, and nowhere else.
"""

from __future__ import annotations

import itertools
import math

from smelt.compiler.graph.gemm_blocking import (
    ChannelBlocking,
    Extents,
    SpatialBlocking,
    Tiles,
    extents_of,
)
from smelt.compiler.lower.kernel_builder import FlattenedAxes, Index, KernelBuilder
from smelt.compiler.lower.nests import Body, Loops, accumulate, input_position, nest
from smelt.ir.loops import Buffer, Constant, Expression, Load, Read, Scratch, Store, constant
from smelt.ops.contraction import matmul
from smelt.ops.movement import regroup


def lower_blocked_gemm(builder: KernelBuilder) -> Body:
    """Returns the loops of a group that begins with a blocked product."""
    if isinstance(builder.group.blocking, SpatialBlocking):
        return _Spatial(builder, builder.group.blocking).body()
    assert builder.group.blocking is not None
    return _Channel(builder, builder.group.blocking).body()


class _Blocked:
    """What both strategies share: loops, local buffers, and the elements of the operands."""

    def __init__(self, builder: KernelBuilder) -> None:
        self.builder = builder
        self.node = builder.group.members[0]
        self.x, self.w = self.node.inputs
        self.e: Extents = extents_of(self.node)
        self.group = builder.loop("g", self.e.groups)
        self.zero = Constant(0, self.node.dtype)

    def loops(self, stem: str, extents: tuple[int, ...]) -> tuple[Index, Loops]:
        """Returns new indices, and their loops."""
        index = tuple([self.builder.loop(stem, extent) for extent in extents])
        return index, list(zip(index, extents, strict=True))

    def scratch(self, name: str, shape: tuple[int, ...]) -> Buffer:
        return Buffer(self.builder.fresh(name), shape, self.node.dtype)

    def read_x(self, n: Expression, c: Expression, position: Index, tap: Index) -> Expression:
        """Returns the element of x under a tap of the kernel that stands at an output position."""
        if self.node.op is matmul:
            return self.builder.read(self.x, (n, c))
        at = input_position(self.node, position, tap)
        return self.builder.read(self.x, (n, self.group * self.e.channels + c, *at))

    def read_w(self, o: Expression, c: Expression, tap: Index) -> Expression:
        """Returns an element of w."""
        if self.node.op is matmul:
            return self.builder.read(self.w, (c, o))
        return self.builder.read(self.w, (self.output(o), c, *tap))

    def output(self, o: Expression) -> Expression:
        """Returns the number among all output channels of one of the group's."""
        return self.group * self.e.outputs + o

    def store(self, buffer: Buffer, index: Index, value: Expression) -> Body:
        lets, value = self.builder.bind(value)
        return (*lets, Store(buffer, index, value))

    def clear(self, buffer: Buffer) -> Body:
        index, loops = self.loops("z", buffer.shape)
        return nest(loops, (Store(buffer, index, self.zero),))


class _Spatial(_Blocked):
    """Columns are output positions."""

    def __init__(self, builder: KernelBuilder, blocking: SpatialBlocking) -> None:
        super().__init__(builder)
        self.blocking = blocking
        self.sample = builder.loop("n", self.e.samples)
        self.leading = [builder.loop("p", extent) for extent in self.e.positions[:-2]]

    def body(self) -> Body:
        """Returns the loops over all tiles of all samples."""
        tiles: Body = ()
        for rows, columns in itertools.product(self.blocking.rows, self.blocking.columns):
            tiles += self.tiles(rows, columns)
        leading = zip(self.leading, self.e.positions[:-2], strict=True)
        outer = [(self.sample, self.e.samples), (self.group, self.e.groups), *leading]
        return nest(outer, tiles)

    def tiles(self, rows: Tiles, columns: Tiles) -> Body:
        """Returns the loops over tiles of one shape."""
        row, column = self.builder.loop("s", rows.count), self.builder.loop("s", columns.count)
        corner = (row * rows.size + rows.start, column * columns.size + columns.start)
        body = self.tile(corner, rows.size, columns.size)
        return nest([(row, rows.count), (column, columns.count)], body)

    def tile(self, corner: tuple[Expression, Expression], height: int, width: int) -> Body:
        """Returns the loops of one tile: pack a panel, multiply by it, write the results."""
        e, channels = self.e, self.blocking.channels
        panel = self.scratch("panel", (channels, *e.taps, height * width))
        o, j = self.builder.loop("o", e.outputs), self.builder.loop("j", height * width)
        loops = [(o, e.outputs), (j, height * width)]
        if channels == e.channels:
            total, value = self.multiply(panel, constant(0), o, j, self.zero)
            results = self.results(corner, o, j, value)
            packed = self.pack(panel, constant(0), corner, width)
            return (Scratch(panel), *packed, *nest(loops, (*total, *results)))
        accumulators = self.scratch("accumulators", (e.outputs, height * width))
        block = self.builder.loop("b", e.channels // channels)
        first, sums = block * channels, Load(accumulators, (o, j))
        total, value = self.multiply(panel, first, o, j, sums)
        body = (
            *self.pack(panel, first, corner, width),
            *nest(loops, (*total, Store(accumulators, (o, j), value))),
        )
        return (
            Scratch(panel),
            Scratch(accumulators),
            *self.clear(accumulators),
            *nest([(block, e.channels // channels)], body),
            *nest(loops, self.results(corner, o, j, sums)),
        )

    def pack(
        self, panel: Buffer, first: Expression, corner: tuple[Expression, Expression], width: int
    ) -> Body:
        """Returns the loops that copy what a tile needs of x, once a tap."""
        (c, *tap), loops = self.loops("k", panel.shape[:-1])
        (i, j), inner = self.loops("i", (panel.shape[-1] // width, width))
        position = (*self.leading, corner[0] + i, corner[1] + j)[-len(self.e.positions) :]
        value = self.read_x(self.sample, first + c, position, tuple(tap))
        return nest([*loops, *inner], self.store(panel, (c, *tap, i * width + j), value))

    def multiply(
        self, panel: Buffer, first: Expression, o: Expression, j: Expression, start: Expression
    ) -> tuple[Body, Read]:
        """Returns the sum over a panel for one output channel and one column."""
        (c, *tap), loops = self.loops("k", panel.shape[:-1])
        product = self.read_w(o, first + c, tuple(tap)) * Load(panel, (c, *tap, j))
        return accumulate(self.builder, "add", start, product, loops)

    def results(
        self, corner: tuple[Expression, Expression], o: Expression, j: Expression, value: Expression
    ) -> Body:
        """Returns what is done with an element of the result; its position is one number."""
        e = self.e
        extents = (*e.positions[:-2], e.height, e.positions[-1])
        flat: Expression = constant(0)
        for index, extent in zip((*self.leading, *corner), extents, strict=True):
            flat = flat * extent + index
        flat = flat + j
        position = regroup((flat,), (math.prod(e.positions),), e.positions)
        with self.builder.flattened(FlattenedAxes(position, e.positions, flat)):
            at = (self.sample, self.output(o), *position)
            return tuple(self.builder.epilogue(at, value))


class _Channel(_Blocked):
    """Columns are output channels."""

    def __init__(self, builder: KernelBuilder, blocking: ChannelBlocking) -> None:
        super().__init__(builder)
        self.blocking = blocking
        self.tile = builder.loop("s", self.e.outputs // blocking.outputs)
        self.samples = builder.loop("n", self.e.samples // blocking.samples)

    def body(self) -> Body:
        """Returns the loops over all panels and all samples."""
        e, blocking = self.e, self.blocking
        shape = (*e.positions, blocking.samples, blocking.outputs)
        accumulators = self.scratch("accumulators", shape)
        blocks: Body = ()
        for channels, taps in itertools.product(blocking.channels, blocking.taps):
            blocks += self.blocks(accumulators, channels, taps)
        cleared, results = self.clear(accumulators), self.results(accumulators)
        outer = [
            (self.group, e.groups),
            (self.samples, e.samples // blocking.samples),
            (self.tile, e.outputs // blocking.outputs),
        ]
        return nest(outer, (Scratch(accumulators), *cleared, *blocks, *results))

    def blocks(self, accumulators: Buffer, channels: Tiles, taps: Tiles) -> Body:
        """Returns the loops over blocks of the depth of one shape."""
        loops = [(self.builder.loop("b", axis.count), axis.count) for axis in (channels, taps)]
        first, tap = (
            block * axis.size + axis.start
            for (block, _), axis in zip(loops, (channels, taps), strict=True)
        )
        shape = (channels.size, taps.size, *self.e.taps[1:], self.blocking.outputs)
        panel = self.scratch("panel", shape)
        packed, added = self.pack(panel, first, tap), self.add(panel, accumulators, first, tap)
        return nest(loops, (Scratch(panel), *packed, *added))

    def pack(self, panel: Buffer, first: Expression, tap: Expression) -> Body:
        """Returns the loops that transpose a part of w: output channels lie side by side."""
        (c, k, *taps, j), loops = self.loops("k", panel.shape)
        value = self.read_w(self.column(j), first + c, (tap + k, *taps))
        return nest(loops, self.store(panel, (c, k, *taps, j), value))

    def add(self, panel: Buffer, accumulators: Buffer, first: Expression, tap: Expression) -> Body:
        """Returns the loops that add a panel's part of all sums; the longest one innermost."""
        (*position, n, j), rows = self.loops("i", accumulators.shape)
        (c, k, *taps), loops = self.loops("k", panel.shape[:-1])
        x = self.read_x(self.number(n), first + c, tuple(position), (tap + k, *taps))
        at = (*position, n, j)
        product = x * Load(panel, (c, k, *taps, j))
        total, value = accumulate(self.builder, "add", Load(accumulators, at), product, loops)
        rows[:-1] = sorted(rows[:-1], key=lambda loop: loop[1])
        return nest(rows, (*total, Store(accumulators, at, value)))

    def results(self, accumulators: Buffer) -> Body:
        """Returns the loops that bring the sums to memory."""
        (*position, n, j), loops = self.loops("i", accumulators.shape)
        value = Load(accumulators, (*position, n, j))
        index = (self.number(n), self.output(self.column(j)), *position)
        return nest([*loops[-2:], *loops[:-2]], tuple(self.builder.epilogue(index, value)))

    def number(self, n: Expression) -> Expression:
        """Returns the number of a sample among all."""
        return self.samples * self.blocking.samples + n

    def column(self, j: Expression) -> Expression:
        """Returns the output channel of a column."""
        return self.tile * self.blocking.outputs + j
