"""Templates: one version of a step for every length that the compiler treats alike.

A template is compiled with a symbolic number (`ir/symbolic.py`) where the extent of a dynamic axis
stands. It serves each length for which everything that the compiler asked of that number comes out
as it did, with the bits of the step for exactly that length: it is the same program, with other
numbers in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.compiler.artifacts import Parameters
from smelt.compiler.frontend.builder import Builder, Trace
from smelt.compiler.frontend.differentiable import is_differentiable
from smelt.compiler.frontend.lengths import Axes, lengths_of, symbolic_shape
from smelt.compiler.frontend.signature import Call, Signature
from smelt.compiler.frontend.specialization import Specialization
from smelt.compiler.frontend.tracer import Tracer
from smelt.compiler.runtime.executable import Executable
from smelt.ir import symbolic
from smelt.tensor import Tensor

if TYPE_CHECKING:
    from smelt.compiler.frontend.guards import Guards

CAPACITY = 4096  # lengths that a template remembers; the one made longest ago goes first
Run = Callable[[Sequence[Tensor]], Any]


class Template:
    """A version for any length."""

    def __init__(
        self,
        signature: Signature,
        axes: Sequence[Axes],
        traced: Trace,
        executable: Executable,
        questions: symbolic.Guards,
    ) -> None:
        self.signature = signature  # with names in the place of the extents of `axes`
        self.axes = axes  # the dynamic ones of each tensor
        self.executable = executable
        # the step, or the compiler, wanted to know
        self.is_for_one_length: bool = questions.is_settled
        self.instances: dict[tuple[int, ...], Specialization] = {}  # by lengths
        self.guards: Guards = traced.guards
        self._wants_history = any(output.requires_grad for output in traced.tracer.outputs)
        self._serves = questions.test()
        self._numbers = Numbers(questions, executable)

    def instance(self, signature: Signature, run_checked: Run) -> Specialization | None:
        """Returns what serves a call, made if need be, or None if this template does not serve it.

        `run_checked` runs a step with `check_nan`.
        """
        lengths = lengths_of(signature, self.axes)
        if lengths is None or lengths.signature != self.signature or not self.guards.check():
            return None
        values = lengths.values
        if values not in self.instances:
            if not self._serves(*values):
                return None
            made = self._made(signature, values, run_checked)
            self.instances = dict([*self.instances.items(), (values, made)][-CAPACITY:])
        return self.instances[values]

    def _made(
        self, signature: Signature, values: tuple[int, ...], run_checked: Run
    ) -> Specialization:
        executable = self.executable.at(self._numbers.parameters(values))
        known = signature, signature[1:], self.guards, executable
        return Specialization(*known, executable.run_once, run_checked, False, self._wants_history)


def make_template(builder: Builder, call: Call, axes: Sequence[Axes]) -> Template | None:
    """Returns a template for the lengths of a call, or None where its results have a history.

    Args:
        builder: that of the step.
        call: the one that is there; its lengths are the samples.
        axes: the dynamic axes of each of its tensors.
    """
    lengths = lengths_of(call.signature, axes)
    if lengths is None:
        return None
    questions = symbolic.Guards()
    symbols: dict[str, Any] = {}

    def stand_ins(tracer: Tracer) -> Callable[[Tensor], Tensor]:
        pending = iter(axes)

        def stand_in(x: Tensor) -> Tensor:
            shape = symbolic_shape(x, next(pending), questions, symbols)
            return tracer.placeholder(shape, x.dtype, x.requires_grad)

        return stand_in

    trace = builder.trace(call, stand_ins)
    if is_differentiable(trace.traced, trace.tracer.outputs):
        return None
    executable = builder.executable(trace.traced, trace.times)
    return Template(lengths.signature, axes, trace, executable, questions)


class Numbers:
    """What a program for any length needs for one: evaluated formulas of its symbols."""

    def __init__(self, guards: symbolic.Guards, executable: Executable) -> None:
        traced = executable.traced
        self._guards = guards
        self._slots = executable.slots
        self._extents = guards.values([extent for slot in self._slots for extent in slot.shape])
        self._numbers = guards.evaluation(executable.native.parameters)
        self._arguments = guards.values([number for number, _ in traced.numbers])
        self._dtypes = [dtype for _, dtype in traced.numbers]

    def parameters(self, values: Sequence[int]) -> Parameters:
        """Returns what the program is given for these lengths."""
        extents = iter(self._extents(*values))
        slots = [
            replace(slot, shape=tuple([next(extents) for _ in slot.shape])) for slot in self._slots
        ]
        numbers = np.array(self._numbers(*values), np.int64)
        pairs = zip(self._arguments(*values), self._dtypes, strict=True)
        arguments = [np.array(value, dtype.storage) for value, dtype in pairs]
        return Parameters(tuple(slots), numbers, arguments, partial(self._evaluated, values))

    def _evaluated(self, values: Sequence[int], formulas: Sequence[str]) -> tuple[Any, ...]:
        return self._guards.evaluation(formulas)(*values)
