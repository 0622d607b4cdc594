"""Loads, stores and transposed tiles in LLVM: addresses, and how many elements move at once.

Addresses are `getelementptr` of a buffer's pointer. A vector of indices whose element offsets are
base, base + 1, ... becomes one vector access. Loads of elements close to each other, in any other
known order, become a few vector loads and shuffles. Everything else is a gather or a scatter.
Accesses assume only the alignment of an element: a caller's arrays guarantee no more, and CPUs do
not mind.
"""

from __future__ import annotations

from collections.abc import Sequence

from smelt.compiler.codegen.arithmetic import binary
from smelt.compiler.codegen.operands import constant, offsets_literal, shuffle, splat
from smelt.compiler.codegen.writer import (
    Value,
    Writer,
    integer,
    memory_type,
    ramp,
    suffix,
    vector,
)
from smelt.dtypes import bool_, int64
from smelt.errors import CompileError
from smelt.ir.loops import Buffer

NEAR = 4  # at most so many vectors are read in place of a gather


def offset(w: Writer, buffer: Buffer, index: Sequence[Value]) -> Value:
    """Returns the number of elements before the one at `index`; axes of one element add none."""
    total = integer(0)
    for part, extent, stride in zip(index, buffer.shape, buffer.strides, strict=True):
        if extent != 1 or part.lanes > 1:
            total = binary(w, "add", total, binary(w, "mul", part, integer(stride)))
    return total


def load(
    w: Writer, pointer: str, buffer: Buffer, index: Sequence[Value], mask: Value | None
) -> Value:
    """Returns the elements at `index`, and 0 where `mask` is false."""
    place = offset(w, buffer, index)
    lanes = max(place.lanes, mask.lanes if mask else 1)
    mask = None if mask and mask.first_lanes == mask.lanes == place.lanes else mask  # it holds
    offsets = place.lane_offsets
    if offsets is not None and place.stride not in (0, 1) and _is_near(offsets):
        every = splat(w, mask or constant(True, bool_), lanes)
        text = _load_near(w, pointer, buffer, place, offsets, every)
    elif mask is not None:
        text = _load_masked(w, pointer, buffer, place, splat(w, mask, lanes))
    elif lanes == 1 or place.stride == 1:
        address = _address(w, pointer, buffer, place.text)
        type_ = memory_type(buffer.dtype, lanes)
        text = w.load(type_, address, buffer.dtype.itemsize)
    elif place.stride == 0:
        return splat(w, load(w, pointer, buffer, _first(index), None), lanes)
    else:
        every = constant(True, bool_, lanes)
        text = _gather(w, _addresses(w, pointer, buffer, place), buffer, every)
    return _from_memory(w, Value(text, buffer.dtype, lanes))


def store(
    w: Writer,
    pointer: str,
    buffer: Buffer,
    index: Sequence[Value],
    value: Value,
    mask: Value | None,
) -> None:
    """Writes `value` to `index` where `mask` holds.

    Raises CompileError when value and buffer have different dtypes.
    """
    if value.dtype is not buffer.dtype:
        raise CompileError(
            f"a {value.dtype.name} is stored to {buffer.name}, which is {buffer.dtype.name}"
        )
    place = offset(w, buffer, index)
    lanes = max([part.lanes for part in index] + [mask.lanes if mask else 1])
    bits = _to_memory(w, splat(w, value, lanes))
    if mask is None and (lanes == 1 or place.stride == 1):
        address = _address(w, pointer, buffer, place.text)
        w.do(f"store {bits}, ptr {address}, align {buffer.dtype.itemsize}")
        return
    kept = splat(w, mask or constant(True, bool_), lanes)
    if lanes == 1 or place.stride == 1:
        address = _address(w, pointer, buffer, place.text)
        if kept.first_lanes is not None:
            _store_first(w, address, buffer, bits, kept)
        else:
            _store_masked(w, address, buffer, bits, kept)
    else:
        _scatter(w, _addresses(w, pointer, buffer, _spread(place, lanes)), buffer, bits, kept)


def _first(index: Sequence[Value]) -> list[Value]:
    return [Value(part.text, part.dtype, number=part.number) for part in index]


def _spread(place: Value, lanes: int) -> Value:
    return place._replace(lanes=lanes, lane_offsets=ramp(0, lanes)) if place.lanes == 1 else place


def _address(w: Writer, pointer: str, buffer: Buffer, place: str) -> str:
    if place == "0":
        return pointer
    return w.let(f"getelementptr {memory_type(buffer.dtype)}, ptr {pointer}, i64 {place}")


def _addresses(w: Writer, pointer: str, buffer: Buffer, place: Value) -> str:
    """Returns one address per lane; offsets have 32 bits if they fit, twice as many a register."""
    short = buffer.size < 1 << 31
    element = "i32" if short else "i64"
    lanes = vector(element, place.lanes)
    if place.lane_offsets is not None:
        pointer = _address(w, pointer, buffer, place.text)
        offsets = offsets_literal(place.lane_offsets, element)
    else:
        offsets = w.let(f"trunc {place.typed} to {lanes}") if short else place.text
    cell = memory_type(buffer.dtype)
    return w.let(f"getelementptr {cell}, ptr {pointer}, {lanes} {offsets}")


