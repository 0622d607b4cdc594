"""Share kernels: kernels that differ only in names, or in where they read, become one.

A Python loop over time steps is traced step by step, and each step reads at another place:

    for i in range(0, 8):                     for i in range(0, 8):
        y1[i] = tanh(x[i, 3])                     y2[i] = tanh(x[i, 4])

Both are `y[i] = tanh(x[i, 0])`, called with the address of `x` moved by 3 elements and by 4. So the
code of a step is compiled once, however long the loop. A kernel without such a counterpart stays as
it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from smelt.ir.loops import Binary, Buffer, Constant, Expression, Kernel, Load, constant, walk
from smelt.ir.program import Call, Program, calls, with_calls
from smelt.ir.show import kernel_text
from smelt.ir.symbolic import is_symbolic
from smelt.ir.visit import Index, Transformer, expressions

Place = tuple[int, ...]  # an index of numbers, one for each axis
Places = dict[Buffer, Place]


@dataclass(frozen=True, slots=True)
class _Moved:
    """A call whose kernel may read buffers from `places` on, at its own indices minus these."""

    call: Call
    places: Places

    @property
    def elements(self) -> tuple[int, ...]:
        """By how many elements each of the kernel's buffers is moved."""
        return tuple([_elements(buffer, self.places) for buffer in self.call.kernel.buffers])

    def shared(self, kernel: Kernel) -> Call:
        """Returns the call of a kernel that reads from these places on."""
        pairs = zip(self.call.places, self.call.kernel.buffers, self.elements, strict=True)
        offsets = [at + count * buffer.dtype.itemsize for (_, at), buffer, count in pairs]
        return Call(kernel, self.call.slots, tuple(offsets) if any(offsets) else ())


def share_kernels(program: Program) -> Program:
    """Returns the program in which calls that can share a kernel do."""
    alike: dict[str, list[_Moved]] = {}
    seen: dict[tuple[Kernel, tuple[bool, ...]], tuple[Places, str]] = {}
    for call in calls(program):
        written = call.slots[: len(call.kernel.outputs)]
        key = call.kernel, tuple([slot in written for slot in call.slots])
        if key not in seen:  # equal groups have one kernel already
            places = _places(call)
            kernel = _Mover(places, {}).kernel(call.kernel) if places else call.kernel
            seen[key] = places, kernel_text(kernel, canonical=True)
        places, text = seen[key]
        alike.setdefault(text, []).append(_Moved(call, places))
    new: dict[Call, Call] = {}
    for several in alike.values():
        first = several[0]
        if all(one.elements == first.elements for one in several):
            new |= {one.call: replace(one.call, kernel=first.call.kernel) for one in several}
        else:
            kernel = _Mover(first.places, _missing(several)).kernel(first.call.kernel)
            new |= {one.call: one.shared(kernel) for one in several}
    return with_calls(program, lambda call: (new[call],))


def _missing(several: list[_Moved]) -> dict[Buffer, int]:
    """Returns how many elements at the end of each buffer do not exist for some of the calls."""
    most = map(max, zip(*[one.elements for one in several], strict=True))
    pairs = zip(several[0].call.kernel.buffers, most, strict=True)
    return {buffer: count for buffer, count in pairs if count}


def _elements(buffer: Buffer, places: Mapping[Buffer, Place]) -> int:
    """Returns how many elements of a buffer are before the place that it is read from."""
    place = places.get(buffer, ())
    return sum(step * first for step, first in zip(buffer.strides, place, strict=False))


# --- where a kernel reads -------------------------------------------------------------------------


def _places(call: Call) -> Places:
    """Returns the place from which each buffer is read on, if it is not its beginning.

    Slots that the kernel writes are not moved, whatever the shapes in which they are read.
    """
    written = set(call.slots[: len(call.kernel.outputs)])
    slots = dict(zip(call.kernel.buffers, call.slots, strict=True))
    indices: dict[Buffer, list[Index]] = {}
    for expression in expressions(call.kernel.body):
        for part in walk(expression):
            if type(part) is Load and slots.get(part.buffer, call.slots[0]) not in written:
                indices.setdefault(part.buffer, []).append(part.index)
    places = {buffer: _place(buffer, several) for buffer, several in indices.items()}
    return {buffer: place for buffer, place in places.items() if _may_move(buffer, place)}


def _may_move(buffer: Buffer, place: Place) -> bool:
    """Whether a place is not the beginning, but a known number of elements after it."""
    return any(place) and not is_symbolic(_elements(buffer, {buffer: place}))


def _place(buffer: Buffer, indices: list[Index]) -> Place:
    """Returns, for each axis of a buffer, the least number that is added in all its indices."""
    axes = zip(*indices, strict=True)
    least = [min(map(_added_number, axis)) for axis in axes]
    pairs = zip(least, buffer.shape, strict=True)
    return tuple([number if 0 < number < extent else 0 for number, extent in pairs])


def _added_number(index: Expression) -> int:
    """Returns 5 for `i + 5` and for `5`, and 0 if no number is added."""
    if type(index) is Binary and index.op == "add":
        index = index.b
    if type(index) is not Constant or is_symbolic(index.value):
        return 0
    return int(index.value)


class _Mover(Transformer):
    """Rebuilds a kernel on buffers that begin at other places, and lack elements at the end."""

    def __init__(self, places: Places, missing: Mapping[Buffer, int]) -> None:
        super().__init__()
        self.places = places
        self.missing = missing
        self.moved: dict[Buffer, Buffer] = {}

    def kernel(self, kernel: Kernel) -> Kernel:
        """Returns the kernel with other buffers."""
        for old in self.places.keys() | self.missing.keys():
            name, missing = f"{old.name}_part", self.missing.get(old, 0)
            self.moved[old] = Buffer(name, old.shape, old.dtype, missing)
        inputs = tuple([self.moved.get(buffer, buffer) for buffer in kernel.inputs])
        return replace(kernel, inputs=inputs, body=self.block(kernel.body))

    def access(self, buffer: Buffer, index: Index) -> tuple[Buffer, Index]:
        pairs = zip(index, self.places.get(buffer, ()), strict=False)
        moved = tuple([part - constant(first) for part, first in pairs])
        return self.moved.get(buffer, buffer), moved or index
