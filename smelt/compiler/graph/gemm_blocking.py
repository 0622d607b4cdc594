"""How a large convolution, or a deep product, is cut into products of small matrices.

A convolution is a product of matrices once one operand is written out: `panel[c, k, column]`, a
local copy in which columns lie side by side, as vectors want them. There are two ways:

- columns are places (pixels): the panel holds what a few rows of the result need of x, each element
  once a tap; the other operand is w, one row an output channel. This is the forward pass and the
  gradient by the input.
- columns are output channels: the panel holds w, turned; the other operand is x, one row a sample
  and place. This is the gradient by the kernel, of which the places are few and the taps many.

A panel must fit in the second cache. What is deeper is done in blocks, and sums wait in a second
buffer, the totals. A product of matrices `x @ w.T` that is too deep for the panels of the scheduler
is cut the second way: it is a convolution without places and taps.

Only shapes decide, so results are the same for any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from smelt.ir.graph import Node
from smelt.ops import movement
from smelt.ops.contraction import matmul
from smelt.ops.convolution import convolution

Shape = tuple[int, ...]
Part = tuple[int, int, int]  # first, how many, and in steps of how many

VECTOR = 16  # elements side by side that a panel's width is chosen for
PANEL = 1 << 15  # elements of a panel, at most
TOTALS = 1 << 15  # elements of the totals, at most
WIDEST = 256  # columns of a panel, at most
DEEP = 4096  # products of matrices up to this depth are the scheduler's
LEAST_WORK = 1 << 16  # products below which nothing is cut
LEAST_ROWS = 4  # rows that must share a panel
FEW_SHARES = 4  # pieces of work that are enough for the threads
COPY_PRICE = 3  # cycles of copying a vector into a panel, or of turning it
RESULT_PRICE = 3  # cycles of bringing one of the totals to memory across the channels


@dataclass(frozen=True, slots=True)
class Extents:
    """A convolution's extents, one group's channels: y (N, O, *P) from C channels and taps K.

    A product of matrices has no places, and one tap.
    """

    samples: int
    groups: int
    outputs: int
    places: Shape
    inner: int
    taps: Shape

    @property
    def depth(self) -> int:
        """How many products make one element."""
        return self.inner * math.prod(self.taps)

    @property
    def lines(self) -> int:
        """How many lines of places there are, in one image of a stack."""
        return self.places[-2] if len(self.places) > 1 else 1


@dataclass(frozen=True, slots=True)
class PlaceCut:
    """Columns are places: strips of `rows` lines of the result, `columns` wide.

    `inner` channels make one block of the depth.
    """

    lines: tuple[Part, ...]  # the last axis but one
    columns: tuple[Part, ...]  # the last axis
    inner: int


@dataclass(frozen=True, slots=True)
class ChannelCut:
    """Columns are output channels, `outputs` a panel; `samples` share it.

    One block of the depth has some channels and some steps of the first axis of taps.
    """

    outputs: int
    samples: int
    inner: tuple[Part, ...]
    taps: tuple[Part, ...]


def extents_of(node: Node) -> Extents:
    """Returns the extents of a convolution, or of a product of matrices."""
    _, w = node.inputs
    if node.op is matmul:
        return Extents(node.shape[0], 1, node.shape[1], (), w.shape[0], (1,))
    groups = node.attributes["groups"]
    samples, outputs, *places = node.shape
    return Extents(samples, groups, outputs // groups, tuple(places), w.shape[1], w.shape[2:])


def cut(node: Node) -> PlaceCut | ChannelCut | None:
    """Returns how a convolution is cut, or None when it is small or its operands are shared little.

    Of both ways the one that takes less time, by a small model, is chosen.
    """
    if node.op is not convolution and not (node.op is matmul and _is_deep(node)):
        return None
    e = extents_of(node)
    work = e.groups * e.samples * e.outputs * math.prod(e.places) * e.depth
    if work < LEAST_WORK:
        return None
    options = [option for option in (_by_places(e), _by_channels(e)) if option is not None]
    return min(options, key=lambda option: option[0])[1] if options else None


def _is_deep(node: Node) -> bool:
    """Whether a product's right side lies across its columns, and is too deep for one panel."""
    _, w = node.inputs
    return node.ndim == 2 and w.op is movement.permute and w.shape[0] > DEEP


def parts(extent: int, step: int) -> tuple[Part, ...]:
    """Returns an extent in whole steps, and one smaller step behind them."""
    whole = extent // step
    result = [(0, whole, step)] if whole else []
    if extent % step:
        result.append((whole * step, 1, extent % step))
    return tuple(result)


