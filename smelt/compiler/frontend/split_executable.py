"""Split executables: a step whose results are differentiated outside, as two executables.

The first gradient splits the step into a forward and a backward pass. This forward pass returns
residuals besides its results: values that the backward pass reads (`residuals.py`). From then on
each call runs it. A step whose gradient is never taken costs nothing extra.

Both halves are made from one trace. If it has symbolic lengths, so have they, and they serve every
length for which all conditions on the symbols have the same outcome. For other lengths, and for
anything but the plain gradient (derivatives of gradients, tangents, another result's gradient), the
trace of exactly that call is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smelt.compiler.artifacts import Traced
from smelt.compiler.frontend.builder import Builder, Trace
from smelt.compiler.frontend.differentiable import (
    Compile,
    CompiledCall,
    Differentiable,
    Evaluation,
    is_differentiable,
)
from smelt.compiler.frontend.residuals import choose_residuals
from smelt.compiler.frontend.runner import runner
from smelt.compiler.frontend.tracer import trace
from smelt.compiler.runtime.executable import Executable
from smelt.locks import reentrant_lock
from smelt.settings import current
from smelt.tensor import Tensor
from smelt.tracing.engine import Eager, context, current_engine

Make = Callable[[Traced], Executable]


@dataclass(frozen=True, slots=True)
class Halves:
    """Forward and backward pass, for gradients of outputs `numbers` by the inputs that `needs`
    marks. `reached` are those that have a gradient; `used` are the positions that the backward pass
    reads in the list of inputs, residuals and cotangents.
    """

    numbers: tuple[int, ...]
    needs: tuple[bool, ...]
    reached: list[int]
    used: list[int]
    forward: Executable
    backward: Executable

    def serve(self, numbers: tuple[int, ...], needs: tuple[bool, ...]) -> bool:
        """Whether the backward pass gives these gradients."""
        return self.numbers == numbers and self.needs == needs


class Splitting:
    """Splits a trace into two halves, for the first gradient that is asked for."""

    def __init__(self, function: Differentiable, traced: Traced, make: Make) -> None:
        self.function = function
        self.make = make
        self.halves: Halves | None = None
        self._traced = traced
        self._lock = reentrant_lock()

    def made(self, numbers: tuple[int, ...], needs: tuple[bool, ...]) -> Halves:
        """Returns the halves, made if need be."""
        with self._lock:
            if self.halves is None:
                self.halves = self._made(numbers, needs)
            return self.halves

    def _made(self, numbers: tuple[int, ...], needs: tuple[bool, ...]) -> Halves:
        function, traced = self.function, self._traced
        backward, reached = function.gradient(numbers, needs)
        cotangents = backward.leaves[len(function.leaves) :]
        residuals = choose_residuals(backward.nodes, cotangents)
        symbols = function.tracer.numbers.values()  # also those that the backward pass has added
        leaves = {function.tracer.node_of(x): number for number, x in symbols}
        count = len(traced.graph.arguments) - len(traced.numbers)
        graph = replace(
            traced.graph,
            arguments=(*traced.graph.arguments[:count], *leaves),
            outputs=(*traced.graph.outputs, *residuals),
        )
        pairs = [(number, leaf.dtype) for leaf, number in leaves.items()]
        forward = self.make(replace(traced, graph=graph, result=list, numbers=pairs))
        given = [*function.leaves, *residuals, *cotangents]
        evaluation = Evaluation(given, backward.nodes, function.compile)
        gradients = self.make(trace(lambda tracer: evaluation.trace(leaves, tracer)))
        return Halves(numbers, needs, reached, evaluation.used, forward, gradients)


def splitting_of(step: Trace, builder: Builder, derivative: Compile) -> Splitting | None:
    """Returns what splits a trace; None if its results cannot be differentiated from outside.

    `derivative` compiles a function that differentiates the step.
    """
    traced, tracer = step.traced, step.tracer
    if not is_differentiable(traced, tracer.outputs):
        return None
    inputs = [*tracer.placeholders, *traced.states]
    function = Differentiable(tracer, inputs, tracer.outputs, derivative)
    return Splitting(function, traced, builder.executable)


class SplitExecutable:
    """An executable whose results can be differentiated from outside of the step."""

    def __init__(self, splitting: Splitting, plain: Executable) -> None:
        self.splitting = splitting
        self.plain = plain
        changing = {old for old, _ in plain.traced.graph.updates}
        pairs = zip(plain.traced.states, plain.traced.graph.states, strict=True)
        self._states = [(state, node in changing) for state, node in pairs]

    def halves(self) -> Halves | None:
        """Returns the halves that serve this call's lengths, if they have been made."""
        return self.splitting.halves

    @property
    def is_for_others(self) -> bool:
        """Whether the halves have been made, and do not serve this call's lengths."""
        return self.splitting.halves is not None and self.halves() is None

    def whole(self, inputs: Sequence[Tensor]) -> Differentiable:
        """Returns the function of a call with these inputs, for any other derivative."""
        return self.splitting.function

    def run(self, arguments: Sequence[Tensor]) -> Any:
        """Runs one step; its results have a history if gradients are enabled."""
        if not context.grad_enabled:
            return self._runner(self.plain).run_once(arguments)
        function, halves = self.splitting.function, self.halves()
        count = len(function.outputs)
        executable = self._runner(self.plain if halves is None else halves.forward)
        given, results = executable.exclusively(self._run, executable, arguments)
        call = SplitCall(self, None if halves is None else results[count:])
        function.attach(results[:count], given, call)
        return self.plain.traced.result(results[:count])

    def _run(
        self, executable: Any, arguments: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Returns the inputs of a step, states as they were before it, and its results."""
        given = [*arguments, *(_copied(x) if changes else x for x, changes in self._states)]
        return given, executable.run(arguments)

    def _runner(self, executable: Executable) -> Any:
        return runner(executable, self.splitting.make)

    def serving(self, numbers: tuple[int, ...], needs: tuple[bool, ...]) -> Halves | None:
        """Returns the halves if they give these gradients, made if they are the first."""
        self.splitting.made(numbers, needs)
        halves = self.halves()
        return halves if halves is not None and halves.serve(numbers, needs) else None

    def residuals_again(self, halves: Halves, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Returns the residuals of a call that did not keep them: its forward pass runs again, on
        the states as they were, and changes nothing.
        """
        run = self._run_again
        results: list[Tensor] = self.plain.exclusively(run, halves.forward, inputs)
        return results[len(self.splitting.function.outputs) :]

    def _run_again(self, forward: Executable, inputs: Sequence[Tensor]) -> list[Tensor]:
        count = len(inputs) - len(self._states)
        before = zip(self._states, inputs[count:], strict=True)
        changed = [(state, old) for (state, changes), old in before if changes]
        present = [state.stored.copy() for state, _ in changed]
        for state, old in changed:
            np.copyto(state.stored, old.stored)
        try:
            return forward.run(inputs[:count])
        finally:
            for (state, _), now in zip(changed, present, strict=True):
                np.copyto(state.stored, now)

    def backward(
        self,
        halves: Halves,
        inputs: Sequence[Tensor],
        residuals: list[Tensor],
        cotangents: Sequence[Tensor],
    ) -> tuple[list[int], list[Tensor]]:
        """Returns the numbers of the inputs that have a gradient, and these gradients."""
        given = [*inputs, *residuals, *cotangents]
        run = self._runner(halves.backward).run
        return halves.reached, run([given[number] for number in halves.used])


class SplitAtLengths(SplitExecutable):
    """A split executable of a template, for one call's lengths.

    Args:
        splitting: that of the template, whose trace has symbolic lengths.
        plain: the template's executable at these lengths.
        at: returns a template's executable at these lengths, or None if it does not serve them.
        exactly: returns the function of a call with given arguments, from a trace of that call.
    """

    def __init__(
        self,
        splitting: Splitting,
        plain: Executable,
        at: Callable[[Executable], Executable | None],
        exactly: Callable[[Sequence[Tensor]], Differentiable],
    ) -> None:
        super().__init__(splitting, plain)
        self._at = at
        self._exactly = exactly
        self._halves: Halves | None = None
        self._are_placed = False  # whether the halves have been looked up for these lengths

    def halves(self) -> Halves | None:
        """Returns the template's halves at these lengths; None if they serve only others."""
        made = self.splitting.halves
        if made is not None and not self._are_placed:
            forward, backward = self._at(made.forward), self._at(made.backward)
            if forward is not None and backward is not None:
                self._halves = replace(made, forward=forward, backward=backward)
            self._are_placed = True
        return self._halves

    def serving(self, numbers: tuple[int, ...], needs: tuple[bool, ...]) -> Halves | None:
        """Like the base class's; `check_nan` needs a trace of exactly these lengths."""
        return None if current.check_nan else super().serving(numbers, needs)

    def whole(self, inputs: Sequence[Tensor]) -> Differentiable:
        """Returns the function of a call with these inputs, for these lengths alone."""
        return self._exactly(inputs[: len(inputs) - len(self._states)])


class SplitCall(CompiledCall):
    """A call whose forward and backward pass were compiled separately."""

    def __init__(self, split: SplitExecutable, residuals: list[Tensor] | None) -> None:
        super().__init__(split.splitting.function)
        self.split = split
        self.residuals = residuals

    def gradients(
        self,
        numbers: tuple[int, ...],
        needs: tuple[bool, ...],
        inputs: Sequence[Tensor],
        cotangents: Sequence[Tensor],
    ) -> tuple[list[int], list[Tensor]]:
        """Like `CompiledCall`'s, but from residuals if gradients need no derivative."""
        is_last = not context.grad_enabled and isinstance(current_engine(), Eager)
        halves = self.split.serving(numbers, needs) if is_last else None
        if halves is None:
            whole = CompiledCall(self.split.whole(inputs))
            return whole.gradients(numbers, needs, inputs, cotangents)
        if self.residuals is None:
            self.residuals = self.split.residuals_again(halves, inputs)
        return self.split.backward(halves, inputs, self.residuals, cotangents)

    def tangents(
        self, moving: tuple[int, ...], inputs: Sequence[Tensor], given: Sequence[Tensor]
    ) -> tuple[list[int], list[Tensor]]:
        """Like `CompiledCall`'s."""
        return CompiledCall(self.split.whole(inputs)).tangents(moving, inputs, given)


def _copied(x: Tensor) -> Tensor:
    return Tensor(x.stored.copy(), x.dtype)
