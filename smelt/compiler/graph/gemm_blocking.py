"""How a large convolution is blocked as a product of small matrices.

A convolution is an implicit GEMM: a product of matrices once one operand is packed into a panel,
`panel[c, k, column]`, a local copy in which columns are contiguous, as vectors need them. Either
operand can be packed:

- x: columns are output positions (pixels). The panel holds the part of x that a few rows of the
  result need, each element once per tap; the other operand is w, with one row per output channel.
  This suits the forward pass and the gradient of the input.
- w: columns are output channels. The panel holds w, transposed; the other operand is x, with one
  row per sample and position. This suits the gradient of the kernel, with few positions and many
  taps.

A panel must fit in the second cache. If it does not, the depth is split into blocks, and sums are
kept in a second buffer, the accumulators.

Panels do not depend on the width of the CPU's vectors: their width suits the caches, and the tiles
of `loops/` cut their columns into vectors. (Panels of two vectors were slower for vectors of 128
bits, and no faster for wider ones.)

Only shapes decide, so results are the same for any number of threads.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from smelt.compiler.graph.tiles import Tiles, even_size, tiles
from smelt.ir.graph import Node
from smelt.ops.convolution import convolution

Shape = tuple[int, ...]

LINE = 16  # columns of a panel come in whole cache lines of float32, for vectors of any width
PANEL_LIMIT = 1 << 15  # elements of a panel
ACCUMULATOR_LIMIT = 1 << 15  # elements of the accumulators
COLUMN_LIMIT = 256  # columns of a panel
MIN_WORK = 1 << 16  # multiply-adds below which nothing is blocked
MIN_ROWS = 4  # rows that must share a panel
MIN_CHUNKS = 4  # chunks of work that are enough for the threads
COPY_COST = 3  # cycles of copying a line into a panel, or of transposing it
WRITE_BACK_COST = 3  # cycles of writing an accumulator back across the channels


@dataclass(frozen=True, slots=True)
class Extents:
    """A convolution's extents in one group of channels: y (N, O, *P) from C channels and taps K."""

    samples: int
    groups: int
    outputs: int
    positions: Shape
    channels: int
    taps: Shape

    @property
    def depth(self) -> int:
        """How many products make one element."""
        return self.channels * math.prod(self.taps)

    @property
    def height(self) -> int:
        """How many rows of positions there are, in one image of a stack."""
        return self.positions[-2] if len(self.positions) > 1 else 1

    @property
    def images(self) -> int:
        """How many images there are in all stacks of all samples, each once per group."""
        return self.groups * self.samples * math.prod(self.positions[:-2])


@dataclass(frozen=True, slots=True)
class Blocking:
    """Which operand is packed (0: x, 1: w), and the tiles of all axes.

    A panel is shared by all rows of a tile of y: by its outputs if x is packed, else by its samples
    and positions. A block of the depth has some channels and some of the first axis of taps.
    """

    packed: int
    samples: Tiles
    outputs: Tiles
    positions: tuple[tuple[Tiles, ...], ...]  # of each axis
    channels: tuple[Tiles, ...]
    taps: tuple[Tiles, ...]

    @property
    def scalar_operand(self) -> int:
        """The operand that is read repeatedly, one element at a time."""
        return 1 - self.packed

    @property
    def depth(self) -> list[tuple[Tiles, Tiles]]:
        """The blocks of the depth, by their shapes."""
        return list(itertools.product(self.channels, self.taps))

    @property
    def is_direct(self) -> bool:
        """Whether sums need no accumulators: one panel holds the depth, and columns are contiguous
        in y.
        """
        blocks = sum(channels.count * taps.count for channels, taps in self.depth)
        return blocks == 1 and self.packed == 0


