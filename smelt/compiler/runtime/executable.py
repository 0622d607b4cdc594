"""An executable: a step for given shapes, dtypes and settings, as machine code with its memory.

The table of addresses is laid out once. States keep their addresses for life, so a call writes only
the addresses of its arguments and of its fresh results.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.compiler.artifacts import Stages, Times, Traced
from smelt.compiler.runtime.buffers import Results, address, aligned_empty, base_buffer
from smelt.errors import TraceError
from smelt.ir.graph import Node
from smelt.ir.program import Slot
from smelt.tensor import Tensor

if TYPE_CHECKING:
    from smelt.compiler.runtime.native import Native


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a compiled step needs, known before its first run.

    `arena` is the exact peak of the temporaries; `states` are the captured tensors, which exist
    anyway.
    """

    arena: int
    states: int
    arguments: int
    results: int
    constants: int

    @property
    def peak(self) -> int:
        """Bytes in use while the step runs."""
        return self.arena + self.states + self.arguments + self.results + self.constants


@dataclass(slots=True)
class Batches:
    """Rows to gather before each step: the arrays, the row numbers in order, and rows a step."""

    arrays: list[np.ndarray]
    order: np.ndarray
    size: int


SLICE_SECONDS = 0.05  # for which native code runs before Python may take a signal


