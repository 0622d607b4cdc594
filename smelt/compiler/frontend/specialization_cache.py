"""The specialization cache of a step: its executables, found by signature and guards."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from smelt import tree
from smelt.compiler.artifacts import Times
from smelt.compiler.frontend.builder import Builder
from smelt.compiler.frontend.differentiable import (
    Differentiable,
    SplitExecutable,
    forbid_derivatives,
    is_differentiable,
)
from smelt.compiler.frontend.guards import Guards
from smelt.compiler.frontend.lengths import Axes, NamedAxes, axes_of, changing_axes, check_lengths
from smelt.compiler.frontend.runner import runner
from smelt.compiler.frontend.signature import Call, Signature, flatten_call
from smelt.compiler.frontend.template import Template, make_template
from smelt.compiler.runtime.executable import Executable
from smelt.errors import TraceError
from smelt.location import warn
from smelt.locks import reentrant_lock
from smelt.settings import settings
from smelt.tensor import Tensor
from smelt.tracing.engine import context

MANY = 8  # executables from which on a step warns about endless recompilation
CAPACITY = 32  # executables that a step keeps; the one made longest ago goes first


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
    is_instance: bool = False  # of a template

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

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        max_traces: int | None,
        dynamic: NamedAxes | bool = True,
    ) -> None:
        self._builder = Builder(function, name)
        self.name = name
        self.dynamic = dynamic  # the axes that the user named; else whether they are looked for
        self.max_traces = max_traces
        self.traces = 0
        self._all: list[Specialization] = []
        self._templates: list[Template] = []
        self._is_static = False  # whether the step wants to know its lengths
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
                entry = self._find(call.signature) or self._serving(call) or self._make(call)
        self._last = entry if is_plain else None
        return entry

    def _find(self, signature: Signature) -> Specialization | None:
        for entry in self._all:
            is_usable = not (entry.is_instance and settings.current.check_nan)
            if entry.signature == signature and is_usable and entry.check():
                return entry
        return None

    # --- one for any length -----------------------------------------------------------------------

    def _serving(self, call: Call) -> Specialization | None:
        """Returns a specialization of a template, made if need be, or None where the lengths of the
        call do not change.
        """
        have_history = context.grad_enabled and any(entry.has_history for entry in self._all)
        if settings.current.check_nan or self.dynamic is False or have_history:
            return None
        axes = self._named_axes(call)
        for known in self._templates:
            executable = known.executable(call.signature)
            if executable is not None:
                return self._instance(known, executable, call)
        if axes is None and not self._is_static:
            axes = changing_axes([entry.signature for entry in self._all], call.signature)
        template = self._template(call, axes) if axes else None
        if template is None:
            return None
        executable = template.executable(call.signature)
        assert executable is not None, "a template serves the call that it was made for"
        return self._instance(template, executable, call)

    def _template(self, call: Call, axes: Sequence[Axes]) -> Template | None:
        self._check_not_endless(call.signature)
        template = make_template(self._builder, call, axes)
        if template is not None:
            self.traces += 1
            self._is_static |= template.is_for_one_length
            self._templates = [*self._templates, template][-CAPACITY:]
        return template

    def _named_axes(self, call: Call) -> list[Axes] | None:
        """Returns the dynamic axes that the user named."""
        if not isinstance(self.dynamic, tuple):
            return None
        axes = axes_of(self._builder.function, call, self.dynamic)
        check_lengths(call, axes)
        return axes

    def _instance(self, template: Template, executable: Executable, call: Call) -> Specialization:
        exact = functools.cache(lambda: self._made(call))
        signature = call.signature
        known = signature, signature[1:], template.grad_enabled, template.guards, executable
        # numbers are checked by an exact version, which is made when it is asked for
        runs = executable.run_once, lambda arguments: exact().run_checked(arguments)
        made = Specialization(*known, *runs, False, template.wants_history, is_instance=True)
        return self._kept(made)

    # --- making one -------------------------------------------------------------------------------

    def _make(self, call: Call) -> Specialization:
        return self._kept(self._made(call))

    def _made(self, call: Call) -> Specialization:
        self._check_not_endless(call.signature)
        tracer, traced, guards, times = self._builder.trace(call)
        executable = self._builder.executable(traced, times)
        run, run_checked = executable.run_once, self._run_checked(executable)
        wants_history = any(output.requires_grad for output in tracer.outputs)
        has_history = is_differentiable(traced, tracer.outputs)
        if has_history:
            inputs = [*tracer.placeholders, *traced.states]
            function = Differentiable(tracer, inputs, tracer.outputs, self._derivative)
            split = SplitExecutable(function, executable, self._builder.executable)
            run = run_checked = split.run
        signature = call.signature
        known = (signature, signature[1:], context.grad_enabled, guards)
        self.traces += 1
        return Specialization(*known, executable, run, run_checked, has_history, wants_history)

    def _kept(self, made: Specialization) -> Specialization:
        self._all = [*self._all, made][-CAPACITY:]
        return made

    def runner(self, executable: Executable) -> Any:
        """Returns what runs an executable under the present settings."""
        return runner(executable, self._builder.executable)

    def _run_checked(self, executable: Executable) -> Callable[[Sequence[Tensor]], Any]:
        return lambda arguments: self.runner(executable).run_once(arguments)

    def _derivative(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a function that differentiates this one, compiled."""
        cache = SpecializationCache(function, f"{self.name}_derivative", None)

        def run(*given: Tensor) -> Any:
            call = flatten_call(given, {})
            return cache.lookup(call).run_checked(call.tensors)

        return run

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
