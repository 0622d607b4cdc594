"""Lower a blocked convolution, a panel at a time.

`graph/gemm_blocking.py` says which operand is packed, and how all axes are tiled. A forward pass
with a 3 x 3 kernel on 64 channels, with x packed in tiles of 2 rows of 24 positions, becomes

    for n, tile:
        panel = scratch(float32[64, 3, 3, 48])
        for c, k, l, i, j:
            panel[c, k, l, i * 24 + j] = x[n, c, tile * 2 + i + k, j + l]
        for o, j in range(0, 48):
            acc = 0
            for c, k, l: acc = acc + w[o, c, k, l] * panel[c, k, l, j]
            y[n, o, tile * 48 + j] = acc

The epilogue of y (bias, activation) stands in place of `acc`. Padding of x is a mask where the
panel is packed, and nowhere else. If a panel does not hold the whole depth, or columns are not
contiguous in y, sums are kept in a second buffer, the accumulators.
"""

from __future__ import annotations

import itertools
import math

from smelt.compiler.graph.gemm_blocking import Blocking, extents_of
from smelt.compiler.graph.tiles import Tiles
from smelt.compiler.lower.kernel_builder import FlattenedAxes, KernelBuilder
from smelt.compiler.lower.nests import Loops, accumulate, input_position, nest
from smelt.ir.loops import Buffer, Constant, Expression, Load, Scratch, Store, constant
from smelt.ir.visit import Body, Index
from smelt.ops.regroup import regroup

NEIGHBORS = 6  # neighboring positions that are enough rows of a tile


def lower_blocked_gemm(builder: KernelBuilder) -> Body:
    """Returns the loops of a group that begins with a blocked convolution."""
    blocking = builder.group.blocking
    assert isinstance(blocking, Blocking)
    writer = _PatchPanels if blocking.packed == 0 else _KernelPanels
    groups = extents_of(builder.group.members[0]).groups
    group = builder.loop("g", groups)
    tiles: Body = ()
    for positions in itertools.product(*blocking.positions):
        axes = (blocking.samples, blocking.outputs, *positions)
        tiles += writer(builder, blocking, group, axes).body()
    return nest([(group, groups)], tiles)


class _Tiles:
    """The tiles of y of one shape.

    An element of a tile has the index (*rows, column): the panel is read at its column, the operand
    that is not packed at its rows.
    """

    def __init__(
        self, builder: KernelBuilder, blocking: Blocking, group: Expression, axes: tuple[Tiles, ...]
    ) -> None:
        self.builder = builder
        self.blocking = blocking
        self.node = builder.group.members[0]
        self.x, self.w = self.node.inputs
        self.e = extents_of(self.node)
        self.group = group
        self.corner, self.loops = self.starts("s", axes)  # sample, output, position of the first
        self.sizes = tuple([axis.size for axis in axes])
        self.zero = Constant(0, self.node.dtype)

    # --- what depends on the packed operand -------------------------------------------------------

    @property
    def extents(self) -> tuple[int, ...]:
        """The numbers of rows, and of columns, of a tile."""
        raise NotImplementedError

    def pack(self, panel: Buffer, channel: Expression, tap: Expression) -> Body:
        """Returns the loops that fill a panel with the block of the depth that begins here."""
        raise NotImplementedError

    def scalar(self, rows: Index, channel: Expression, taps: Index) -> Expression:
        """Returns an element of the operand that is not packed."""
        raise NotImplementedError

    def ordered_rows(self, rows: Loops) -> Loops:
        """Returns the loops over rows, with the one innermost whose rows are done at once."""
        return rows

    def results(self, index: Index, loops: Loops, sums: Body, value: Expression) -> Body:
        """Returns the loops that store the elements of a tile."""
        raise NotImplementedError

    # --- the algorithm ----------------------------------------------------------------------------

    def body(self) -> Body:
        """Returns the loops over the tiles: pack, multiply, store."""
        if self.blocking.is_direct:
            return nest(self.loops, self.multiply(*self.blocking.depth[0], None))
        accumulators = self.scratch("accumulators", self.extents)
        index, elements = self.indices("z", self.extents)
        sums = nest(elements, (Store(accumulators, index, self.zero),))
        for channels, taps in self.blocking.depth:
            sums += self.multiply(channels, taps, accumulators)
        index, elements = self.indices("i", self.extents)
        results = self.results(index, elements, (), Load(accumulators, index))
        return nest(self.loops, (Scratch(accumulators), *sums, *results))

    def multiply(self, channels: Tiles, taps: Tiles, accumulators: Buffer | None) -> Body:
        """Returns the loops over blocks of the depth of one shape: pack a panel, multiply by it.

        Without accumulators the sums are results.
        """
        (channel, tap), blocks = self.starts("b", (channels, taps))
        sizes = (channels.size, taps.size, *self.e.taps[1:])
        panel = self.scratch("panel", (*sizes, self.extents[-1]))
        index, loops = self.indices("i", self.extents)
        (c, k, *inner), depth = self.indices("k", sizes)
        product = self.scalar(index[:-1], channel + c, (tap + k, *inner))
        product = product * Load(panel, (c, k, *inner, index[-1]))
        start = Load(accumulators, index) if accumulators else self.zero
        sums, value = accumulate(self.builder, "add", start, product, depth)
        if accumulators:
            loops[:-1] = self.ordered_rows(loops[:-1])
            used = nest(loops, (*sums, Store(accumulators, index, value)))
        else:
            used = self.results(index, loops, sums, value)
        return nest(blocks, (Scratch(panel), *self.pack(panel, channel, tap), *used))

    # --- loops and elements -----------------------------------------------------------------------

    def starts(self, stem: str, axes: tuple[Tiles, ...]) -> tuple[Index, Loops]:
        """Returns where tiles start along each axis, and the loops over them."""
        numbers, loops = self.indices(stem, tuple([axis.count for axis in axes]))
        pairs = zip(numbers, axes, strict=True)
        return tuple([number * axis.size + axis.start for number, axis in pairs]), loops

    def indices(self, stem: str, extents: tuple[int, ...]) -> tuple[Index, Loops]:
        """Returns new indices, and their loops."""
        index = tuple([self.builder.loop(stem, extent) for extent in extents])
        return index, list(zip(index, extents, strict=True))

    def scratch(self, name: str, shape: tuple[int, ...]) -> Buffer:
        return Buffer(self.builder.fresh(name), shape, self.node.dtype)

    def fill(self, panel: Buffer, loops: Loops, index: Index, value: Expression) -> Body:
        lets, value = self.builder.bind(value)
        return nest(loops, (*lets, Store(panel, index, value)))

    def read_x(self, n: Expression, c: Expression, position: Index, taps: Index) -> Expression:
        """Returns the element of x under a tap of the kernel at an output position."""
        at = input_position(self.node, position, taps)
        return self.builder.read(self.x, (n, self.group * self.e.channels + c, *at))

    def read_w(self, o: Expression, c: Expression, taps: Index) -> Expression:
        """Returns an element of w."""
        return self.builder.read(self.w, (self.output(o), c, *taps))

    def output(self, o: Expression) -> Expression:
        """Returns the number, among all output channels, of one of the group's."""
        return self.group * self.e.outputs + o

    def at_corner(self, *index: Expression) -> Index:
        """Returns the index in y of an element of the tile: sample, output, position."""
        return tuple([start + part for start, part in zip(self.corner, index, strict=True)])


