"""`smelt.compile`: a training step, or any function of tensors, as one native function."""

from __future__ import annotations

import copy
import functools
import operator
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt import settings, tree
from smelt.compiler.artifacts import Times
from smelt.compiler.frontend.compiled_module import is_module, view_of
from smelt.compiler.frontend.lengths import NamedAxes, as_axes
from smelt.compiler.frontend.minibatches import (
    as_rows,
    checked_order,
    common_rows,
    joined,
    ordered_runs,
    runs,
    stacked,
)
from smelt.compiler.frontend.signature import flatten_call
from smelt.compiler.frontend.specialization_cache import SpecializationCache
from smelt.compiler.runtime.batches import Batches, with_whole_rows
from smelt.compiler.runtime.executable import Memory
from smelt.errors import ArgumentError, ShapeError, TraceError
from smelt.location import user_line
from smelt.markup import Text
from smelt.ops.op import is_whole_number
from smelt.random import Generator, randint
from smelt.tensor import Tensor
from smelt.tensor.checked import checked, checked_flags, described
from smelt.tracing.engine import EAGER, Eager, context, current_engine

__all__ = ["CompiledStep", "compile"]


def compile(
    function: Callable[..., Any] | None = None,
    *,
    donate: int | Iterable[int] = (),
    max_traces: int | None = None,
    dynamic: Mapping[str, Mapping[int, str]] | bool = True,
) -> Any:
    """Turns a function of tensors into one native function; usable as a decorator.

    The first call with new shapes, dtypes or settings traces the function and compiles it; later
    calls run machine code only. Parameters, buffers, optimizer state and the random generator that
    the function uses are captured automatically and updated in place.

    Args:
        function: an ordinary step. Its arguments are tensors, NumPy arrays and numbers, in any tree
            of tuples, lists and dicts. Strings, bools and None are settings: the step is compiled
            again for another value.
        donate: numbers of the positional arguments whose tensors the step may reuse; using one of
            them afterwards raises MovedError.
        max_traces: raise TraceError if more versions than this are needed; None warns at 8.
        dynamic: which sizes change from call to call. True: Smelt finds them. When an axis has had
            two sizes, the next call with a new one is compiled for any size; a few such versions
            serve all sizes, and give the same bits as a version for exactly that size. A dict
            names the axes of arguments: `{"x": {1: "length"}}`; then the first call is compiled
            for any size, and axes with one name must have one size. False: each size has its own
            version; a step with a Python loop over an axis gets one in any case.

    Returns:
        A CompiledStep: call it like the function, or use `repeat`, `over`, `explain` and `memory`.
        For a module, a module of the same class that shares all attributes and also has these
        methods.

    Example:
        >>> import smelt
        >>> double = smelt.compile(lambda x: x * 2)
        >>> double(smelt.tensor([1.0, 2.0])).tolist()
        [2.0, 4.0]
    """
    if function is None:
        return functools.partial(compile, donate=donate, max_traces=max_traces, dynamic=dynamic)
    if not callable(function):
        raise ArgumentError(f"compile needs a function, got {type(function).__name__}")
    given = (donate,) if isinstance(donate, int) else tuple(donate)
    options = Options(given, max_traces, as_axes(function, dynamic))
    if not is_module(function):
        return CompiledStep(function, options)
    return view_of(
        function,
        lambda view: CompiledStep(view, options),
        functools.partial(compile, donate=given, max_traces=max_traces, dynamic=dynamic),
    )


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `compile`."""

    donate: tuple[int, ...]
    max_traces: int | None
    dynamic: NamedAxes | bool


@checked_flags
class CompiledStep:
    """A compiled function; made by `smelt.compile`."""

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.options = options
        self.donate: tuple[int, ...] = options.donate
        self.name: str = getattr(function, "__name__", type(function).__name__).strip("<>")
        self.executables: SpecializationCache = SpecializationCache(
            function, self.name, options.max_traces, options.dynamic
        )

    def __repr__(self) -> str:
        return f"<compiled step {self.name}, {len(self.executables)} versions>"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method, each instance has a compiled step of its own, kept with the instance."""
        if instance is None:
            return self
        kept = _bound_steps_of(instance)
        if self.name not in kept:
            bound = self.function.__get__(instance, owner)
            kept[self.name] = CompiledStep(bound, self.options)
        return kept[self.name]

    def __copy__(self) -> CompiledStep:
        """The same function with no executables: they belong to the step that made them."""
        return CompiledStep(self.function, self.options)

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledStep:
        """A step of the copied function; for a module or its method, of the copied module."""
        function = copy.deepcopy(self.function, memo)
        return CompiledStep(function, self.options)

    def __reduce__(self) -> Any:
        """Pickles a decorated function by its name, others by the function; no machine code."""
        path = getattr(self, "__qualname__", "")
        if path and _found(getattr(self, "__module__", None), path) is self:
            return path
        return CompiledStep, (self.function, self.options)

    def rebound(self, instance: Any, to: Any) -> CompiledStep:
        """Returns the step of the same method of `to` if it is one of `instance`, else itself."""
        method: Any = self.function
        if getattr(method, "__self__", None) is not instance:
            return self
        bound = method.__func__.__get__(to)
        return CompiledStep(bound, self.options)

    def __getattr__(self, name: str) -> Any:
        """Attributes of the function: a compiled module has parameters, `eval()`, ..."""
        if name == "function":  # not made yet, by unpickling
            raise AttributeError(name)
        return getattr(self.function, name)

    # --- running --------------------------------------------------------------------------------

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Runs one step."""
        if not settings.current.compile or current_engine() is not EAGER:
            return self._unusually(arguments, options)
        known = None if options else self.executables.last_hit(arguments)
        if known is not None:
            return known.run(arguments)
        return self._looked_up(arguments, options, is_checked=False)

    def _unusually(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Runs one step in a trace, eagerly, or checked."""
        if runs_eagerly():
            return self._eagerly(arguments, options)
        known = None if options else self.executables.last_hit(arguments)
        if known is not None:
            return known.run_checked(arguments)
        return self._looked_up(arguments, options, is_checked=True)

    def _looked_up(
        self, arguments: tuple[Any, ...], options: dict[str, Any], is_checked: bool
    ) -> Any:
        """Runs one step of a specialization that is not, or may not be, the last call's."""
        call = flatten_call(arguments, options)
        # positional tensors only, none of them given away: the next call finds it quickly
        is_plain = not (options or self.donate) and all(type(x) is Tensor for x in arguments)
        known = self.executables.lookup(call, is_plain)
        run = known.run_checked if is_checked else known.run
        result = known.marked(run(call.tensors), call.tensors)
        self._give_away(arguments)
        return result

    def _eagerly(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Calls the function itself on what it would get within a trace: tensors and settings."""
        positional, named = flatten_call(arguments, options).rebuilt()
        return self._delivered(self.function(*positional, **named))

    def _delivered(self, result: Any) -> Any:
        """Returns the result of an eager call, after telling the engine about it."""
        tensors = [leaf for leaf in tree.flatten(result)[0] if isinstance(leaf, Tensor)]
        current_engine().note_delivered(tensors, f"a result of {self.name}")
        return result

    @checked
    def repeat(self, n: int, *arguments: Any) -> Any:
        """Runs the step `n` times on the same arguments, in one native call.

        Returns:
            The results of all steps, stacked along a new first axis.

        Raises:
            ArgumentError: `n` is not a whole number of at least 0.
            ArgumentTypeError: `n` is missing, or the step's arguments are given by name.
        """
        n = whole_number("repeat: n", n, least=0)
        if runs_eagerly():
            return stacked([self._eagerly(arguments, {}) for _ in range(n)])
        call = flatten_call(arguments, {})
        known = self.executables.lookup(call)
        if known.split is not None and known.are_tracked(call.tensors):
            return stacked([known.run(call.tensors) for _ in range(n)])
        executable = known.executable
        outputs = executable.outputs(n)
        self.executables.run_many(executable, call.tensors, n, None, outputs)
        return known.marked(executable.rebuild(outputs), call.tensors)

    def over(
        self,
        *arrays: Any,
        batch_size: int | None = None,
        shuffle: bool = False,
        epochs: int = 1,
        drop_last: bool = False,
        order: Any = None,
    ) -> Any:
        """Runs the step over whole data sets, batch by batch, natively.

        Args:
            arrays: tensors or NumPy arrays with the same number of rows; each step gets
                `batch_size` rows of each.
            batch_size: rows per step; required.
            shuffle: draw a new order of rows for each epoch, from a generator that is seeded by one
                draw from the default generator.
            epochs: passes over the data.
            drop_last: leave out the last batch of an epoch if it is smaller; otherwise it runs as
                its own version.
            order: row numbers of shape (n,), in the order in which batches take them, instead of
                `shuffle` and `epochs`; a row may occur several times, or not at all.

        Returns:
            The results of all steps in order, stacked along a new first axis.

        Raises:
            ShapeError: arrays with different numbers of rows, or no rows, or no whole batch.
            ArgumentError: `batch_size` or `epochs` is not a whole number, or too small; or `order`
                is given together with `shuffle` or `epochs`, or does not hold row numbers.
            BoundsError: `order` has a row number that does not exist.
            ArgumentTypeError: a loader or data set was given instead of an array.
        """
        tensors = [as_rows(array) for array in arrays]
        rows = common_rows(tensors)
        batch_size = whole_number("over: batch_size", batch_size, least=1)
        epochs = whole_number("over: epochs", epochs, least=0)
        if order is not None:
            if shuffle or epochs != 1:
                raise ArgumentError("over: give order, or shuffle and epochs, not both")
            chosen = checked_order(order, rows)
            taken = len(chosen) // batch_size * batch_size if drop_last else len(chosen)
            parts = ordered_runs(chosen[:taken], batch_size)
        else:
            taken = rows
            # orders come from a generator of their own: what steps draw does not depend on epochs
            generator = self._shuffler() if shuffle else None
            parts = runs(rows, batch_size, epochs, generator, drop_last)
        if drop_last and taken < batch_size:
            raise ShapeError(
                f"over: {rows} rows are too few for a batch of {batch_size}, and drop_last is set"
            )
        return joined([self._run_batches(tensors, *part) for part in parts], self.name)

    def _shuffler(self) -> Generator:
        if current_engine().writes_graph:
            raise TraceError(
                f"{self.name}.over: shuffle=True inside a compiled step, where the order of the "
                "rows would be fixed by the trace. Call over outside, or give the step "
                "rows that are shuffled: x[smelt.randperm(len(x))]"
            )
        return Generator(int(randint(0, 1 << 62, ())))

    def _run_batches(self, data: list[Tensor], order: np.ndarray, steps: int, size: int) -> Any:
        if any(x.requires_grad for x in data) and context.grad_enabled:
            return stacked([self(*[x[rows] for x in data]) for rows in order.reshape(steps, size)])
        if runs_eagerly():
            every = order.reshape(steps, size)
            results = [self.function(*[x[rows] for x in data]) for rows in every]
            return stacked(list(map(self._delivered, results)))
        buffers = [Tensor(np.empty((size, *x.shape[1:]), x.dtype.storage), x.dtype) for x in data]
        call = flatten_call(tuple(buffers), {})
        executable = self.executables.lookup(call).executable
        arrays = [with_whole_rows(x.stored) for x in data]
        outputs = executable.outputs(steps)
        batches = Batches(arrays, order, size)
        self.executables.run_many(executable, call.tensors, steps, batches, outputs)
        return executable.rebuild(outputs)

    def _give_away(self, arguments: tuple[Any, ...]) -> None:
        line = user_line() if self.donate else ""
        for number in self.donate:
            if not -len(arguments) <= number < len(arguments):
                raise ArgumentError(
                    f"donate={number}, but {self.name} got {len(arguments)} arguments"
                )
            for leaf in tree.flatten(arguments[number])[0]:
                if isinstance(leaf, Tensor):
                    leaf._moved, leaf._address = line, None

    # --- looking inside -------------------------------------------------------------------------

    def explain(self, stage: str = "summary") -> Text:
        """Returns a text that shows what a step does and where its time goes.

        Of several versions it shows the one that ran most steps.

        Args:
            stage: "summary" (one page with the cost of every kernel), "traced" and "graph"
                (operations before and after simplification), "groups" (what is fused, and why each
                value is stored), "kernels" (plain loops), "plans" (which loops become vectors and
                tiles, and what was considered), "scheduled" (vector loops), "llvm", "assembly", or
                "all".

        Raises:
            ArgumentError: there is no such stage.
            TraceError: the step has not been called yet.
        """
        version, versions = self.executables.most_used, len(self.executables)
        return Text(report().explain(self.name, version, versions, stage))

    def memory(self) -> Memory:
        """Returns the bytes needed by the version that ran most steps; the peak is exact."""
        return self.executables.most_used.memory()

    @property
    def traces(self) -> int:
        """How many versions were made so far; a test may set a limit."""
        return self.executables.traces

    @property
    def times(self) -> list[Times]:
        """Seconds that compiling each version took, the oldest first."""
        return self.executables.times


class BoundSteps(dict[str, CompiledStep]):
    """The compiled methods of one object, kept in its attributes; copies of it start afresh."""

    def __init__(self, owner: Any = None) -> None:
        super().__init__()
        self.owner = owner

    def __deepcopy__(self, memo: dict[int, Any]) -> BoundSteps:
        return BoundSteps()

    def __reduce__(self) -> Any:
        return BoundSteps, ()


def _bound_steps_of(instance: Any) -> BoundSteps:
    """Returns an object's compiled methods; a copy that shares its attributes gets its own."""
    attributes = getattr(instance, "__dict__", None)
    if attributes is None:
        raise ArgumentError(
            f"a compiled method needs an object with a __dict__ to keep its executables in, and "
            f"{type(instance).__name__} has __slots__ only"
        )
    kept = attributes.get("_compiled_steps")
    if kept is None or getattr(kept.owner, "__dict__", None) is not attributes:
        kept = attributes["_compiled_steps"] = BoundSteps(instance)
    return kept


def _found(module: str | None, path: str) -> Any:
    """Returns what a qualified name in a module refers to, or None."""
    found: Any = sys.modules.get(module or "")
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def runs_eagerly() -> bool:
    """Returns whether a compiled step just calls its function: in a trace, or by the settings."""
    return not (settings.current.compile and isinstance(current_engine(), Eager))


def whole_number(what: str, value: Any, least: int) -> int:
    """Returns a count that a user gave; raises ArgumentError when it is not one."""
    if isinstance(value, Tensor) or not is_whole_number(value) or value < least:
        shown = described(value) if isinstance(value, Tensor) else repr(value)
        raise ArgumentError(f"{what} must be a whole number, at least {least}, got {shown}")
    return operator.index(value)


def report() -> Any:
    """Returns the module behind `explain`; like the back end it is loaded on first use."""
    from smelt.compiler.report import explain as report

    return report
