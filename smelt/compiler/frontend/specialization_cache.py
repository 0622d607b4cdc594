"""The specialization cache of a step: its executables, found by signature and guards."""

from __future__ import annotations

import functools
import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from smelt import tree
from smelt.compiler.artifacts import Times, Traced
from smelt.compiler.frontend.closure import Closure
from smelt.compiler.frontend.differentiable import (
    Differentiable,
    SplitExecutable,
    forbid_derivatives,
    is_differentiable,
)
from smelt.compiler.frontend.guards import Guards
from smelt.compiler.frontend.runner import runner
from smelt.compiler.frontend.same_trace import compute_constants, is_same_trace
from smelt.compiler.frontend.signature import Call, Signature, flatten_call
from smelt.compiler.frontend.tracer import Accumulates, Tracer, trace
from smelt.compiler.runtime.executable import Executable
from smelt.creation import zeros
from smelt.errors import TraceError
from smelt.location import warn
from smelt.locks import reentrant_lock
from smelt.settings import settings
from smelt.tensor import Tensor
from smelt.tensor.checked import misfit
from smelt.tracing.engine import context

MANY = 8  # executables from which on a step warns about endless recompilation
CAPACITY = 32  # executables that a step keeps; the one made longest ago goes first

_LEAF = tree.flatten(0)[1]


@dataclass(frozen=True, slots=True)
class Specialization:
    """One executable, and the calls that it serves.

    `run` runs one step of it; if its results can be differentiated and gradients are enabled, it
    gives them a history. What was traced without gradients has no results of this kind.
    `run_checked` does the same with `check_nan`.
    """

    signature: Signature
    kinds: tuple[Any, ...]  # of a plain call: shape, dtype and `requires_grad` of each argument
    grad_enabled: bool
    guards: Guards
    executable: Executable
    run: Callable[[Sequence[Tensor]], Any]
    run_checked: Callable[[Sequence[Tensor]], Any]
    has_history: bool  # whether `run` gives one
    wants_history: bool  # whether the results would have one eagerly

    def are_tracked(self, arguments: Sequence[Tensor]) -> bool:
        """Returns whether results of a call with these arguments would have a history eagerly."""
        return (
            self.wants_history and context.grad_enabled and any(x.requires_grad for x in arguments)
        )

    def marked(self, result: Any, arguments: Sequence[Tensor]) -> Any:
        """Returns the results of a call; one that eagerly had a history, and has none, gets one
        that says so when somebody follows it.
        """
        if not self.has_history and self.are_tracked(arguments):
            name = self.executable.stages.program.name
            forbid_derivatives(tree.flatten(result)[0], arguments, name)
        return result

    def check(self) -> bool:
        """Returns whether what the trace depends on is now as it was then."""
        return (self.grad_enabled or not context.grad_enabled) and self.guards.check()