class _PatchPanels(_Tiles):
    """x is packed: columns are output positions, rows are output channels.

    The tile has one sample; its last two axes are full rows of y, or a part of one row, so that its
    positions are neighbors in memory.
    """

    @property
    def extents(self) -> tuple[int, ...]:
        return self.sizes[1], math.prod(self.sizes[2:])

    def pack(self, panel: Buffer, channel: Expression, tap: Expression) -> Body:
        """Each element of x is copied once per tap."""
        (c, k, *inner), loops = self.indices("k", panel.shape[:-1])
        inside, columns = self.indices("i", self.sizes[2:])
        n, _, *position = self.at_corner(constant(0), constant(0), *inside)
        value = self.read_x(n, channel + c, tuple(position), (tap + k, *inner))
        (column,) = regroup(inside, self.sizes[2:], panel.shape[-1:])
        return self.fill(panel, [*loops, *columns], (c, k, *inner, column), value)

    def scalar(self, rows: Index, channel: Expression, taps: Index) -> Expression:
        return self.read_w(rows[0], channel, taps)

    def results(self, index: Index, loops: Loops, sums: Body, value: Expression) -> Body:
        """Positions are one axis here, so that vectors continue across the rows of y."""
        extents = self.e.positions
        all_positions = (math.prod(extents),)
        flat = regroup(self.corner[2:], extents, all_positions)[0] + index[-1]
        position = regroup((flat,), all_positions, extents)
        with self.builder.flattened(FlattenedAxes(position, extents, flat)):
            at = (self.corner[0], self.output(self.corner[1] + index[0]), *position)
            return nest(loops, (*sums, *self.builder.epilogue(at, value)))


class _KernelPanels(_Tiles):
    """w is packed, transposed: columns are output channels, rows are positions and samples."""

    @property
    def extents(self) -> tuple[int, ...]:
        samples, outputs, *positions = self.sizes
        return (*positions, samples, outputs)

    def pack(self, panel: Buffer, channel: Expression, tap: Expression) -> Body:
        index, loops = self.indices("k", panel.shape)
        c, k, *inner, o = index
        value = self.read_w(self.corner[1] + o, channel + c, (tap + k, *inner))
        return self.fill(panel, loops, index, value)

    def scalar(self, rows: Index, channel: Expression, taps: Index) -> Expression:
        *position, n = rows
        n, _, *position = self.at_corner(n, constant(0), *position)
        return self.read_x(n, channel, tuple(position), taps)

    def ordered_rows(self, rows: Loops) -> Loops:
        """Neighboring positions are on the same cache lines of x; if they are few, the longest axis
        gives the most rows.
        """
        *outer, width, samples = rows
        if width[1] >= NEIGHBORS:
            return [*outer, samples, width]
        return sorted(rows, key=lambda loop: loop[1])

    def results(self, index: Index, loops: Loops, sums: Body, value: Expression) -> Body:
        """Samples and channels outside, so that rows of y are written."""
        *position, n, o = index
        n, o, *position = self.at_corner(n, o, *position)
        loops = [*loops[-2:], *loops[:-2]]
        epilogue = self.builder.epilogue((n, self.output(o), *position), value)
        return nest(loops, (*sums, *epilogue))
