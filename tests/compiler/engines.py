"""One function of tensors, run by every engine: eagerly, by the interpreter, natively.

The interpreter runs both programs: the naive loops of `lower`, and what `optimize` made of them.
States are copied for each run, so the runs do not see each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt import dtypes
from smelt.compiler.frontend.tracer import Traced, Tracer, trace
from smelt.compiler.pipeline import Stages, run_pipeline
from smelt.dtypes import DType
from smelt.ir.interpret import run_program
from smelt.ir.program import Program, Slot
from smelt.ir.verify import verify_program
from smelt.tensor import Tensor
from tests.compiler.handmade import Bound

Arrays = list[np.ndarray]
Function = Callable[
    [list[Tensor], list[Tensor]], Sequence[Tensor]
]  # (states, arguments) -> outputs


@dataclass(slots=True)
class Ran:
    """What a run left: results, new states (both in storage form), and the code of a failed
    check.
    """

    outputs: Arrays
    states: Arrays
    code: int = 0


class Case:
    """A function with values for its states and arguments."""

    def __init__(self, function: Function, states: list[Tensor], arguments: list[Tensor]) -> None:
        self.function = function
        self.states = states
        self.arguments = arguments
        self._traced: Traced | None = None
        self._stages: Stages | None = None

    def eager(self) -> Ran:
        """Runs with NumPy."""
        states = [copied(state) for state in self.states]
        outputs = self.function(states, self.arguments)
        return Ran([x.stored.copy() for x in outputs], [x.stored for x in states])

    @property
    def traced(self) -> Traced:
        """The graph of the function."""
        if self._traced is None:
            self._traced = trace(self._trace)
        return self._traced

    @property
    def stages(self) -> Stages:
        """What each pass made of the graph; every kernel is verified."""
        if self._stages is None:
            self._stages = run_pipeline(self.traced.graph, "case", {})
            verify_program(self._stages.lowered)
            verify_program(self._stages.program)
        return self._stages

    def _trace(self, recorder: Tracer) -> tuple[list[Tensor], Any]:
        given = [recorder.placeholder(x.shape, x.dtype, x.requires_grad) for x in self.arguments]
        return list(self.function(self.states, given)), None

    def interpreted(self, program: Program) -> Ran:
        """Runs a program of this case in plain Python."""
        return self._run(program, lambda arrays: run_program(program, arrays))

    def native(self) -> Ran:
        """Runs the optimized program as machine code."""
        program = self.stages.program

        def run(arrays: dict[Slot, np.ndarray]) -> int:
            return Bound(program, list(arrays.values())).run()

        return self._run(program, run)

    def _run(self, program: Program, run: Callable[[dict[Slot, np.ndarray]], int]) -> Ran:
        memory = [np.array(state.stored, order="C") for state in self.traced.states]
        outputs = [_unwritten(node.shape, node.dtype) for node in self.traced.graph.outputs]
        groups = {
            "argument": [np.ascontiguousarray(x.stored) for x in self.arguments],
            "state": memory,
            "result": outputs,
            "constant": [np.ascontiguousarray(x) for x in self.stages.planned.constants],
            "status": [np.zeros((), np.int64) for _ in self.traced.graph.assertions],
        }
        arrays = {
            slot: groups[slot.kind][slot.number] for slot in program.slots if slot.kind != "arena"
        }
        code = run(arrays)
        after = {id(state): array for state, array in zip(self.traced.states, memory, strict=True)}
        states = [after.get(id(state), state.stored) for state in self.states]
        return Ran(outputs, states, code)


def agree(case: Case, interpret: bool) -> None:
    """Asserts that a case's native results are the eager ones to rounding; with `interpret` also
    those of its loops in plain Python, before and after the passes.
    """
    expected = case.eager()
    runs = [case.native()]
    if interpret:
        runs += [case.interpreted(case.stages.lowered), case.interpreted(case.stages.program)]
    for ran in runs:
        for got, reference in zip(ran.outputs, expected.outputs, strict=True):
            rtol = 1e-12 if reference.dtype == np.float64 else 1e-5
            np.testing.assert_allclose(
                got, reference, rtol=rtol, atol=rtol * np.abs(reference).max()
            )


def copied(tensor: Tensor) -> Tensor:
    """Returns a tensor of its own with the same contents."""
    return Tensor(tensor.stored.copy(), tensor.dtype, tensor.requires_grad)


def _unwritten(shape: tuple[int, ...], dtype: DType) -> np.ndarray:
    array = np.empty(shape, dtype.storage)
    array.view(np.uint8).fill(0xFF) if array.ndim else array[...].fill(
        -1 if dtype.kind == "int" else 1
    )
    return array


def numbers(array: np.ndarray, dtype: DType) -> np.ndarray:
    """Returns storage as numbers that NumPy can compare."""
    return dtypes.decode(array, dtype)