class SpecializationCache:
    """The executables of one function; made when they are first needed."""

    def __init__(self, function: Callable[..., Any], name: str, max_traces: int | None) -> None:
        self.function = function
        self.name = name
        self.max_traces = max_traces
        self.traces = 0
        self._all: list[Specialization] = []
        self._last: Specialization | None = None  # of the last call, if it can be found quickly
        self._lock = reentrant_lock()

    def __len__(self) -> int:
        return len(self._all)

    @property
    def newest(self) -> Executable:
        """The executable that was made last; raises TraceError when there is none."""
        self._check_any()
        return self._all[-1].executable

    @property
    def most_used(self) -> Executable:
        """The executable that ran most steps, the newest of equals."""
        self._check_any()
        executables = [entry.executable for entry in reversed(self._all)]
        return max(executables, key=lambda executable: executable.steps)

    @property
    def times(self) -> list[Times]:
        """What each executable took to make."""
        return [entry.executable.times for entry in self._all]

    def _check_any(self) -> None:
        if not self._all:
            raise TraceError(f"{self.name} has not been compiled yet: call it once first")

    # --- finding one ------------------------------------------------------------------------------

    def last_hit(self, arguments: tuple[Any, ...]) -> Specialization | None:
        """Returns the last call's specialization if it serves this one, without a signature."""
        last = self._last
        if last is None or len(last.kinds) != len(arguments):
            return None
        # the lengths are equal: strict=True would cost a call 0.2 us more
        for argument, (shape, dtype, requires_grad) in zip(arguments, last.kinds):  # noqa: B905
            if (
                type(argument) is not Tensor
                or argument.shape != shape
                or argument.dtype is not dtype
                or argument.requires_grad is not requires_grad
            ):
                return None
        return last if last.check() else None

    def lookup(self, call: Call, is_plain: bool = False) -> Specialization:
        """Returns the specialization for a call, making it if need be.

        `is_plain` says that the call has positional tensors only, so that `last_hit` can serve the
        next one.
        """
        entry = self._find(call.signature)
        if entry is None:
            with self._lock:
                entry = self._find(call.signature) or self._make(call)
        self._last = entry if is_plain else None
        return entry

    def _find(self, signature: Signature) -> Specialization | None:
        for entry in self._all:
            if entry.signature == signature and entry.check():
                return entry
        return None

    # --- making one -------------------------------------------------------------------------------

    def _make(self, call: Call) -> Specialization:
        self._check_not_endless(call.signature)
        start = time.perf_counter()
        closure, tracer, traced = self._settled(call)
        executable = self._compiled(traced, Times(trace=time.perf_counter() - start))
        run, run_checked = executable.run_once, self._run_checked(executable)
        wants_history = any(output.requires_grad for output in tracer.outputs)
        has_history = is_differentiable(traced, tracer.outputs)
        if has_history:
            inputs = [*tracer.placeholders, *traced.states]
            function = Differentiable(tracer, inputs, tracer.outputs, self._derivative)
            run = run_checked = SplitExecutable(function, executable, self._compiled).run
        guards = Guards(traced, closure)
        signature, grad_enabled = call.signature, context.grad_enabled
        known = (signature, signature[1:], grad_enabled, guards)
        made = Specialization(*known, executable, run, run_checked, has_history, wants_history)
        self.traces += 1
        self._all = [*self._all, made][-CAPACITY:]
        return made

    def runner(self, executable: Executable) -> Any:
        """Returns what runs an executable under the present settings."""
        return runner(executable, self._compiled)

    def _run_checked(self, executable: Executable) -> Callable[[Sequence[Tensor]], Any]:
        return lambda arguments: self.runner(executable).run_once(arguments)

    def _derivative(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a function that differentiates this one, compiled."""
        cache = SpecializationCache(function, f"{self.name}_derivative", None)

        def run(*given: Tensor) -> Any:
            call = flatten_call(given, {})
            return cache.lookup(call).run_checked(call.tensors)

        return run

    def _compiled(self, traced: Traced, times: Times = Times()) -> Executable:  # noqa: B008
        with settings(compile=False):  # what interrupts the import cannot compile: it runs eagerly
            # the first step loads LLVM, not the import of smelt
            from smelt.compiler.pipeline import run_pipeline
            from smelt.compiler.runtime.native import build

        stages = run_pipeline(traced.graph, self.name, traced.state_names())
        start = time.perf_counter()
        native = build(stages.program)
        times = Times(times.trace, stages.seconds, time.perf_counter() - start)
        return Executable(traced, stages, native, times)

    def _settled(self, call: Call) -> tuple[Closure, Tracer, Traced]:
        """Returns a trace that holds for later calls, too, and what it closes over.

        Raises:
            TraceError: what the function changes while it is traced, and reads, is something else
                for each call.
        """
        closure = Closure(self.function)
        tracer, traced = self._traced(functools.partial(self._run, call))
        changes = closure.settle()
        if not changes:
            return closure, tracer, traced
        computed = compute_constants(changes, traced)
        closure = Closure(self.function)
        try:  # what does a second call find?
            tracer, again = self._traced(functools.partial(self._run, call))
        except Exception as error:
            raise TraceError(changes[0].describe(self.name)) from error
        moving = [change.place for change in closure.settle() if not change.is_steady]
        if moving or not is_same_trace(traced, again, computed):
            blamed = [change for change in changes if change.place in moving] or changes
            raise TraceError(blamed[0].describe(self.name))
        return closure, tracer, again

    def _traced(self, function: Callable[[Tracer], Any]) -> tuple[Tracer, Traced]:
        tracer = Tracer()
        try:
            return tracer, trace(function, tracer)
        except Accumulates as needed:  # gradients outlive the step: they become state
            for tensor in needed.tensors:
                tensor._grad = zeros(tensor.shape, dtype=tensor.dtype)
        tracer = Tracer()
        return tracer, trace(function, tracer)

    def _run(
        self, call: Call, tracer: Tracer
    ) -> tuple[list[Tensor], Callable[[list[Tensor]], Any]]:
        """Calls the function on placeholders; returns its tensors and how to rebuild its result."""
        arguments, options = call.rebuilt(
            lambda x: tracer.placeholder(x.shape, x.dtype, x.requires_grad)
        )
        try:
            result = self.function(*arguments, **options)
        except TypeError as error:
            wrong = misfit(
                getattr(self.function, "__name__", "the step").strip("<>"),
                self.function,
                arguments,
                options,
                error,
            )
            raise wrong or error from None
        parts, structure = tree.flatten(result)
        outputs = [part for part in parts if isinstance(part, Tensor)]
        if len(outputs) == 1 and structure == _LEAF:
            return outputs, operator.itemgetter(0)

        def rebuild(results: list[Tensor]) -> Any:
            fresh = iter(results)
            leaves = [next(fresh) if isinstance(part, Tensor) else part for part in parts]
            return tree.unflatten(structure, leaves)

        return outputs, rebuild

    # --- too many ---------------------------------------------------------------------------------

    def _check_not_endless(self, signature: Signature) -> None:
        if self.max_traces is not None and self.traces >= self.max_traces:
            raise TraceError(
                f"{self.name}: version {self.traces + 1} needed, max_traces={self.max_traces}; "
                f"{self._difference(signature)}"
            )
        if self.traces and self.traces % MANY == 0:
            warn(
                f"{self.name} is compiled for the {self.traces + 1}th time: "
                f"{self._difference(signature)}. Pad to a few sizes, or drop the last partial batch"
            )

    def _difference(self, signature: Signature) -> str:
        """Names what is new in a signature against the nearest one, the latest of the near ones."""
        if not self._all:
            return "first call"
        known = [entry.signature for entry in reversed(self._all)]
        nearest = max(known, key=lambda entry: sum(map(operator.eq, entry, signature)))
        changes = [
            f"argument {number} was {_brief(a)}, is {_brief(b)}"
            for number, (a, b) in enumerate(zip(nearest[1:], signature[1:], strict=False))
            if a != b
        ]
        return "; ".join(changes) or "the arguments' structure or a setting changed"


def _brief(part: Any) -> str:
    if isinstance(part, tuple) and len(part) == 3:
        return f"{part[1].name}{list(part[0])}"
    return repr(part)