def extents_of(node: Node) -> Extents:
    """Returns the extents of a convolution."""
    _, w = node.inputs
    groups = node.attributes["groups"]
    samples, outputs, *positions = node.shape
    return Extents(samples, groups, outputs // groups, tuple(positions), w.shape[1], w.shape[2:])


def choose_blocking(node: Node) -> Blocking | None:
    """Returns how a node is blocked, or None when it is small or its operands are reused little.

    Of both ways the one with the lower estimate of cycles is chosen.
    """
    if node.op is not convolution:
        return None
    e = extents_of(node)
    if e.images * e.outputs * math.prod(e.positions[-2:]) * e.depth < MIN_WORK:
        return None
    options = [option for option in (_pack_patches(e), _pack_kernels(e)) if option is not None]
    return min(options, key=lambda option: option[0])[1] if options else None


def _lines(columns: int) -> int:
    return -(-columns // LINE)


def _pack_patches(e: Extents) -> tuple[float, Blocking] | None:
    """Returns the blocking that packs x, and its cycles, or None if it does not pay."""
    if not e.positions or e.outputs < MIN_ROWS or math.prod(e.positions) < LINE // 2:
        return None
    channels, limit = _panel_limits(e)
    if limit < LINE:
        return None
    rows, columns = _position_tiles(e, limit)
    lines = sum(r.count * _lines(r.size * c.size) * c.count for r in rows for c in columns)
    copies = e.height * sum(c.count * _lines(c.size) for c in columns)
    cycles = e.images * e.depth * (lines * e.outputs + COPY_COST * copies)
    is_uniform = len(rows) == len(columns) == 1
    chunks = e.images * rows[0].count * columns[0].count if is_uniform else e.images
    positions = (*(tiles(extent, 1) for extent in e.positions[:-2]), rows, columns)
    blocking = Blocking(
        packed=0,
        samples=Tiles(0, e.samples, 1),
        outputs=Tiles(0, 1, e.outputs),
        positions=positions[-len(e.positions) :],
        channels=tiles(e.channels, channels),
        taps=tiles(e.taps[0], e.taps[0]),
    )
    return _threaded(cycles, chunks), blocking


def _panel_limits(e: Extents) -> tuple[int, int]:
    """Returns how many channels a panel of x holds, and how many columns at most."""
    taps = math.prod(e.taps)
    channels = _divisor(e.channels, PANEL_LIMIT // (4 * LINE * taps))
    limit = min(COLUMN_LIMIT, PANEL_LIMIT // (channels * taps) // LINE * LINE)
    return channels, limit if channels == e.channels else min(limit, ACCUMULATOR_LIMIT // e.outputs)


def _position_tiles(e: Extents, limit: int) -> tuple[tuple[Tiles, ...], tuple[Tiles, ...]]:
    """Returns tiles of full rows, or of parts of one row if that is longer than a panel."""
    width = e.positions[-1]
    if width > limit:
        return tiles(e.height, 1), tiles(width, limit)
    heights = _tile_heights(e.height, limit // width, e.samples * e.groups)
    height = min(heights, key=lambda height: _tiled_lines(e.height, width, height))
    return tiles(e.height, height), tiles(width, width)


def _threaded(cycles: float, chunks: int) -> float:
    """Returns the time of work in `chunks` chunks: a single one takes twice as long."""
    return cycles if chunks > 1 else 2 * cycles


def _tile_heights(height: int, limit: int, chunks: int) -> list[int]:
    """Returns how high tiles may be: all equal, if there are too few other chunks."""
    heights = range(1, min(height, limit) + 1)
    return [n for n in heights if chunks >= MIN_CHUNKS or height % n == 0]


def _tiled_lines(height: int, width: int, tile: int) -> float:
    """Returns the lines of columns in tiles of a height, with a little more for each tile."""
    return sum(t.count * (_lines(t.size * width) + 0.25) for t in tiles(height, tile))


def _pack_kernels(e: Extents) -> tuple[float, Blocking] | None:
    """Returns the blocking that packs w, and its cycles, or None if it does not pay."""
    outputs = _divisor(e.outputs, 2 * LINE)
    rows = e.samples * math.prod(e.positions)
    if outputs < LINE // 2 or rows < MIN_ROWS:
        return None
    row = math.prod(e.taps[1:]) * outputs
    taps = even_size(e.taps[0], PANEL_LIMIT // 2 // row or PANEL_LIMIT // row)
    limit = ACCUMULATOR_LIMIT // (math.prod(e.positions) * outputs)
    if not taps or not limit:
        return None
    all_taps = taps == e.taps[0]
    channels = even_size(e.channels, PANEL_LIMIT // 2 // (row * taps)) if all_taps else 1
    samples = _samples(e, outputs, limit)
    lines = _lines(outputs) * (e.outputs // outputs)
    copies = COPY_COST * lines * (e.samples // samples)
    cycles = e.groups * (e.depth * (rows * lines + copies) + WRITE_BACK_COST * rows * e.outputs)
    chunks = e.groups * (e.outputs // outputs) * (e.samples // samples)
    blocking = Blocking(
        packed=1,
        samples=Tiles(0, e.samples // samples, samples),
        outputs=Tiles(0, e.outputs // outputs, outputs),
        positions=tuple([tiles(extent, extent) for extent in e.positions]),
        channels=tiles(e.channels, channels),
        taps=tiles(e.taps[0], taps),
    )
    return _threaded(cycles, chunks), blocking


def _samples(e: Extents, outputs: int, limit: int) -> int:
    """Returns how many samples share a panel: many, but few enough for several chunks."""
    chunks = e.groups * (e.outputs // outputs)
    fewest = -(-MIN_ROWS * 16 // math.prod(e.positions))
    wanted = max(fewest, -(-e.samples * chunks // MIN_CHUNKS))
    return _divisor(e.samples, min(limit, wanted))


def _divisor(extent: int, limit: int) -> int:
    """Returns the largest divisor of an extent up to `limit`, at least 1."""
    return next((n for n in range(min(extent, limit), 1, -1) if extent % n == 0), 1)
