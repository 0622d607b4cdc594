"""Lower a blocked product of matrices, a tile at a time: `graph/product_blocking.py` says how.

Tiles of 512 x 64 of `x @ w`, of depth 8192 in blocks of 512, become

    for row, column:
        sums = scratch(float32[512, 64])
        sums[i, j] = 0
        for block:
            for p:
                panel = scratch(float32[512, 32])
                panel[k, j] = w[block * 512 + k, column * 64 + p * 32 + j]
                sums[i, p * 32 + j] += x[row * 512 + i, block * 512 + k] * panel[k, j]
        y[row * 512 + i, column * 64 + j] = sums[i, j]

If the left operand lies across, a block of the tile's rows is packed before the panels. What is not
packed is read in place. The epilogue of y (bias, activation, an optimizer's update)
stands in place of `sums[i, j]`. If one block holds the whole depth, there are no sums in memory.
"""

from __future__ import annotations

import itertools

from smelt.compiler.graph.product_blocking import PANEL_COLUMNS, ProductBlocking
from smelt.compiler.graph.tiles import Tiles, tiles
from smelt.compiler.lower.kernel_builder import KernelBuilder
from smelt.compiler.lower.nests import Loops, accumulate, nest
from smelt.ir.loops import Buffer, Constant, Expression, Load, Scratch, Store
from smelt.ir.visit import Body, Index
from smelt.ops.elementwise import broadcast_index

LINE = 64  # bytes of a cache line
BAD_ROW = 1024  # bytes: rows of whole multiples are padded by a line


def lower_blocked_product(builder: KernelBuilder) -> Body:
    """Returns the loops of a group that begins with a blocked product of matrices."""
    blocking = builder.group.blocking
    assert isinstance(blocking, ProductBlocking)
    extents = builder.group.members[0].shape[:-2]
    batch = tuple([builder.loop("b", extent) for extent in extents])
    body: Body = ()
    for rows, columns in itertools.product(blocking.rows, blocking.columns):
        body += _Tile(builder, blocking, batch, rows, columns).body()
    return nest(list(zip(batch, extents, strict=True)), body)