def _from_memory(w: Writer, x: Value) -> Value:
    if x.dtype is not bool_:
        return x
    type_ = memory_type(bool_, x.lanes)
    return x._replace(text=w.let(f"icmp ne {type_} {x.text}, zeroinitializer"))


def _to_memory(w: Writer, x: Value) -> str:
    if x.dtype is not bool_:
        return x.typed
    type_ = memory_type(bool_, x.lanes)
    return f"{type_} {w.let(f'zext {x.typed} to {type_}')}"


# -------------------------------------------------------------------------------------------------
# masked and scattered accesses; a single lane goes through a vector of one
# -------------------------------------------------------------------------------------------------


def _vector_of(buffer: Buffer, lanes: int) -> tuple[str, str]:
    """Returns the type of a memory vector, also of one lane, and how intrinsics spell it."""
    element = memory_type(buffer.dtype)
    return f"<{lanes} x {element}>", f"v{lanes}{suffix(element)}"


def _mask_vector(w: Writer, mask: Value) -> str:
    if mask.lanes > 1:
        return mask.typed
    return f"<1 x i1> {w.let(f'insertelement <1 x i1> poison, {mask.typed}, i64 0')}"


def _load_masked(w: Writer, pointer: str, buffer: Buffer, place: Value, mask: Value) -> str:
    if mask.lanes > 1 and place.stride != 1:
        addresses = _addresses(w, pointer, buffer, _spread(place, mask.lanes))
        return _gather(w, addresses, buffer, mask)
    address = _address(w, pointer, buffer, place.text)
    result = _neighbors(w, address, buffer, mask.lanes, _mask_vector(w, mask))
    type_, _ = _vector_of(buffer, mask.lanes)
    return result if mask.lanes > 1 else w.let(f"extractelement {type_} {result}, i64 0")


def _neighbors(w: Writer, address: str, buffer: Buffer, lanes: int, lanes_mask: str) -> str:
    """Reads `lanes` elements from an address on; 0 where `lanes_mask` does not hold."""
    type_, name = _vector_of(buffer, lanes)
    place = f"ptr {address}", _align(buffer), lanes_mask
    return w.call(type_, f"llvm.masked.load.{name}.p0", *place, f"{type_} zeroinitializer")


def _align(buffer: Buffer) -> str:
    return f"i32 {buffer.dtype.itemsize}"


def _is_near(offsets: tuple[int, ...]) -> bool:
    return max(offsets) - min(offsets) < NEAR * len(offsets)


def _load_near(
    w: Writer, pointer: str, buffer: Buffer, place: Value, offsets: tuple[int, ...], mask: Value
) -> str:
    """Reads a few vectors, and picks the element `base + offsets[lane]` for each lane.

    Only these elements are read: memory between them may not be accessible.
    """
    lanes, lowest = place.lanes, min(offsets)
    wanted = [offset - lowest for offset in offsets]
    base = Value(place.text, int64, number=place.number)
    type_, result = memory_type(buffer.dtype, lanes), "poison"
    for start in range(0, max(wanted) + 1, lanes):
        picks = [at - start if start <= at < start + lanes else -1 for at in wanted]
        inside = _asked_for(w, mask, picks)
        address = _address(w, pointer, buffer, binary(w, "add", base, integer(lowest + start)).text)
        neighbors = _neighbors(w, address, buffer, lanes, f"<{lanes} x i1> {inside}")
        order = [lane if pick < 0 else lanes + pick for lane, pick in enumerate(picks)]
        result = shuffle(w, type_, result, neighbors, order)
    if len(set(wanted)) == lanes:
        return result
    # an element that one lane reads may also reach a masked lane, which must be 0
    return w.let(f"select {mask.typed}, {type_} {result}, {type_} zeroinitializer")


def _asked_for(w: Writer, mask: Value, picks: list[int]) -> str:
    """Returns the mask of a vector's elements that are picked by lanes whose mask holds."""
    type_, result = mask.type, "zeroinitializer"
    askers: dict[int, list[int]] = {}
    for lane, pick in enumerate(picks):
        askers.setdefault(pick, []).append(lane)
    askers.pop(-1, None)
    for turn in range(max(map(len, askers.values()), default=0)):
        order = [askers.get(number, [])[turn : turn + 1] for number in range(mask.lanes)]
        lanes = [asking[0] if asking else mask.lanes for asking in order]
        some = shuffle(w, type_, mask.text, "zeroinitializer", lanes)
        result = w.let(f"or {type_} {result}, {some}") if turn else some
    return result


def _store_masked(w: Writer, address: str, buffer: Buffer, bits: str, mask: Value) -> None:
    type_, name = _vector_of(buffer, mask.lanes)
    if mask.lanes == 1:
        bits = f"{type_} {w.let(f'insertelement {type_} poison, {bits}, i64 0')}"
    place = f"ptr {address}", _align(buffer), _mask_vector(w, mask)
    w.call("void", f"llvm.masked.store.{name}.p0", bits, *place)