def _vectors(columns: int) -> int:
    return -(-columns // VECTOR)


def _by_places(e: Extents) -> tuple[float, PlaceCut] | None:
    if not e.places or e.outputs < LEAST_ROWS or math.prod(e.places) < VECTOR // 2:
        return None
    inner, most = _panel(e)
    if most < VECTOR:
        return None
    lines, columns = _strips(e, most)
    vectors = sum(n * _vectors(r * c) * m for _, n, r in lines for _, m, c in columns)
    around = e.groups * e.samples * math.prod(e.places[:-2])
    copies = e.lines * sum(count * _vectors(step) for _, count, step in columns)
    cycles = around * e.depth * (vectors * e.outputs + COPY_PRICE * copies)
    single = len(lines) == len(columns) == 1
    shares = around * lines[0][1] * columns[0][1] if single else around
    return _shared(cycles, shares), PlaceCut(lines, columns, inner)


def _panel(e: Extents) -> tuple[int, int]:
    """Returns how many channels a panel of places holds, and how many columns at most."""
    taps = math.prod(e.taps)
    inner = _divisor(e.inner, PANEL // (4 * VECTOR * taps))
    most = min(WIDEST, PANEL // (inner * taps) // VECTOR * VECTOR)
    return inner, most if inner == e.inner else min(most, TOTALS // e.outputs)


def _strips(e: Extents, most: int) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Returns strips of whole lines, or of parts of one line where that is longer than a panel."""
    width = e.places[-1]
    if width > most:
        return parts(e.lines, 1), parts(width, most)
    heights = _heights(e.lines, most // width, e.samples * e.groups)
    rows = min(heights, key=lambda n: _waste(e.lines, width, n))
    return parts(e.lines, rows), parts(width, width)


def _shared(cycles: float, shares: int) -> float:
    """Returns the time of work in so many shares: what cannot be shared takes twice as long."""
    return cycles if shares > 1 else 2 * cycles


def _heights(lines: int, most: int, others: int) -> list[int]:
    """Returns how many lines a strip may have: where strips must do for all threads, equal ones."""
    heights = range(1, min(lines, most) + 1)
    return [n for n in heights if others >= FEW_SHARES or lines % n == 0]


def _waste(lines: int, width: int, rows: int) -> float:
    """Vectors that strips of `rows` lines take, each strip counting a little by itself."""
    return sum(count * (_vectors(step * width) + 0.25) for _, count, step in parts(lines, rows))


def _by_channels(e: Extents) -> tuple[float, ChannelCut] | None:
    outputs = _divisor(e.outputs, 2 * VECTOR)
    rows = e.samples * math.prod(e.places)
    if outputs < VECTOR // 2 or rows < LEAST_ROWS:
        return None
    line = math.prod(e.taps[1:]) * outputs
    steps = _even(e.taps[0], PANEL // 2 // line or PANEL // line)
    most = TOTALS // (math.prod(e.places) * outputs)
    if not steps or not most:
        return None
    inner = _even(e.inner, PANEL // 2 // (line * steps)) if steps == e.taps[0] else 1
    samples = _samples(e, outputs, most)
    vectors = _vectors(outputs) * (e.outputs // outputs)
    copies = COPY_PRICE * vectors * (e.samples // samples)
    cycles = e.groups * (e.depth * (rows * vectors + copies) + RESULT_PRICE * rows * e.outputs)
    shares = e.groups * (e.outputs // outputs) * (e.samples // samples)
    how = ChannelCut(outputs, samples, parts(e.inner, inner), parts(e.taps[0], steps))
    return _shared(cycles, shares), how


def _samples(e: Extents, outputs: int, most: int) -> int:
    """Returns how many samples share a panel: many, but so that there are some shares of work."""
    shares = e.groups * (e.outputs // outputs)
    fewest = -(-LEAST_ROWS * 16 // math.prod(e.places))
    wanted = max(fewest, -(-e.samples * shares // FEW_SHARES))
    return _divisor(e.samples, min(most, wanted))


def _even(extent: int, most: int) -> int:
    """Returns the step, up to `most`, that cuts an extent into about equal pieces; 0: none does."""
    return -(-extent // -(-extent // most)) if most else 0


def _divisor(extent: int, most: int) -> int:
    """Returns the largest divisor of an extent up to `most`, at least 1."""
    return next((n for n in range(min(extent, most), 1, -1) if extent % n == 0), 1)


def reads_by_element(node: Node) -> Iterator[Node]:
    """Yields the operands of which a cut product reads one element at a time, very often."""
    how = cut(node)
    if isinstance(how, PlaceCut):
        yield node.inputs[1]
    elif isinstance(how, ChannelCut):
        yield node.inputs[0]