class _Tile:
    """The tiles of y of one shape."""

    def __init__(
        self,
        builder: KernelBuilder,
        blocking: ProductBlocking,
        batch: Index,
        rows: Tiles,
        columns: Tiles,
    ) -> None:
        self.builder, self.batch = builder, batch
        self.blocking, self.rows, self.columns = blocking, rows, columns
        self.node = builder.group.members[0]
        self.a, self.b = self.node.inputs
        self.row, self.loop_over_rows = self.starts("row", rows)
        self.column, self.loop_over_columns = self.starts("column", columns)

    def body(self) -> Body:
        """Returns the loops over the tiles, the longer one outside."""
        loops = sorted((self.loop_over_rows, self.loop_over_columns), key=lambda loop: -loop[1])
        depth = self.blocking.depth
        if sum(block.count for block in depth) == 1:
            return nest(loops, self.block(depth[0], None))
        sums = self.scratch("sums", self.rows.size, self.columns.size)
        index, elements = self.indices("z", sums.shape)
        zero = Constant(0, self.node.dtype)
        body: Body = (Scratch(sums), *nest(elements, (Store(sums, index, zero),)))
        for block in depth:
            body += self.block(block, sums)
        index, elements = self.indices("i", sums.shape)
        return nest(loops, (*body, *self.results(index, elements, (), Load(sums, index))))

    def block(self, block: Tiles, sums: Buffer | None) -> Body:
        """Returns the loops over blocks of the depth of one size.

        Without `sums`, what they add up to is the result.
        """
        start, loop = self.starts("block", block)
        width = PANEL_COLUMNS if self.blocking.packs_right else self.columns.size
        pack, left = self.left(start, block.size)
        body = list(pack)
        for columns in tiles(self.columns.size, width):
            body += self.panel(start, block.size, columns, left, sums)
        return nest([loop], tuple(body))

    def panel(
        self,
        start: Expression,
        depth: int,
        columns: Tiles,
        left: Buffer | None,
        sums: Buffer | None,
    ) -> Body:
        """Returns the loops over panels of one width: pack it, multiply by it."""
        first, over_panels = self.starts("p", columns)
        pack, panel = self.right(start, depth, first, columns.size)
        (i, j), elements = self.indices("i", (self.rows.size, columns.size))
        k, over_depth = self.builder.loop("k", depth), depth
        right = self.read_right(start + k, first + j) if panel is None else Load(panel, (k, j))
        product = (self.read_left(i, start + k) if left is None else Load(left, (i, k))) * right
        place = (i, first + j)
        before = Load(sums, place) if sums else Constant(0, self.node.dtype)
        adding, value = accumulate(self.builder, "add", before, product, [(k, over_depth)])
        if sums:
            used = nest(elements, (*adding, Store(sums, place, value)))
        else:
            used = self.results(place, elements, adding, value)
        return nest([over_panels], (*pack, *used))

    def left(self, start: Expression, depth: int) -> tuple[Body, Buffer | None]:
        """Returns the loops that pack a block of the tile's rows, and the block; neither, if these
        rows are read in place.
        """
        if not self.blocking.packs_left:
            return (), None
        # rows that are far powers of two apart would share the same few lines of the cache
        padding = LINE // self.node.dtype.compute.itemsize
        is_bad = depth * self.node.dtype.compute.itemsize % BAD_ROW == 0
        block = self.scratch("left", self.rows.size, depth + padding * is_bad)
        (i, k), loops = self.indices("i", (self.rows.size, depth))
        return self.copied(block, loops, (i, k), self.read_left(i, start + k)), block

    def right(
        self, start: Expression, depth: int, first: Expression, columns: int
    ) -> tuple[Body, Buffer | None]:
        """Returns the loops that pack a panel, and the panel; neither, if its rows are short."""
        if not self.blocking.packs_right:
            return (), None
        panel = self.scratch("panel", depth, columns)
        (k, j), loops = self.indices("k", panel.shape)
        return self.copied(panel, loops, (k, j), self.read_right(start + k, first + j)), panel

    def results(self, place: Index, loops: Loops, adding: Body, value: Expression) -> Body:
        """Returns the loops that store elements of the tile."""
        i, j = place
        index = (*self.batch, self.row + i, self.column + j)
        return nest(loops, (*adding, *self.builder.epilogue(index, value)))

    # --- loops and elements -----------------------------------------------------------------------

    def starts(self, stem: str, axis: Tiles) -> tuple[Expression, tuple[Expression, int]]:
        """Returns where tiles start along an axis, and the loop over them."""
        number = self.builder.loop(stem, axis.count)
        return number * axis.size + axis.start, (number, axis.count)

    def indices(self, stem: str, extents: tuple[int, ...]) -> tuple[Index, Loops]:
        """Returns new indices, and their loops."""
        index = tuple([self.builder.loop(stem, extent) for extent in extents])
        return index, list(zip(index, extents, strict=True))

    def scratch(self, name: str, *shape: int) -> Buffer:
        return Buffer(self.builder.fresh(name), shape, self.node.dtype)

    def copied(self, block: Buffer, loops: Loops, index: Index, value: Expression) -> Body:
        """Returns the loops that pack a block."""
        lets, value = self.builder.bind(value)
        return (Scratch(block), *nest(loops, (*lets, Store(block, index, value))))

    def read_left(self, i: Expression, k: Expression) -> Expression:
        """Returns an element of the tile's rows of a."""
        batch = broadcast_index(self.batch, self.a.shape[:-2])
        return self.builder.read(self.a, (*batch, self.row + i, k))

    def read_right(self, k: Expression, j: Expression) -> Expression:
        """Returns an element of the tile's columns of b."""
        batch = broadcast_index(self.batch, self.b.shape[:-2])
        return self.builder.read(self.b, (*batch, k, self.column + j))