class Executable:
    """A traced step, compiled and bound to its memory."""

    def __init__(self, traced: Traced, stages: Stages, native: Native, times: Times) -> None:
        self.traced = traced
        self.stages = stages
        self.native = native
        self.times = times
        self._entries = tuple([one for one in traced.gradients if one.entry is not None])
        self._exits = tuple([one for one in traced.gradients if one.sets])
        self.steps = 0  # that ran so far
        self.lock = threading.RLock()
        self._bind()

    # --- binding ---------------------------------------------------------------------------------

    def _bind(self) -> None:
        slots = self.stages.program.slots
        self.table = (ctypes.c_int64 * (len(slots) + 1))()
        self.advance = (ctypes.c_int64 * (len(slots) + 1))()
        self.control = (ctypes.c_int64 * 2)()
        self._seconds = SLICE_SECONDS  # that a step takes, as far as is known
        self.status = np.zeros(max(1, len(self.traced.graph.assertions)), np.int64)
        self._arena = aligned_empty(self.stages.program.arena_bytes)
        self._changing: set[int] = set()  # ids of base buffers and addresses of states that change
        self._kept: list[np.ndarray] = []
        self.arguments: list[tuple[int, int]] = []
        self.results: list[tuple[int, Slot]] = []
        updated = {old for old, _ in self.traced.graph.updates}
        for place, slot in enumerate(slots):
            self._bind_slot(place, slot, updated)
        self.table[len(slots)] = address(self._arena)
        self._results = Results()
        self._fresh = [
            (place, slot, slot.dtype.storage, slot.nbytes) for place, slot in self.results
        ]
        addresses = (self.table, self.advance, self.control)
        self.call = self.native.bind(
            ctypes.addressof(self.table), 1, *map(ctypes.addressof, addresses[1:]), 0, 0, 0, 0
        )

    def _bind_slot(self, place: int, slot: Slot, updated: set[Node]) -> None:
        match slot.kind:
            case "argument":
                self.arguments.append((place, slot.number))
            case "result":
                self.results.append((place, slot))
            case "state":
                memory = own_memory(self.traced.states[slot.number])
                self.table[place] = self._keep(memory)
                if self.traced.graph.states[slot.number] in updated:
                    self._changing |= {id(base_buffer(memory)), address(memory)}
            case "constant":
                constants = self.stages.planned.constants
                self.table[place] = self._keep(np.ascontiguousarray(constants[slot.number]))
            case "status":
                self.table[place] = address(self.status) + 8 * slot.number

    def _keep(self, array: np.ndarray) -> int:
        self._kept.append(array)
        return address(array)

    # --- running ---------------------------------------------------------------------------------

    def run_once(self, arguments: Sequence[Tensor]) -> Any:
        """Runs one step on tensors of the right shapes and dtypes; returns its result."""
        return self.traced.result(self.run(arguments))

    def run(self, arguments: Sequence[Tensor]) -> list[Tensor]:
        """Runs one step; returns the tensors that its result is made of."""
        table, fresh = self.table, self._results.fresh
        with self.lock:
            for binding in self._entries:
                binding.enter()
            held: object = None  # a chain of the copies that must outlive the call
            for place, number in self.arguments:
                argument = arguments[number]
                if argument._address is None or argument._address in self._changing:
                    held = (held, self._point(place, argument))
                else:
                    table[place] = argument._address
            results = []
            for place, slot, storage, nbytes in self._fresh:
                array, table[place] = fresh(slot.shape, storage, nbytes)
                results.append(Tensor(array, slot.dtype))
            code = self.call()
            self.steps += 1
            for binding in self._exits:
                binding.leave()
        if code:
            self._raise(code)
        return results

    def run_many(
        self,
        arguments: list[Tensor],
        steps: int,
        batches: Batches | None,
        outputs: list[np.ndarray],
    ) -> None:
        """Runs `steps` steps natively, writing result k of step s to `outputs[k][s]`.

        The native loop comes back every `SLICE_SECONDS`, so that Ctrl-C ends it between two steps.
        """
        self._check_steady(steps)
        with self.lock:
            for binding in self._entries:
                binding.enter()
            held = [self._point(place, arguments[number]) for place, number in self.arguments]
            gathers = _gathers(batches, arguments)
            done = 0
            try:
                while done < steps:
                    count = min(steps - done, max(1, int(SLICE_SECONDS / self._seconds)))
                    self._run_slice(done, count, gathers, batches, outputs)
                    done += count
            finally:
                for place, _ in self.results:
                    self.advance[place] = 0
                for binding in self._exits:
                    binding.leave()
            del held

    def _check_steady(self, steps: int) -> None:
        if steps > 1 and not all(binding.is_steady for binding in self._entries):
            raise TraceError(
                f"{self.stages.program.name}: a step that uses up gradients which an earlier "
                "call left in .grad cannot be repeated natively; call backward() and step() "
                "in one function, or call it step by step"
            )

    def _run_slice(
        self,
        first: int,
        count: int,
        gathers: Any,
        batches: Batches | None,
        outputs: list[np.ndarray],
    ) -> None:
        """Runs `count` steps from step `first` on, and notes how long a step takes."""
        for (place, slot), output in zip(self.results, outputs, strict=True):
            self.table[place] = address(output) + first * slot.nbytes
            self.advance[place] = slot.nbytes
        order, size = 0, 0
        if batches is not None:
            size = batches.size
            order = address(batches.order) + first * size * batches.order.itemsize
        start = time.perf_counter()
        code = self.native.run(
            ctypes.addressof(self.table),
            count,
            ctypes.addressof(self.advance),
            ctypes.addressof(self.control),
            ctypes.addressof(gathers),
            len(gathers) // 4,
            order,
            size,
        )
        self.steps += count
        self._seconds = max(1e-9, (time.perf_counter() - start) / count)
        if code:
            self._raise(code, first + self.control[1])

    def outputs(self, steps: int) -> list[np.ndarray]:
        """Returns an uninitialized array for the results of `steps` steps, for each result."""
        return [np.empty((steps, *slot.shape), slot.dtype.storage) for _, slot in self.results]

    def rebuild(self, arrays: list[np.ndarray]) -> Any:
        """Returns result arrays as the tree that the step returns."""
        return self.traced.result(
            [
                Tensor(array, slot.dtype)
                for array, (_, slot) in zip(arrays, self.results, strict=True)
            ]
        )

    def _point(self, place: int, tensor: Tensor) -> np.ndarray | None:
        """Writes an argument's address into the table; returns the copy to keep, if any."""
        data = tensor.data
        if id(base_buffer(data)) in self._changing:
            data = data.copy()  # the step changes this memory, but an argument is a value
        elif not data.flags.c_contiguous:
            data = np.ascontiguousarray(data)
        else:
            self.table[place] = address(data)
            if data.base is None:
                tensor._address = self.table[place]
            return None
        self.table[place] = address(data)
        return data

    def _raise(self, code: int, step: int | None = None) -> None:
        number = code - 1
        during = (
            "" if not step else f"\n  in step {step} of this call; the steps before it are done"
        )
        message = self.traced.graph.assertions[number].message
        raise self.traced.errors[number](message + during)

    # --- what it needs ---------------------------------------------------------------------------

    def memory(self) -> Memory:
        """Returns the bytes that this version needs."""
        total = dict.fromkeys(("argument", "state", "result", "constant"), 0)
        for slot in self.stages.program.slots:
            if slot.kind in total:
                total[slot.kind] += slot.nbytes
        return Memory(
            self.stages.program.arena_bytes,
            total["state"],
            total["argument"],
            total["result"],
            total["constant"],
        )


def own_memory(tensor: Tensor) -> np.ndarray:
    """Returns a state's array, made dense if it is not; copy_ has refused what is read-only."""
    data = tensor._data
    assert isinstance(data, np.ndarray)
    if not data.flags.c_contiguous:
        data = tensor._data = np.array(data, order="C")
        tensor._address = None
    return data


def _gathers(batches: Batches | None, arguments: list[Tensor]) -> Any:
    """Returns source, bytes a row and target of each array that a step takes rows from."""
    rows: list[int] = []
    if batches is not None:
        for array, argument in zip(batches.arrays, arguments, strict=True):
            row_bytes = array.itemsize * int(np.prod(array.shape[1:]))
            rows += [address(array), row_bytes, address(argument.data), 0]
    return (ctypes.c_int64 * len(rows))(*rows)
