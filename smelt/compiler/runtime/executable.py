"""An executable: a step for given shapes, dtypes and settings, as machine code with its memory.

The table of addresses is laid out once. States keep their addresses for life, so a call writes only
the addresses of its arguments and of its new results.
"""

from __future__ import annotations

import copy
import ctypes
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from smelt.compiler.artifacts import (
    Compiled,
    Parameters,
    ResultTree,
    Stages,
    Times,
    Traced,
)
from smelt.compiler.codegen.collectives import DISAGREE
from smelt.compiler.runtime.batches import Batches
from smelt.compiler.runtime.buffers import ResultBuffers, base_buffer
from smelt.compiler.runtime.state_lock import lock_of
from smelt.dtypes import DType
from smelt.errors import TraceError
from smelt.ir.graph import Graph
from smelt.ir.program import Slot
from smelt.markup import table
from smelt.memory import address, aligned_bytes, aligned_empty
from smelt.mpi import agreement
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

    def _repr_html_(self) -> str:
        rows = [
            ("temporaries, in one block", f"{self.arena:,}"),
            ("captured tensors, which exist anyway", f"{self.states:,}"),
            ("arguments", f"{self.arguments:,}"),
            ("results", f"{self.results:,}"),
            ("constants", f"{self.constants:,}"),
        ]
        total = ("peak, known before the first run", f"{self.peak:,}")
        return table(("memory", "bytes"), rows, numbers=[1], total=total)


class Result(NamedTuple):
    """A result of a step: the position of its address in the table, and its array."""

    position: int
    shape: tuple[int, ...]
    dtype: DType
    storage: np.dtype
    nbytes: int


SLICE_SECONDS = 0.05  # for which native code runs before Python may handle a signal


class Frame:
    """What one call of an executable writes to: its table, its temporaries, its checks.

    A call during another call (by another thread, or by a signal handler or a finalizer of this
    one) has a frame of its own.
    """

    __slots__ = ("advance", "arena", "buffers", "call", "control", "status", "table")

    def __init__(self, executable: Executable) -> None:
        addresses = executable.addresses
        self.table: ctypes.Array[ctypes.c_int64] = (ctypes.c_int64 * len(addresses))(*addresses)
        self.advance: ctypes.Array[ctypes.c_int64] = (ctypes.c_int64 * len(addresses))()
        self.control: ctypes.Array[ctypes.c_int64] = (ctypes.c_int64 * 2)()
        self.status: np.ndarray = np.zeros(
            max(1, len(executable.traced.graph.assertions)), np.int64
        )
        self.arena: np.ndarray = aligned_bytes(executable.compiled.arena_bytes)
        self.buffers: ResultBuffers = ResultBuffers()
        self.table[executable.arena_position] = address(self.arena)
        for position, number in executable.checks:
            self.table[position] = address(self.status) + 8 * number
        step = (1, *map(ctypes.addressof, (self.advance, self.control)), 0, 0, 0, 0)
        self.call: Callable[[], int] = executable.native.bind(ctypes.addressof(self.table), *step)


