"""How a product of matrices is blocked, so that what is read over and over stays in a cache.

`y = a @ b` of shapes (M, K) and (K, N) is made a tile at a time, some rows by some columns, and a
tile from one block of the depth K after another. What lies badly in memory is packed: of `a` a
block in which each row lies along the depth, of `b` one narrow panel of columns after another.

    for each tile of y:
        for each block of the depth:
            left = a[the tile's rows, the block]             # where `a` lies across, far apart
            for each panel of columns:
                panel = b[the block, its columns]            # where the rows of `b` are long
                sums += left @ panel                         # by the tiles of registers of `loops/`
        y = sums, with all that is computed of them

Short rows lie so close together that a block of them needs no packing. The gradient of a weight,
`x.T @ g` over all samples and positions, is such a product, and most often of short rows. What is
small, or lies well and is not deep, is left to `loops/`, which packs columns only.

Only shapes decide, so results are the same for any number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from smelt.compiler.graph.tiles import Tiles, even_size, tiles
from smelt.ir.graph import Node
from smelt.ir.symbolic import is_symbolic
from smelt.ops import movement
from smelt.ops.contraction import matmul

PANEL_COLUMNS = 32  # of a panel of the right operand: some vectors of any width
ROWS, COLUMNS = 128, 256  # of a tile, at most
SUM_BYTES = 1 << 17  # of a tile's sums
SHORT_ROW = 1024  # bytes of a row up to which a block of rows is not packed
DEPTH = 256  # of a block that is packed
SHORT_DEPTH = 64  # of a block that is not
SMALL = 1 << 19  # multiply-adds below which nothing is blocked
FEW = 4  # rows or columns that are too few to share anything
MIN_CHUNKS = 4  # tiles that are enough for the threads
# the depth up to which a product is left to `loops/`: where its left operand lies across, where its
# right one does (it is packed there as well, as long as panels fit), and where both lie well
ACROSS, RIGHT_ACROSS, ALONG = 64, 4096, 1024


@dataclass(frozen=True, slots=True)
class ProductBlocking:
    """The tiles of a product's rows and columns, the blocks of its depth, and what is packed."""

    rows: tuple[Tiles, ...]
    columns: tuple[Tiles, ...]
    depth: tuple[Tiles, ...]
    packs_left: bool
    packs_right: bool


def choose_product_blocking(node: Node) -> ProductBlocking | None:
    """Returns how a product is blocked, or None where that is of no use."""
    if node.op is not matmul or any(map(is_symbolic, (*node.shape, node.inputs[0].shape[-1]))):
        return None
    a, b = node.inputs
    (rows, depth), columns = a.shape[-2:], node.shape[-1]
    if rows * depth * columns < SMALL or min(rows, columns) < FEW:
        return None
    if depth <= (ACROSS if lies_across(a) else RIGHT_ACROSS if lies_across(b) else ALONG):
        return None
    itemsize = node.dtype.compute.itemsize
    packs_left = lies_across(a) and rows * itemsize > SHORT_ROW
    packs_right = lies_across(b) or columns * itemsize > SHORT_ROW
    block = even_size(depth, DEPTH if packs_left or packs_right else SHORT_DEPTH)
    height, width = _tile(rows, columns, itemsize, math.prod(node.shape[:-2]), packs_left)
    return ProductBlocking(
        tiles(rows, height), tiles(columns, width), tiles(depth, block), packs_left, packs_right
    )


def lies_across(operand: Node) -> bool:
    """Whether neighbors of a row of an operand lie far apart in memory."""
    return operand.op is movement.permute and operand.attributes["axes"][-1] != operand.ndim - 1


def _tile(
    rows: int, columns: int, itemsize: int, products: int, packs_left: bool
) -> tuple[int, int]:
    """Returns the rows and columns of a tile: many, but so that there are some chunks of work.

    Columns share what is packed of the left operand: only where nothing is they are cut first.
    """
    height = even_size(rows, ROWS)
    width = _even_width(columns, min(COLUMNS, SUM_BYTES // (height * itemsize)))
    while products * -(-rows // height) * -(-columns // width) < MIN_CHUNKS:
        if width > PANEL_COLUMNS and not packs_left:
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
