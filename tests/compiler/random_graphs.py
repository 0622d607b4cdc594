"""Random programs as cases that every engine runs, and how large their numbers get."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.dtypes import DType, float32, float64, int64
from smelt.ops.op import Op, Type
from smelt.tensor import Tensor
from smelt.tracing.engine import Eager
from tests.compiler.engines import Case
from tests.compiler.graph_programs import ROLES, Leaf, Program, Run, Value, leaf_array
from tests.compiler.graph_structures import STRUCTURED_VERBS
from tests.compiler.graph_verbs import VERBS
from tests.compiler.graph_windows import convolved

assert convolved in STRUCTURED_VERBS  # the modules of verbs fill the tables

__all__ = ["STRUCTURED_VERBS", "VERBS", "Leaf", "Measuring", "Program", "Value", "case_of"]

# --- programs as cases ----------------------------------------------------------------------------


def case_of(programs: list[Program], dtype: DType) -> tuple[Case, list[Value]]:
    """Returns programs as one function, so that they are compiled at one go, and what it returned
    last.
    """
    returned: list[Value] = []
    states, arguments, counts = [], [], []
    for number, program in enumerate(programs):
        generator = Tensor(np.array([number, 2**32 - 3], np.int64), int64)
        own, given = [generator], []
        for leaf in program.leaves:
            role = ROLES[leaf.role % 3]
            shape = program.shapes[leaf.shape % len(program.shapes)]
            tensor = Tensor(leaf_array(leaf, shape, dtype), dtype, role == "parameter")
            (given if role == "argument" else own).append(tensor)
        states += own
        arguments += given
        counts.append((len(own), len(given)))

    def function(states: list[Tensor], arguments: list[Tensor]) -> list[Tensor]:
        returned.clear()
        for program, (own, given) in zip(programs, counts, strict=True):
            run = Run(program, dtype, states[:own], arguments[:given])
            states, arguments = states[own:], arguments[given:]
            returned.extend(run.outputs())
        return [value.tensor for value in returned]

    return Case(function, states, arguments), returned


class Measuring(Eager):
    """Computes eagerly and remembers the largest finite number that came up."""

    def __init__(self) -> None:
        self.largest = 1.0

    def evaluate(self, op: Op, operands: Any, attributes: dict[str, Any], kind: Type) -> np.ndarray:
        array = super().evaluate(op, operands, attributes, kind)
        if kind.dtype in (float32, float64):
            finite = np.abs(array[np.isfinite(array)])
            self.largest = max(self.largest, float(finite.max(initial=0.0)))
        return array
