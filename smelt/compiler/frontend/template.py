"""Templates: one version of a step for every length that the compiler treats alike.

A template is compiled with a symbolic number (`ir/symbolic.py`) in place of the extent of a dynamic
axis. It serves each length for which every condition on that number has the same outcome, and gives
the bits of the version for exactly that length: it is the same program, with other numbers in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.compiler.artifacts import Parameters
from smelt.compiler.frontend.builder import Builder, Trace
from smelt.compiler.frontend.differentiable import Compile, Differentiable
from smelt.compiler.frontend.lengths import Axes, lengths_of, symbolic_shape
from smelt.compiler.frontend.signature import Call, Signature, without_data
from smelt.compiler.frontend.specialization import Specialization
from smelt.compiler.frontend.split_executable import SplitAtLengths, Splitting, splitting_of
from smelt.compiler.frontend.tracer import Tracer
from smelt.compiler.runtime.executable import Executable
from smelt.errors import GradientError
from smelt.ir import symbolic
from smelt.tensor import Tensor
from smelt.tracing.engine import context, enable_grad

if TYPE_CHECKING:
    from smelt.compiler.frontend.guards import Guards

CAPACITY = 4096  # lengths that a template remembers; the oldest is dropped first
Exactly = Callable[[Call], Specialization]


class Template:
    """A version for any length."""

    def __init__(
        self,
        signature: Signature,
        axes: Sequence[Axes],
        traced: Trace,
        executable: Executable,
        questions: symbolic.Guards,
        splitting: Splitting | None,
    ) -> None:
        self.signature = signature  # with names in place of the extents of `axes`
        self.axes = axes  # the dynamic ones of each tensor
        self.executable = executable
        # the step, or the compiler, needed the number itself
        self.is_for_one_length: bool = questions.is_settled
        self.instances: dict[tuple[int, ...], Specialization] = {}  # by lengths
        self.guards: Guards = traced.guards
        self._wants_history = any(output.requires_grad for output in traced.tracer.outputs)
        self._splitting = splitting
        self._questions = questions
        self._placements: dict[Executable, Placement] = {}

    def instance(self, call: Call, exactly: Exactly) -> Specialization | None:
        """Returns the specialization for a call, or None if this template does not serve it.

        `exactly` returns a version for exactly the lengths of a call.
        """
        lengths = lengths_of(call.signature, self.axes)
        if lengths is None or lengths.signature != self.signature or not self.guards.check():
            return None
        values = lengths.values
        if values not in self.instances:
            executable = self._at(values, self.executable)
            if executable is None:
                return None
            made = self._made(without_data(call), values, executable, exactly)
            self.instances = dict([*self.instances.items(), (values, made)][-CAPACITY:])
        found = self.instances[values]
        if found.split is not None and context.grad_enabled and found.split.is_for_others:
            return None
        return found

    def _at(self, values: tuple[int, ...], executable: Executable) -> Executable | None:
        """Returns an executable of this template at some lengths, or None if it does not serve
        them.
        """
        placement = self._placements.get(executable)
        if placement is None:
            placement = self._placements[executable] = Placement(self._questions, executable)
        return placement.at(values)

    def _made(
        self, call: Call, values: tuple[int, ...], executable: Executable, exactly: Exactly
    ) -> Specialization:
        def of(arguments: Sequence[Tensor]) -> Specialization:
            return exactly(replace(call, tensors=list(arguments)))

        def run_checked(arguments: Sequence[Tensor]) -> Any:
            return of(arguments).run_checked(arguments)

        run, split = executable.run_once, None
        if self._splitting is not None:
            at, whole = partial(self._at, values), partial(self._whole, of)
            split = SplitAtLengths(self._splitting, executable, at, whole)
            run = split.run
        known = call.signature, call.signature[1:], self.guards, executable
        return Specialization(*known, run, run_checked, split, self._wants_history)

    def _whole(
        self,
        of: Callable[[Sequence[Tensor]], Specialization],
        arguments: Sequence[Tensor],
    ) -> Differentiable:
        """Returns the function of a call with these arguments, traced with exactly its lengths."""
        with enable_grad():
            if self.guards.check():
                found = of(arguments)
                states, own = found.executable.traced.states, self.executable.traced.states
                if found.split is not None and list(map(id, states)) == list(map(id, own)):
                    return found.split.splitting.function
        raise GradientError(_CHANGED_SINCE.format(self.executable.name))


def make_template(
    builder: Builder, call: Call, axes: Sequence[Axes], derivative: Compile
) -> Template | None:
    """Returns a template for the lengths of a call, or None if it has none.

    Args:
        builder: the step's.
        call: the present one; its lengths are the samples.
        axes: the dynamic axes of each of its tensors.
        derivative: compiles a function that differentiates the step.
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
    executable = builder.executable(trace.traced, trace.times)
    splitting = splitting_of(trace, builder, derivative)
    return Template(lengths.signature, axes, trace, executable, questions, splitting)


class Placement:
    """Places a template's program at one length: evaluates the formulas of its symbols."""

    def __init__(self, guards: symbolic.Guards, executable: Executable) -> None:
        traced = executable.traced
        self._executable = executable
        self._serves = guards.test()
        self._guards = guards
        self._slots = executable.slots
        self._extents = guards.values([extent for slot in self._slots for extent in slot.shape])
        self._numbers = guards.evaluation(executable.native.parameters)
        self._arguments = guards.values([number for number, _ in traced.numbers])
        self._dtypes = [dtype for _, dtype in traced.numbers]

    def at(self, values: Sequence[int]) -> Executable | None:
        """Returns the executable at these lengths, or None if it does not serve them."""
        return self._executable.at(self._parameters(values)) if self._serves(*values) else None

    def _parameters(self, values: Sequence[int]) -> Parameters:
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


_CHANGED_SINCE = (
    "{}: what it depends on has changed since the call whose results are differentiated (train() "
    "or eval(), a name that it reads), and a derivative of a derivative, or forward mode, needs a "
    "trace of exactly that call's lengths. Ask for it before the change, or compile with "
    "dynamic=False"
)
