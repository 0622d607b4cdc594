"""Builder: a function becomes a trace, and a trace becomes native code."""

from __future__ import annotations

import functools
import operator
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smelt import tree
from smelt.compiler.artifacts import ResultTree, Stages, Times, Traced
from smelt.compiler.frontend.closure import Closure
from smelt.compiler.frontend.guards import Guards
from smelt.compiler.frontend.same_trace import compute_constants, is_same_trace
from smelt.compiler.frontend.signature import Call
from smelt.compiler.frontend.tracer import Accumulates, Tracer, trace
from smelt.compiler.frontend.uncalled import warn_of_uncalled
from smelt.compiler.frontend.violated_check import found_by_check
from smelt.compiler.runtime.executable import Executable
from smelt.creation import zeros
from smelt.errors import SmeltError, TraceError
from smelt.settings import settings
from smelt.short_traceback import render_in_short
from smelt.tensor import Tensor
from smelt.tensor.checked import misfit

_LEAF = tree.flatten(0)[1]
StandIns = Callable[[Tracer], Callable[[Tensor], Tensor]]  # what stands for arguments in a trace


def placeholders(tracer: Tracer) -> Callable[[Tensor], Tensor]:
    """Returns a function that makes a placeholder of exactly an argument's shape."""
    return lambda x: tracer.placeholder(x.shape, x.dtype, x.requires_grad)


@dataclass(frozen=True, slots=True)
class Trace:
    """The result of tracing a call, with what must not change, and the time it took."""

    tracer: Tracer
    traced: Traced
    guards: Guards
    times: Times


class Builder:
    """Makes the versions of one step."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function = function
        self.name = name

    def trace(self, call: Call, stand_ins: StandIns = placeholders) -> Trace:
        """Traces a call of the function, on stand-ins for its tensors."""
        warn_of_uncalled(self.function)
        start = time.perf_counter()
        closure, tracer, traced = self._settled(functools.partial(self._run, call, stand_ins))
        return Trace(tracer, traced, Guards(traced, closure), Times(time.perf_counter() - start))

    def _settled(self, run: Callable[[Tracer], Any]) -> tuple[Closure, Tracer, Traced]:
        """Returns a trace that also holds for later calls, and what it closes over.

        Raises:
            TraceError: the function changes and reads a value that differs for each call.
        """
        closure = Closure(self.function)
        tracer, traced = _traced(run)
        changes = closure.settle()
        if not changes:
            return closure, tracer, traced
        computed = compute_constants(changes, traced)
        closure = Closure(self.function)
        try:  # what does a second call find?
            tracer, again = _traced(run)
        except Exception as error:
            raise TraceError(changes[0].describe(self.name)) from error
        moving = [change.place for change in closure.settle() if not change.is_steady]
        if moving or not is_same_trace(traced, again, computed):
            blamed = [change for change in changes if change.place in moving] or changes
            raise TraceError(blamed[0].describe(self.name))
        return closure, tracer, again

    def executable(self, traced: Traced, times: Times = Times()) -> Executable:  # noqa: B008
        """Compiles a trace and binds it to its states."""
        with settings(compile=False):  # code that interrupts the import must not compile
            # the first step loads LLVM, not the import of smelt
            from smelt.compiler.runtime.step_cache import compiled

        @functools.cache
        def stages() -> Stages:
            with settings(compile=False):
                # loaded when passes run: a step that was compiled before does not need it
                from smelt.compiler.pipeline import run_pipeline

            return run_pipeline(traced.graph, self.name, traced.state_names())

        start = time.perf_counter()
        made, is_from_cache = compiled(traced.graph, stages)
        passes = {} if is_from_cache else stages().seconds
        rest = time.perf_counter() - start - sum(passes.values())
        times = Times(times.trace, passes, rest, is_from_cache)
        return Executable(
            self.name, traced, made, stages, times, functools.partial(found_by_check, traced)
        )

    def _run(
        self, call: Call, stand_ins: StandIns, tracer: Tracer
    ) -> tuple[list[Tensor], Callable[[list[Tensor]], Any]]:
        """Calls the function on placeholders; returns its tensors and how to rebuild its result."""
        arguments, options = call.rebuilt(stand_ins(tracer))
        try:
            result = self.function(*arguments, **options)
        except SmeltError:
            raise
        except Exception as error:
            render_in_short(error)
            wrong = misfit(self.name, self.function, arguments, options, error)
            if wrong is None:
                raise
            raise wrong from None
        parts, structure = tree.flatten(result)
        outputs = [part for part in parts if isinstance(part, Tensor)]
        if len(outputs) == 1 and structure == _LEAF:
            return outputs, operator.itemgetter(0)
        return outputs, ResultTree(parts, structure)


def _traced(function: Callable[[Tracer], Any]) -> tuple[Tracer, Traced]:
    tracer = Tracer()
    try:
        return tracer, trace(function, tracer)
    except Accumulates as needed:  # gradients outlive the step: they become state
        for tensor in needed.tensors:
            tensor._grad = zeros(tensor.shape, dtype=tensor.dtype)
    tracer = Tracer()
    return tracer, trace(function, tracer)
