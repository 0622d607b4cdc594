"""How a product of matrices is blocked, so that what is read repeatedly stays in a cache.

`y = a @ b` of shapes (M, K) and (K, N) is computed a tile at a time, some rows by some columns, and
a tile one block of the depth K after another:

    for each tile of y:
        for each block of the depth:
            for each panel of columns:
                panel = b[the block, its columns]            # packed if the rows of `b` are long
                sums += a[the tile's rows, the block] @ panel   # by the tiles of `loops/`
        y = sums, with the epilogue

The gradient of a weight, `x.T @ g` over all samples and positions, is such a product: neighbors in
a row of `x.T` are a row of `x` apart. If one tile has all columns of `g`, each block of `x.T` is
packed before panels are multiplied by it, so that its rows are contiguous. If `g` has more columns,
`x.T` is copied before, once for all tiles (`materialize.py` asks `copies_left`). If it has few, a
block of short rows, which are close together, is done at a time. Other products are left to
`loops/`, which packs panels of the whole depth, as far as they fit in the second cache.

Only shapes decide, so results are the same for any number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from smelt.compiler.cpu import CPU
from smelt.compiler.graph.tiles import Tiles, even_size, tiles
from smelt.ir.graph import Node
from smelt.ir.symbolic import is_symbolic
from smelt.ops import movement
from smelt.ops.contraction import matmul

PANEL_COLUMNS = 32  # of a panel of the right operand: some vectors of any width
ROWS, COLUMNS = 512, 256  # of a tile, at most
SUM_BYTES = 1 << 17  # of a tile's sums
DEPTH = 512  # of a block that is packed
SHORT_ROW = 1024  # bytes of a row up to which a block of rows is not packed
SMALL = 1 << 19  # multiply-adds below which nothing is blocked
FEW = 4  # rows or columns that are too few to share anything
# columns that pay for bringing a transposed left operand into rows: in any case, and if it has many
MANY, SOME = 256, 64
ACROSS = 64  # depth up to which a product with a transposed left operand is left to `loops/`
LEFT_ROWS = 128  # of a tile whose left operand is packed, at most
LEFT_BYTES = 1 << 18  # of a block of it: a part of the second cache
STRIP = 128  # bytes of a row of the narrowest strip of columns that is worth packing
MIN_CHUNKS = 4  # tiles that are enough for the threads


@dataclass(frozen=True, slots=True)
class ProductBlocking:
    """The tiles of a product's rows and columns, the blocks of its depth, and which operands are
    packed: blocks of the left one, panels of the right one.
    """

    rows: tuple[Tiles, ...]
    columns: tuple[Tiles, ...]
    depth: tuple[Tiles, ...]
    packs_left: bool
    packs_right: bool


def choose_product_blocking(node: Node, cpu: CPU) -> ProductBlocking | None:
    """Returns how a product is blocked on a kind of CPU, or None if that does not pay: if a panel
    holds the whole depth.
    """
    if not _is_large(node):
        return None
    a, b = node.inputs
    (rows, depth), columns = a.shape[-2:], node.shape[-1]
    itemsize = node.dtype.compute.itemsize
    packs_right = lies_across(b) or columns * itemsize > SHORT_ROW
    height, width = _tile(rows, columns, itemsize, math.prod(node.shape[:-2]), LEFT_ROWS)
    packs_left = wants_rows(node) and columns <= COLUMNS
    if packs_left:
        longest = LEFT_BYTES // (height * itemsize)
    else:
        is_across = is_read_by_columns(node)
        if depth <= (ACROSS if is_across else cpu.panel_bytes // STRIP):
            return None
        height, width = _tile(rows, columns, itemsize, math.prod(node.shape[:-2]), ROWS)
        row = max(rows if is_across else 1, 1 if packs_right else columns) * itemsize
        longest = max(cpu.first_cache // row, 1)
    block = even_size(depth, min(DEPTH, longest))
    return ProductBlocking(
        tiles(rows, height), tiles(columns, width), tiles(depth, block), packs_left, packs_right
    )


def is_read_by_columns(node: Node) -> bool:
    """Whether a product's left operand is transposed in memory, and is read as it lies there."""
    return lies_across(node.inputs[0]) and not wants_rows(node)


def copies_left(node: Node, blocking: object) -> bool:
    """Whether a product's left operand is copied before, given how it is blocked."""
    packs = isinstance(blocking, ProductBlocking) and blocking.packs_left
    return wants_rows(node) and not packs


def wants_rows(node: Node) -> bool:
    """Whether a product's left operand is transposed in memory, and worth being brought into rows:
    packed, or copied before.
    """
    if not _is_large(node) or not lies_across(node.inputs[0]):
        return False
    (rows, depth), columns = node.inputs[0].shape[-2:], node.shape[-1]
    is_long = rows * node.dtype.compute.itemsize > SHORT_ROW
    return depth > ACROSS and columns >= (SOME if is_long else MANY)


def _is_large(node: Node) -> bool:
    """Whether a node is a product that may be blocked: of known extents, and of much work."""
    if node.op is not matmul:
        return False
    *_, rows, columns = node.shape
    extents = (*node.shape, node.inputs[0].shape[-1])
    if any(map(is_symbolic, extents)) or min(rows, columns) < FEW:
        return False
    return rows * columns * extents[-1] >= SMALL


def lies_across(operand: Node) -> bool:
    """Whether neighbors in a row of an operand are far apart in memory: it is transposed."""
    return operand.op is movement.permute and operand.attributes["axes"][-1] != operand.ndim - 1


def _tile(rows: int, columns: int, itemsize: int, products: int, most_rows: int) -> tuple[int, int]:
    """Returns the rows and columns of a tile: many, but few enough for several chunks."""
    height = even_size(rows, most_rows)
    width = _even_width(columns, min(COLUMNS, SUM_BYTES // (height * itemsize)))
    while products * -(-rows // height) * -(-columns // width) < MIN_CHUNKS:
        if width > PANEL_COLUMNS:
            width = _even_width(columns, width // 2)
        elif height > PANEL_COLUMNS:
            height = even_size(rows, height // 2)
        else:
            break
    return height, width


def _even_width(columns: int, limit: int) -> int:
    """Returns how wide tiles are: whole panels, of about equal numbers."""
    step = PANEL_COLUMNS
    return even_size(columns, max(limit // step, 1) * step, step)
