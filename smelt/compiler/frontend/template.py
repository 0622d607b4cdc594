"""Templates: one version of a step for every length that the compiler treats alike.

A template is compiled with a symbolic number (`ir/symbolic.py`) where the extent of a dynamic axis
stands. It serves each length for which everything that the compiler asked of that number comes out
as it did, with the bits of the step for exactly that length: it is the same program, with other
numbers in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smelt.compiler.artifacts import Parameters, Stages, Traced
from smelt.compiler.frontend.builder import Builder
from smelt.compiler.frontend.differentiable import is_differentiable
from smelt.compiler.frontend.guards import Guards
from smelt.compiler.frontend.lengths import Axes, lengths_of, symbolic_shape
from smelt.compiler.frontend.signature import Call, Signature
from smelt.compiler.frontend.tracer import Tracer
from smelt.compiler.runtime.executable import Executable
from smelt.ir import symbolic
from smelt.tensor import Tensor
from smelt.tracing.engine import context


@dataclass(frozen=True, slots=True)
class Template:
    """A version for any length: which calls it serves, and how it is bound for one length."""

    axes: Sequence[Axes]  # the dynamic ones of each tensor
    signature: Signature  # with names in the place of their extents
    grad_enabled: bool
    guards: Guards
    serves_lengths: Callable[..., bool]
    bind: Callable[[Sequence[int]], Executable]
    wants_history: bool
    is_for_one_length: bool  # because the step, or the compiler, wanted to know it

    def executable(self, signature: Signature) -> Executable | None:
        """Returns what runs a call with a signature, or None if this template does not serve it."""
        lengths = lengths_of(signature, self.axes)
        if lengths is None or lengths.signature != self.signature:
            return None
        is_current = (self.grad_enabled or not context.grad_enabled) and self.guards.check()
        if not is_current or not self.serves_lengths(*lengths.values):
            return None
        return self.bind(lengths.values)


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
    pending = iter(axes)

    def stand_in(tracer: Tracer, x: Tensor) -> Tensor:
        shape = symbolic_shape(x, next(pending), questions, symbols)
        return tracer.placeholder(shape, x.dtype, x.requires_grad)

    tracer, traced, guards, times = builder.trace(call, stand_in)
    if is_differentiable(traced, tracer.outputs):
        return None
    stages, native, times = builder.build(traced, times)
    instances = Instances(questions, traced, stages, native.parameters)

    def bind(values: Sequence[int]) -> Executable:
        return Executable(traced, stages, native, times, instances.parameters(values))

    wants_history = any(output.requires_grad for output in tracer.outputs)
    known = axes, lengths.signature, context.grad_enabled, guards
    return Template(*known, questions.test(), bind, wants_history, questions.is_settled)


class Instances:
    """What a program for any length needs for one: evaluated formulas of its symbols."""

    def __init__(
        self, guards: symbolic.Guards, traced: Traced, stages: Stages, formulas: Sequence[str]
    ) -> None:
        self._slots = stages.program.slots
        self._extents = guards.values([extent for slot in self._slots for extent in slot.shape])
        self._numbers = guards.evaluation(formulas)
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
        return Parameters(tuple(slots), numbers, arguments)