def _store_first(w: Writer, address: str, buffer: Buffer, bits: str, mask: Value) -> None:
    """Writes the first lanes of a vector in parts of 8, 4, 2, 1: a masked store is slow on some
    CPUs, up to twenty cycles.
    """
    type_, _ = _vector_of(buffer, mask.lanes)
    bits = _fenced(w, bits, type_, mask.lanes * buffer.dtype.itemsize)
    left, start, size = mask.first_lanes or 0, 0, mask.lanes
    while left:
        if size <= left:
            part, (cell, _) = bits, _vector_of(buffer, size)
            if size < mask.lanes:
                lanes = list(range(start, start + size))
                part = f"{cell} {shuffle(w, type_, bits.removeprefix(type_), 'poison', lanes)}"
            w.do(f"store {part}, ptr {address}, align {buffer.dtype.itemsize}")
            left, start = left - size, start + size
            if left:
                address = _address(w, address, buffer, str(size))
        size //= 2


def _fenced(w: Writer, bits: str, type_: str, nbytes: int) -> str:
    """Returns a vector, with its type, of which LLVM computes all lanes, used or not.

    LLVM 22 loses an element of a shuffled, masked load if AVX-512 code uses only its first two
    lanes (tests/functional/test_pooling.py, window 2, stride 3). The fence costs no instruction.
    """
    if nbytes < 64:
        return bits
    floats = f"<{nbytes // 4} x float>"
    whole = w.let(f"bitcast {bits} to {floats}")
    fenced = w.call(floats, f"llvm.arithmetic.fence.v{nbytes // 4}f32", f"{floats} {whole}")
    return f"{type_} {w.let(f'bitcast {floats} {fenced} to {type_}')}"


def _gather(w: Writer, addresses: str, buffer: Buffer, mask: Value) -> str:
    type_, name = _vector_of(buffer, mask.lanes)
    places = f"<{mask.lanes} x ptr> {addresses}", _align(buffer), mask.typed
    gather = f"llvm.masked.gather.{name}.v{mask.lanes}p0"
    return w.call(type_, gather, *places, f"{type_} zeroinitializer")


def _scatter(w: Writer, addresses: str, buffer: Buffer, bits: str, mask: Value) -> None:
    _, name = _vector_of(buffer, mask.lanes)
    places = f"<{mask.lanes} x ptr> {addresses}", _align(buffer), mask.typed
    w.call("void", f"llvm.masked.scatter.{name}.v{mask.lanes}p0", bits, *places)


# -------------------------------------------------------------------------------------------------
# transposed tiles
# -------------------------------------------------------------------------------------------------


def transpose(
    w: Writer,
    source: tuple[str, Buffer, Sequence[Value], int],
    target: tuple[str, Buffer, Sequence[Value], int],
    rows: int,
    columns: int,
) -> None:
    """Writes `target[j, i] = source[i, j]` for a tile, as square blocks in registers.

    `source` and `target` are (pointer, buffer, index of the first element, axis of the rows there).

    Raises CompileError when a side of the tile is not a power of two.
    """
    if rows & (rows - 1) or columns & (columns - 1):
        raise CompileError(f"a transposed tile of {rows} x {columns}: both must be powers of two")
    size = min(rows, columns)
    tiles = [_Tile(w, *side) for side in (source, target)]
    for row in range(0, rows, size):
        for column in range(0, columns, size):
            read = [tiles[0].address(row + number, column) for number in range(size)]
            write = [tiles[1].address(column + number, row) for number in range(size)]
            type_, align = memory_type(source[1].dtype, size), source[1].dtype.itemsize
            lines = _transposed(w, [w.load(type_, at, align) for at in read], source[1], size)
            for line, at in zip(lines, write, strict=True):
                w.do(f"store {type_} {line}, ptr {at}, align {align}")


class _Tile:
    """One side of a tile: its lines, `step` elements apart, and the address of the first."""

    def __init__(
        self, w: Writer, pointer: str, buffer: Buffer, index: Sequence[Value], axis: int
    ) -> None:
        self.w, self.buffer, self.step = w, buffer, buffer.strides[axis]
        self.first = _address(w, pointer, buffer, offset(w, buffer, index).text)

    def address(self, line: int, place: int) -> str:
        """Returns the address of an element of a line; lines run along the buffer's last axis."""
        distance = integer(line * self.step + place).text
        return _address(self.w, self.first, self.buffer, distance)


def _transposed(w: Writer, lines: list[str], buffer: Buffer, size: int) -> list[str]:
    """Exchanges the off-diagonal quarters of blocks of 2, 4, ... lines, in log2(size) rounds."""
    type_, block = memory_type(buffer.dtype, size), 1
    while block < size:
        upper = [lane if not lane & block else size + lane - block for lane in range(size)]
        lower = [lane + block if not lane & block else size + lane for lane in range(size)]
        for top in (number for number in range(size) if not number & block):
            pair = lines[top], lines[top + block]
            lines[top], lines[top + block] = (
                shuffle(w, type_, *pair, lanes) for lanes in (upper, lower)
            )
        block *= 2
    return lines