class Executable:
    """A traced step, compiled and bound to its memory.

    `stages` returns what the passes made of the step, and runs them if they have not run.
    `found_by_check` says what a check, by number, has found in arguments.
    """

    def __init__(
        self,
        name: str,
        traced: Traced,
        compiled: Compiled,
        stages: Callable[[], Stages],
        times: Times,
        found_by_check: Callable[[int, Sequence[Tensor]], str],
    ) -> None:
        self.name = name
        self._found_by_check = found_by_check
        self.traced = traced
        self.compiled = compiled
        self.slots: Sequence[Slot] = compiled.slots
        self.native: Native = compiled.native
        self.times = times
        self._stages = stages
        self._entries = tuple([grad for grad in traced.gradients if grad.entry is not None])
        self._exits = tuple([grad for grad in traced.gradients if grad.sets])
        self.checked: Any = None  # what runs it under `check_nan`, made when needed
        self.steps: int = 0  # that ran so far
        self.seconds: float = SLICE_SECONDS  # that a step takes, as far as is known
        self.parameters: Parameters | None = None  # of one length, if it is a template's
        self._bind(self.slots)
        self._given: list[tuple[int, int]] = []  # addresses that each call writes into its table
        self._frames = [Frame(self)]  # not in use

    @property
    def stages(self) -> Stages:
        """What each pass made of the step."""
        return self._stages()

    # --- binding ---------------------------------------------------------------------------------

    def _bind(self, slots: Sequence[Slot]) -> None:
        # of states and constants; then of the arena and, with symbolic lengths, the parameters
        self.arena_position: int = len(slots)
        self.addresses: list[int] = [0] * (len(slots) + 1 + self.compiled.is_dynamic)
        self._changing: set[int] = set()  # ids of base buffers and addresses of states that change
        self._kept: list[np.ndarray] = []
        self.arguments: list[tuple[int, int]] = []  # position in the table, and number
        self.results: list[Result] = []
        self.checks: list[tuple[int, int]] = []
        changed = [grad.tensor.stored for grad in (*self._entries, *self._exits)]
        constants, graph = self.compiled.constants, self.traced.graph
        updated = {old for old, _ in graph.updates}
        for position, slot in enumerate(slots):
            match slot.kind:
                case "argument":
                    self.arguments.append((position, slot.number))
                case "result":
                    self.results.append(_result(position, slot))
                case "state":
                    memory = own_memory(self.traced.states[slot.number])
                    self.addresses[position] = self._keep(memory)
                    if graph.states[slot.number] in updated:
                        self._changing |= {id(base_buffer(memory)), address(memory)}
                        changed.append(memory)
                case "constant":
                    array = np.ascontiguousarray(constants[slot.number])
                    self.addresses[position] = self._keep(array)
                case "status":
                    self.checks.append((position, slot.number))
        self._kept += changed
        self._lock = lock_of(changed)

    def at(self, parameters: Parameters) -> Executable:
        """Returns this executable of a template at one length: both share all memory."""
        made = copy.copy(self)
        made.parameters, made.slots = parameters, parameters.slots
        made.steps, made.checked = 0, None
        made.results = [_result(one.position, made.slots[one.position]) for one in self.results]
        count = len(self.traced.graph.arguments) - len(parameters.arguments)
        made.arguments = [pair for pair in self.arguments if pair[1] < count]
        made._given = [
            (position, address(parameters.arguments[number - count]))
            for position, number in self.arguments
            if number >= count
        ]
        made._given.append((self.arena_position + 1, address(parameters.numbers)))
        if isinstance(self.traced.result, ResultTree):
            result = self.traced.result.at(parameters.evaluate)
            made.traced = dataclasses.replace(self.traced, result=result)
        return made

    def _keep(self, array: np.ndarray) -> int:
        self._kept.append(array)
        return address(array)

    # --- running ---------------------------------------------------------------------------------

    def exclusively(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Returns function(*arguments); meanwhile no other thread runs a step that changes what
        this one changes.
        """
        if self._lock is None:
            return function(*arguments)
        return self._lock.run(function, *arguments)

    def run_once(self, arguments: Sequence[Tensor]) -> Any:
        """Runs one step on tensors of the right shapes and dtypes; returns its result."""
        return self.traced.result(self.run(arguments))

    def run(self, arguments: Sequence[Tensor]) -> list[Tensor]:
        """Runs one step; returns the tensors that its result is made of."""
        if self._lock is None:
            return self._run(arguments)
        return self._lock.run(self._run, arguments)

    def _run(self, arguments: Sequence[Tensor]) -> list[Tensor]:
        frame = self._frame()
        try:
            table, fresh = frame.table, frame.buffers.fresh
            for binding in self._entries:
                binding.enter()
            for position, given in self._given:
                table[position] = given
            held: object = None  # a chain of the copies that must outlive the call
            for position, number in self.arguments:
                argument = arguments[number]
                if argument._address is None or argument._address in self._changing:
                    held = (held, self._point(table, position, argument))
                else:
                    table[position] = argument._address
            results = []
            for position, shape, dtype, storage, nbytes in self.results:
                array, table[position] = fresh(shape, storage, nbytes)
                results.append(Tensor(array, dtype))
            code = frame.call()
            self.steps += 1
            for binding in self._exits:
                binding.leave()
        finally:
            self._frames.append(frame)
        if code:
            self._raise(code, arguments)
        return results

    def _frame(self) -> Frame:
        try:
            return self._frames.pop()  # atomic: no other call gets the same one
        except IndexError:
            return Frame(self)

    def run_many(
        self,
        arguments: list[Tensor],
        steps: int,
        batches: Batches | None,
        outputs: list[np.ndarray],
        first: int = 0,
    ) -> None:
        """Runs `steps` steps natively, writing result k of step s to `outputs[k][s]`.

        The native loop returns every `SLICE_SECONDS`, so that Ctrl-C ends it between two steps.
        `first` is the number of the first step, among those of `batches` and `outputs`.
        """
        self.exclusively(self._run_many, arguments, steps, batches, outputs, first)

    def _run_many(
        self,
        arguments: list[Tensor],
        steps: int,
        batches: Batches | None,
        outputs: list[np.ndarray],
        first: int,
    ) -> None:
        frame = self._frame()
        for binding in self._entries:
            binding.enter()
        table = frame.table
        for position, given in self._given:
            table[position] = given
        held = [self._point(table, at, arguments[number]) for at, number in self.arguments]
        gathers = batches.gathers(arguments) if batches else (ctypes.c_int64 * 0)()
        done, end = first, first + steps
        try:
            while done < end:
                count = self.slice_of(end - done)
                code = self._run_slice(frame, done, count, gathers, batches, outputs)
                if code:
                    self._raise(code, arguments, done + frame.control[1])
                done += count
        finally:
            for result in self.results:
                frame.advance[result.position] = 0
            for binding in self._exits:
                binding.leave()
            self._frames.append(frame)
        del held

    def slice_of(self, steps: int) -> int:
        """Returns how many of these steps run before Python is in control again: as many as take
        `SLICE_SECONDS`.
        """
        return min(steps, max(1, int(SLICE_SECONDS / self.seconds)))

    def check_steady(self, steps: int) -> None:
        """Raises if, of several steps, a later one would find other gradients."""
        if steps > 1 and not all(binding.is_steady for binding in self._entries):
            raise TraceError(
                f"{self.name}: a step that uses up gradients which an earlier "
                "call left in .grad cannot be repeated natively; call backward() and step() "
                "in one function, or call it step by step"
            )

    def _run_slice(
        self,
        frame: Frame,
        first: int,
        count: int,
        gathers: Any,
        batches: Batches | None,
        outputs: list[np.ndarray],
    ) -> int:
        """Runs `count` steps from step `first` on, and notes how long a step takes; returns 0, or
        the code for `_raise` of the check that failed.
        """
        for result, output in zip(self.results, outputs, strict=True):
            frame.table[result.position] = address(output) + first * result.nbytes
            frame.advance[result.position] = result.nbytes
        start = time.perf_counter()
        code = self.native.run(
            ctypes.addressof(frame.table),
            count,
            ctypes.addressof(frame.advance),
            ctypes.addressof(frame.control),
            ctypes.addressof(gathers),
            len(gathers) // 4,
            batches.order_address(first) if batches else 0,
            batches.size if batches else 0,
        )
        self.steps += count
        self.seconds = max(1e-9, (time.perf_counter() - start) / count)
        return code

    def outputs(self, steps: int) -> list[np.ndarray]:
        """Returns an uninitialized array for the results of `steps` steps, for each result."""
        return [aligned_empty((steps, *result.shape), result.storage) for result in self.results]

    def rebuild(self, arrays: list[np.ndarray]) -> Any:
        """Returns result arrays as the tree that the step returns."""
        pairs = zip(arrays, self.results, strict=True)
        return self.traced.result([Tensor(array, result.dtype) for array, result in pairs])

    def _point(self, table: Any, position: int, tensor: Tensor) -> np.ndarray | None:
        """Writes an argument's address into the table; returns the copy to keep, if any."""
        data = tensor.stored
        if tensor.is_traced:
            raise TraceError(data.leak)
        if id(base_buffer(data)) in self._changing:
            data = data.copy()  # the step changes this memory, but an argument is a value
        elif not data.flags.c_contiguous:
            data = np.ascontiguousarray(data)
        else:
            table[position] = address(data)
            if data.base is None:
                tensor._address = table[position]
            return None
        table[position] = address(data)
        return data

    def _raise(self, code: int, arguments: Sequence[Tensor], step: int | None = None) -> None:
        if code == DISAGREE:
            agreement.refuse(f"a step of {self.name}\n{self._collectives()}")
        message = self.traced.graph.assertions[code - 1].message
        if self.parameters is None:  # a template's trace cannot be applied to one length
            message += self._found_by_check(code - 1, arguments)
        if step:
            message += f"\n  in step {step} of this call; the steps before it are done"
        if self.native.calls_mpi:
            agreement.fail(message)
        raise self.traced.errors[code - 1](message)

    def _collectives(self) -> str:
        """Returns a line for each collective, which shows where ranks do not agree."""
        return "\n".join(_collectives_of(self.traced.graph))

    # --- what it needs ---------------------------------------------------------------------------

    def memory(self) -> Memory:
        """Returns the bytes that this version needs."""
        total = Counter[str]()
        for slot in self.slots:
            total[slot.kind] += slot.nbytes
        kinds = ("state", "argument", "result", "constant")
        return Memory(self.compiled.arena_bytes, *(total[kind] for kind in kinds))


def _collectives_of(graph: Graph, turns: str = "") -> Iterator[str]:
    """Yields a line for each collective of a graph, and of the bodies of its loops and branches."""
    for node in graph.nodes():
        if node.op.is_ordered:
            x = node.inputs[0]
            yield f"{node.op.name} of {x.dtype.name}{list(x.shape)}{turns} at {node.origin}"
        length = node.attributes.get("length")
        how = f" in {node.op.name}" + ("" if length is None else f" of length {length}")
        for body in node.attributes.get("bodies", ()):
            yield from _collectives_of(body, turns + how)


def _result(position: int, slot: Slot) -> Result:
    return Result(position, slot.shape, slot.dtype, slot.dtype.storage, slot.nbytes)


def own_memory(tensor: Tensor) -> np.ndarray:
    """Returns a state's array, made contiguous if need be; copy_ has rejected read-only ones."""
    data = tensor._data
    assert isinstance(data, np.ndarray)
    if not data.flags.c_contiguous:
        data = tensor._data = np.array(data, order="C")
        tensor._address = None
    return data
