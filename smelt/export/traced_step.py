"""A step that is to leave Python: traced, named, and as a program that becomes code elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt.compiler.artifacts import Traced
from smelt.compiler.c.interface import Array, Step
from smelt.compiler.c.schedule import schedule
from smelt.compiler.c.text import RESERVED
from smelt.compiler.cpu import CPU
from smelt.compiler.frontend.signature import Call as Signature
from smelt.compiler.frontend.signature import flatten_call
from smelt.compiler.frontend.step import compile as compiled
from smelt.compiler.graph.memory_plan import Planned
from smelt.compiler.pipeline import run_for_one_thread, run_portable
from smelt.compiler.report.cost import count
from smelt.compiler.report.explain import calls
from smelt.errors import ArgumentError
from smelt.export.c_names import (
    CParameter,
    argument_names,
    call_origins,
    constant_origins,
    result_names,
)
from smelt.export.collectives import check_no_collectives
from smelt.export.evaluated import evaluated
from smelt.export.names import state_names
from smelt.ir.graph import Node
from smelt.ir.program import Call, Program, with_kernels

__all__ = ["ExportedStep", "TracedStep", "check_name", "traced_step"]


@dataclass(frozen=True, slots=True)
class ExportedStep:
    """A step with its program: what emitters read, what arguments and results are called, and the
    floating-point operations of one step.
    """

    step: Step
    arguments: list[CParameter]
    results: list[CParameter]
    flops: int
    places: dict[str, str]  # where the operations of a kernel of that name stand


@dataclass(frozen=True, slots=True)
class TracedStep:
    """A step, traced on example inputs."""

    caller: str
    call: Signature
    traced: Traced
    function: Callable[..., Any]
    names: list[tuple[str, str]]  # and kinds, of the captured tensors

    def plain(self, name: str, is_filled: bool = False) -> ExportedStep:
        """Returns the step with a program of plain loops, in an order that any compiler likes.

        If whoever loads the code fills the state, as `is_filled` says, no tensor is a constant.
        """
        pairs = zip(self.traced.graph.states, self.traced.states, strict=True)
        contents = {} if is_filled else {node: tensor.stored for node, tensor in pairs}
        planned, plain = run_portable(self.traced.graph, name, self._graph_names(), contents)
        program = with_kernels(plain, {kernel: schedule(kernel) for kernel in plain.kernels})
        return self._exported(name, planned, plain, program, dict(call_origins(planned, program)))

    def vectorized(self, name: str, cpu: CPU) -> ExportedStep:
        """Returns the step with a program of vectors and tiles for a CPU, for one thread."""
        names = self._graph_names()
        planned, lowered, program = run_for_one_thread(self.traced.graph, name, names, cpu)
        return self._exported(name, planned, lowered, program, {})

    def _graph_names(self) -> dict[Node, str]:
        pairs = zip(self.traced.graph.states, self.names, strict=True)
        return {node: text for node, (text, _) in pairs}

    def _exported(
        self,
        name: str,
        planned: Planned,
        lowered: Program,
        program: Program,
        origins: dict[Call, str],
    ) -> ExportedStep:
        arguments = argument_names(self.call, self.traced, self.function)
        results = result_names(self.traced)
        messages = [check.message for check in self.traced.graph.assertions]
        states, constants = list(self._states()), planned.constants
        step = Step(
            name,
            program,
            states,
            constants,
            arguments,
            results,
            messages,
            origins,
            constant_origins(planned),
        )
        places = {call.kernel.name: place for call, place in call_origins(planned, lowered)}
        return ExportedStep(step, arguments, results, _flops(lowered), places)

    def _states(self) -> Iterator[Array]:
        updated = {old for old, _ in self.traced.graph.updates}
        nodes, tensors = self.traced.graph.states, self.traced.states
        for node, tensor, (name, kind) in zip(nodes, tensors, self.names, strict=True):
            contents = np.ascontiguousarray(tensor.stored)
            yield Array(name, contents, tensor.dtype, node in updated, kind)


def check_name(caller: str, name: Any) -> None:
    """Raises ArgumentError unless a name is an identifier of C."""
    is_one = isinstance(name, str) and re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)
    if is_one and name in RESERVED:
        raise ArgumentError(f"{caller}: {name!r} is a word of C; choose another name")
    if not is_one:
        raise ArgumentError(
            f"{caller}: name={name!r} is not a C identifier; use letters, digits and underscores"
        )


def traced_step(caller: str, step: Callable[..., Any], inputs: Sequence[Any]) -> TracedStep:
    """Returns a function or a training step, traced on example inputs; a module in evaluation mode.

    Args:
        caller: the name of the function that the user called, for messages.
        step: a compiled function, a module, or a function, which is compiled.
        inputs: example arguments.

    Raises:
        ArgumentError: `step` is not a function, has a collective, or consumes gradients that an
            earlier call left.
    """
    if not callable(step):
        raise ArgumentError(f"{caller} needs a compiled function, got {type(step).__name__}")
    if not hasattr(step, "executables"):
        step = compiled(step)
    call = flatten_call(tuple(inputs), {})
    executables = step.executables  # type: ignore[attr-defined]
    with evaluated(getattr(step, "function", step)):
        traced = executables.traced(call)
    for grad in traced.gradients:
        if grad.entry is not None:
            raise ArgumentError(
                f"{caller}: {executables.name} reads a .grad that an earlier call left; call "
                "zero_grad(), backward() and step() in one function"
            )
    check_no_collectives(caller, traced.graph)
    function = getattr(step, "function", step)
    return TracedStep(caller, call, traced, function, state_names(traced, function))


def _flops(program: Program, times: int = 1) -> int:
    return sum(count(call.kernel).operations * trips for _, call, trips in calls(program, times))
