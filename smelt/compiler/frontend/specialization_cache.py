"""The specialization cache of a step: its executables, found by signature and guards."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from smelt.compiler.artifacts import Times, Traced
from smelt.compiler.frontend.builder import Builder
from smelt.compiler.frontend.lengths import Axes, NamedAxes, axes_of, changing_axes, check_lengths
from smelt.compiler.frontend.runner import runner
from smelt.compiler.frontend.signature import Call, Signature, flatten_call
from smelt.compiler.frontend.specialization import Specialization
from smelt.compiler.frontend.split_executable import SplitExecutable, splitting_of
from smelt.compiler.frontend.template import Template, make_template
from smelt.compiler.runtime.executable import Executable
from smelt.errors import TraceError
from smelt.location import warn
from smelt.locks import reentrant_lock
from smelt.settings import settings
from smelt.tensor import Tensor

MANY = 8  # executables after which a step warns about endless recompilation
CAPACITY = 32  # executables that a step keeps; the oldest is dropped first


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
        self.traces: int = 0
        self._all: list[Specialization] = []
        self._templates: list[Template] = []
        self._is_static = False  # whether the step needs concrete lengths
        self._last: Specialization | None = None  # of the last call, if it can be found quickly
        self._lock = reentrant_lock()

    def __len__(self) -> int:
        return len(self._versions())

    @property
    def newest(self) -> Executable:
        """The executable that was made last; raises TraceError when there is none."""
        return self._executables()[-1]

    @property
    def most_used(self) -> Executable:
        """The executable that ran most steps, the newest of equals."""
        return max(reversed(self._executables()), key=lambda executable: executable.steps)

    @property
    def times(self) -> list[Times]:
        """The seconds that each version took to compile."""
        return [version.executable.times for version in self._versions()]

    def _versions(self) -> list[Specialization | Template]:
        return [*self._all, *self._templates]

    def _executables(self) -> list[Executable]:
        """Returns the executables of all versions, those of a template for each length."""
        found = [entry.executable for entry in self._all]
        for template in self._templates:
            found += [entry.executable for entry in template.instances.values()]
        if not found:
            raise TraceError(f"{self.name} has not been compiled yet: call it once first")
        return found

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
        return last if last.guards.check() else None

    def lookup(self, call: Call, is_plain: bool = False) -> Specialization:
        """Returns the specialization for a call, making it if need be.

        `is_plain` says that the call has positional tensors only, so that `last_hit` can serve the
        next one.
        """
        entry = self._find(call)
        if entry is None:
            with self._lock:
                entry = self._find(call) or self._serving(call) or self._make(call)
        self._last = entry if is_plain else None
        return entry

    def _find(self, call: Call) -> Specialization | None:
        entry = self._exact(call.signature)
        if entry is None and self._templates and not settings.current.check_nan:
            return self._instance(call)
        return entry

    def _exact(self, signature: Signature) -> Specialization | None:
        for entry in self._all:
            if entry.signature == signature and entry.guards.check():
                return entry
        return None

    # --- one for any length -----------------------------------------------------------------------

    def _serving(self, call: Call) -> Specialization | None:
        """Returns a specialization of a new template, or None if the lengths of the call do not
        change.
        """
        if settings.current.check_nan or self.dynamic is False:
            return None
        if isinstance(self.dynamic, tuple):
            axes = axes_of(self._builder.function, call, self.dynamic)
            check_lengths(call, axes)
            return self._for_any(call, axes)
        if self._is_static:
            return None
        found = changing_axes([entry.signature for entry in self._all], call.signature)
        if found is None:
            return None
        try:
            return self._for_any(call, found)
        except Exception as problem:  # the user did not ask for it: a version for this call will do
            self._is_static = True
            made = self._make(call)  # or it fails, too, and says so
            warn(
                f"{self.name} cannot be compiled for all lengths, so each has a version of its own "
                f"(dynamic=False does so from the start): {problem}"
            )
            return made

    def _for_any(self, call: Call, axes: Sequence[Axes]) -> Specialization | None:
        self._check_allowed(call.signature)
        template = make_template(self._builder, call, axes, self._derivative)
        if template is None:
            return None
        self.traces += 1
        self._is_static |= template.is_for_one_length
        self._templates = [*self._templates, template][-CAPACITY:]
        return template.instance(call, self._exactly)

    def _instance(self, call: Call) -> Specialization | None:
        """Returns a template's specialization for a call, or None if no template serves it."""
        for template in self._templates:
            found = template.instance(call, self._exactly)
            if found is not None:
                return found
        return None

    def _exactly(self, call: Call) -> Specialization:
        """Returns the version for exactly the lengths of a call: it checks numbers, and has
        derivatives of any order.
        """
        with self._lock:
            return self._exact(call.signature) or self._make(call)

    def traced(self, call: Call) -> Traced:
        """Returns the trace of a call, to be compiled elsewhere."""
        return self._builder.trace(call).traced

    # --- making one -------------------------------------------------------------------------------

    def _make(self, call: Call) -> Specialization:
        self._check_allowed(call.signature)
        self._warn_of_many(call.signature)
        trace = self._builder.trace(call)
        executable = self._builder.executable(trace.traced, trace.times)
        run, run_checked = executable.run_once, self._run_checked(executable)
        wants_history = any(output.requires_grad for output in trace.tracer.outputs)
        splitting = splitting_of(trace, self._builder, self._derivative)
        split = None if splitting is None else SplitExecutable(splitting, executable)
        if split is not None:
            run = run_checked = split.run
        signature = call.signature
        known = signature, signature[1:], trace.guards, executable
        self.traces += 1
        made = Specialization(*known, run, run_checked, split, wants_history)
        self._all = [*self._all, made][-CAPACITY:]
        return made

    def runner(self, executable: Executable) -> Any:
        """Returns what runs an executable under the current settings."""
        return runner(executable, self._builder.executable)

    def run_many(
        self, executable: Executable, arguments: list[Tensor], steps: int, *where: Any
    ) -> None:
        """Runs steps natively under the current settings; for `where` see the executable's own."""
        executable.check_steady(steps)
        if steps:  # 0 steps change nothing, not even in a child forked meanwhile
            self.runner(executable).run_many(arguments, steps, *where)

    def _run_checked(self, executable: Executable) -> Callable[[Sequence[Tensor]], Any]:
        return lambda arguments: self.runner(executable).run_once(arguments)

    def _derivative(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a function that computes derivatives of this step, compiled."""
        cache = SpecializationCache(function, f"{self.name}_derivative", None)

        def run(*given: Tensor) -> Any:
            call = flatten_call(given, {})
            return cache.lookup(call).run_checked(call.tensors)

        return run

    # --- too many ---------------------------------------------------------------------------------

    def _check_allowed(self, signature: Signature) -> None:
        if self.max_traces is not None and self.traces >= self.max_traces:
            raise TraceError(
                f"{self.name}: version {self.traces + 1} needed, max_traces={self.max_traces}; "
                f"{self._difference(signature)}"
            )

    def _warn_of_many(self, signature: Signature) -> None:
        """Warns about the ninth version, the 17th and so on, not counting templates."""
        count = self.traces - len(self._templates)
        if count and count % MANY == 0:
            warn(
                f"{self.name} is compiled once more, after {self.traces} versions: "
                f"{self._difference(signature)}"
            )

    def _difference(self, signature: Signature) -> str:
        """Says how a call differs from the nearest version, the latest of several."""
        versions = list(reversed(self._versions()))
        if not versions:
            return "first call"
        nearest = max(versions, key=lambda one: sum(map(operator.eq, one.signature, signature)))
        changes = [
            f"argument {number} was {_brief(a)}, is {_brief(b)}"
            for number, (a, b) in enumerate(zip(nearest.signature[1:], signature[1:], strict=False))
            if a != b
        ]
        if changes:
            return "; ".join(changes) + ". Pad to a few sizes, or drop the last partial batch"
        return nearest.guards.change() or "the arguments' structure changed"


def _brief(part: Any) -> str:
    if isinstance(part, tuple) and len(part) == 3:
        return f"{part[1].name}{list(part[0])}"
    return repr(part)
