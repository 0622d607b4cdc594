"""`smelt.compile`: a training step, or any function of tensors, as one native function."""

from __future__ import annotations

import functools
import operator
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from smelt import settings, static, tree
from smelt.compiler.specialise import Batches, Memory, Specialisation, Times
from smelt.compiler.trace import Accumulates, Trace, trace
from smelt.creation import zeros
from smelt.engine import context, located
from smelt.errors import ArgumentError, ShapeError, TraceError, user_line
from smelt.random import Generator, randint, randperm
from smelt.tensor import Tensor, as_tensor

MANY = 8  # versions of one step from which on it warns about endless recompilation
ORDER_LIMIT = 1 << 20  # row numbers drawn ahead for one native call of `over`
KEPT = 32  # versions that a step keeps; the one used longest ago goes first

__all__ = ["CompiledStep", "compile"]

Key = tuple[Any, ...]


def compile(
    function: Callable[..., Any] | None = None,
    *,
    donate: int | Iterable[int] = (),
    max_traces: int | None = None,
) -> Any:
    """Turns a function of tensors into one native function; usable as a decorator.

    The first call with new shapes, dtypes or settings traces the function and compiles it; later calls
    run machine code only. Parameters, buffers, optimiser state and the random generator that the function
    touches are captured by themselves and updated in place.

    Args:
        function: an ordinary step; tensors, NumPy arrays and numbers are its arguments, in any tree of
            tuples, lists and dicts. Strings, bools and None are settings: another value, another version.
        donate: numbers of positional arguments whose tensors are given away; using one again raises
            MovedError.
        max_traces: raise TraceError when a further version would be needed; None warns at 8.

    Returns:
        A CompiledStep: call it as the function, or use `repeat`, `over`, `explain`, `memory`.

    Example:
        >>> import smelt
        >>> double = smelt.compile(lambda x: x * 2)
        >>> double(smelt.tensor([1.0, 2.0])).tolist()
        [2.0, 4.0]
    """
    if function is None:
        return functools.partial(compile, donate=donate, max_traces=max_traces)
    if not callable(function):
        raise ArgumentError(located(f"compile needs a function, got {type(function).__name__}"))
    given = (donate,) if isinstance(donate, int) else tuple(donate)
    return CompiledStep(function, given, max_traces)


class CompiledStep:
    """A compiled function; made by `smelt.compile`."""

    def __init__(
        self, function: Callable[..., Any], donate: tuple[int, ...], max_traces: int | None
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.donate = donate
        self.max_traces = max_traces
        self.traces = 0
        self._versions: dict[Key, tuple[Specialisation, Any]] = {}
        self._latest: Specialisation | None = None
        self._settings = -1
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<compiled step {self.name}, {len(self._versions)} versions>"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method, each instance has a compiled step of its own, kept with the instance."""
        if instance is None:
            return self
        kept = instance.__dict__.setdefault("_compiled_steps", {})
        if self.name not in kept:
            bound = self.function.__get__(instance, owner)
            kept[self.name] = CompiledStep(bound, self.donate, self.max_traces)
        return kept[self.name]

    @property
    def name(self) -> str:
        """The function's name."""
        return getattr(self.function, "__name__", type(self.function).__name__).strip("<>")

    # --- calling ------------------------------------------------------------------------------------

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Runs one step."""
        if not settings.current.compile or context.engine is not _EAGER:
            return self.function(*arguments, **options)
        version = self._latest
        if version is not None and not options and self._fits(version, arguments):
            return version.run_once(arguments)
        leaves, structure = tree.flatten((arguments, options) if options else arguments)
        tensors, key = _as_tensors(leaves, structure)
        version = self._version(key, tensors, structure, leaves, bool(options))
        plain = not options and not self.donate and all(type(one) is Tensor for one in arguments)
        version.kinds = key[1:] if plain else None
        self._latest = version
        result = version.run_once(tensors)
        if self.donate:
            self._give_away(arguments)
        return result

    def _fits(self, version: Specialisation, arguments: tuple[Any, ...]) -> bool:
        """Whether a call needs the same version as the last one: the quick way, without a key."""
        kinds = version.kinds
        if kinds is None or len(kinds) != len(arguments) or self._settings != static.version():
            return False
        for argument, (shape, dtype, requires_grad) in zip(arguments, kinds, strict=True):
            if (
                type(argument) is not Tensor
                or argument.shape != shape
                or argument.dtype is not dtype
                or argument.requires_grad is not requires_grad
            ):
                return False
        return True

    def repeat(self, n: int, *arguments: Any) -> Any:
        """Runs the step `n` times on the same arguments in one native call.

        Returns:
            The results of all steps, stacked along a new first axis.
        """
        if n < 0:
            raise ArgumentError(located(f"repeat: n is {n}; it must not be negative"))
        if not settings.current.compile:
            return _stacked([self.function(*arguments) for _ in range(n)])
        leaves, structure = tree.flatten(arguments)
        tensors, key = _as_tensors(leaves, structure)
        version = self._version(key, tensors, structure, leaves, False)
        outputs = version.outputs(n)
        version.run_many(tensors, n, None, outputs)
        return version.rebuild(outputs)

    def over(
        self,
        *arrays: Any,
        batch_size: int,
        shuffle: bool = False,
        epochs: int = 1,
        drop_last: bool = False,
    ) -> Any:
        """Runs the step over whole data sets, batch by batch, natively.

        Args:
            arrays: tensors or NumPy arrays with the same number of rows; a step gets `batch_size` rows of
                each.
            batch_size: rows a step.
            shuffle: draw a new order of rows for each epoch, from a generator that is seeded by one draw
                from the default generator.
            epochs: passes over the data.
            drop_last: leave out the last batch of an epoch when it is smaller; else it runs as a version
                of its own.

        Returns:
            The results of all steps in order, stacked along a new first axis.

        Raises:
            ShapeError: arrays with different numbers of rows, or no rows.
        """
        tensors = [as_tensor(array) for array in arrays]
        rows = _common_rows(tensors)
        if batch_size < 1 or epochs < 0:
            raise ArgumentError(located(f"over: batch_size is {batch_size}, epochs is {epochs}"))
        # orders come from a generator of their own: what the steps draw does not depend on the epochs
        generator = Generator(int(randint(0, 1 << 62, ()))) if shuffle else None
        results = []
        for order, steps, size in _parts(rows, batch_size, generator, epochs, drop_last):
            results.append(self._run_batches(tensors, order, steps, size))
        return _joined(results, self.name)

    def _run_batches(self, data: list[Tensor], order: np.ndarray, steps: int, size: int) -> Any:
        if not settings.current.compile:
            return _stacked([self.function(*[x[rows] for x in data]) for rows in order.reshape(steps, size)])
        buffers = [Tensor(np.empty((size, *x.shape[1:]), x.dtype.storage), x.dtype) for x in data]
        leaves, structure = tree.flatten(tuple(buffers))
        tensors, key = _as_tensors(leaves, structure)
        version = self._version(key, tensors, structure, leaves, False)
        arrays = [np.ascontiguousarray(x.data) for x in data]
        outputs = version.outputs(steps)
        version.run_many(tensors, steps, Batches(arrays, order, size), outputs)
        return version.rebuild(outputs)

    def _give_away(self, arguments: tuple[Any, ...]) -> None:
        line = user_line()
        for number in self.donate:
            for leaf in tree.flatten(arguments[number])[0]:
                if isinstance(leaf, Tensor):
                    leaf._moved, leaf._address = line, None

    # --- versions -----------------------------------------------------------------------------------

    def _version(
        self,
        key: Key,
        tensors: list[Tensor],
        structure: tree.Structure,
        leaves: list[Any],
        named: bool,
    ) -> Specialisation:
        if static.version() != self._settings:
            self._drop_outdated()
        found = self._versions.get(key)
        if found is None:
            with self._lock:
                found = self._versions.get(key)
                if found is None:
                    found = self._make(key, tensors, structure, leaves, named)
        return found[0]

    def _drop_outdated(self) -> None:
        """Forgets the versions that were traced under settings that no longer hold."""
        with self._lock:
            self._settings = static.version()
            self._latest = None
            for key, (version, prints) in list(self._versions.items()):
                if _fingerprints(version.traced.modules) != prints:
                    del self._versions[key]

    def _make(
        self,
        key: Key,
        tensors: list[Tensor],
        structure: tree.Structure,
        leaves: list[Any],
        named: bool,
    ) -> tuple[Specialisation, Any]:
        self._refuse_endless(key)
        times, start = Times(), time.perf_counter()
        while True:
            try:
                traced = trace(functools.partial(self._trace, tensors, structure, leaves, named))
                break
            except Accumulates as needed:
                for tensor in needed.tensors:
                    tensor._grad = zeros(tensor.shape, dtype=tensor.dtype)
        times.trace = time.perf_counter() - start
        version = Specialisation(traced, self.name, times)
        self.traces += 1
        found = (version, _fingerprints(traced.modules))
        while len(self._versions) >= KEPT:
            del self._versions[next(iter(self._versions))]
        self._versions[key] = found
        return found

    def _trace(
        self,
        tensors: list[Tensor],
        structure: tree.Structure,
        leaves: list[Any],
        named: bool,
        recorder: Trace,
    ) -> tuple[list[Tensor], Callable[[list[Tensor]], Any]]:
        """Calls the function on placeholders; returns its tensors and how to rebuild its result."""
        pending = iter(tensors)
        given = []
        for leaf in leaves:
            if _is_static(leaf):
                given.append(leaf)
            else:
                x = next(pending)
                given.append(recorder.placeholder(x.shape, x.dtype, x.requires_grad))
        whole = tree.unflatten(structure, given)
        arguments, options = whole if named else (whole, {})
        parts, kind = tree.flatten(self.function(*arguments, **options))
        outputs = [part for part in parts if isinstance(part, Tensor)]

        if len(outputs) == 1 and kind == _LEAF:
            return outputs, operator.itemgetter(0)

        def rebuild(results: list[Tensor]) -> Any:
            fresh = iter(results)
            return tree.unflatten(
                kind, [next(fresh) if isinstance(part, Tensor) else part for part in parts]
            )

        return outputs, rebuild

    def _refuse_endless(self, key: Key) -> None:
        if self.max_traces is not None and self.traces >= self.max_traces:
            raise TraceError(
                located(
                    f"{self.name}: version {self.traces + 1} needed, max_traces={self.max_traces}; "
                    f"{self._difference(key)}"
                )
            )
        if self._versions and len(self._versions) % MANY == 0:
            warnings.warn(
                f"{self.name} is compiled for the {len(self._versions) + 1}th time: "
                f"{self._difference(key)}. Pad to a few sizes, or drop the last partial batch",
                stacklevel=5,
            )

    def _difference(self, key: Key) -> str:
        """Names what is new in a key against the nearest version."""
        if not self._versions:
            return "first call"
        nearest = max(reversed(self._versions), key=lambda one: _matches(one, key))
        old, new = nearest[1:], key[1:]
        changes = [
            f"argument {number} was {_brief(a)}, is {_brief(b)}"
            for number, (a, b) in enumerate(zip(old, new, strict=False))
            if a != b
        ]
        return "; ".join(changes) or "the arguments' structure or a setting changed"

    # --- looking inside -----------------------------------------------------------------------------

    def explain(self, stage: str = "summary") -> str:
        """Returns a text that shows what the version compiled last does and where its time goes.

        Args:
            stage: "summary" (one page with the cost of every kernel), "traced" and "graph" (operations
                before and after simplification), "kernels" (plain loops), "scheduled" (vector loops),
                "llvm", "assembly", or "all".

        Raises:
            ArgumentError: there is no such stage.
            TraceError: the step has not been called yet.
        """
        return report().explain(self.name, self._last(), stage)

    def memory(self) -> Memory:
        """Returns the bytes that the version compiled last needs; the peak is exact."""
        return self._last().memory()

    @property
    def times(self) -> list[Times]:
        """Seconds that making each version took, the one used longest ago first."""
        return [version.times for version, _ in self._versions.values()]

    def _last(self) -> Specialisation:
        if not self._versions:
            raise TraceError(located(f"{self.name} has not been compiled yet: call it once first"))
        return next(reversed(self._versions.values()))[0]


def report() -> Any:
    """Returns the module behind `explain`; like the back end it is loaded when it is needed."""
    from smelt.compiler import report

    return report


_EAGER = context.engine
_LEAF = tree.flatten(0)[1]


def _is_static(leaf: Any) -> bool:
    return isinstance(leaf, (str, bool, bytes)) or callable(leaf)


def _as_tensors(leaves: list[Any], structure: tree.Structure) -> tuple[list[Tensor], Key]:
    """Returns the leaves that are data as tensors, and the key of the version that they need."""
    tensors: list[Tensor] = []
    key: list[Any] = [structure]
    for leaf in leaves:
        if type(leaf) is not Tensor:
            if _is_static(leaf):
                key.append(leaf)
                continue
            leaf = as_tensor(leaf)
        tensors.append(leaf)
        key.append((leaf.shape, leaf.dtype, leaf.requires_grad))
    return tensors, tuple(key)


def _fingerprints(modules: list[Any]) -> tuple[Any, ...]:
    return tuple([module.fingerprint() for module in modules])


def _matches(a: Key, b: Key) -> int:
    return sum(x == y for x, y in zip(a, b, strict=False))


def _brief(part: Any) -> str:
    if isinstance(part, tuple) and len(part) == 3:
        return f"{part[1].name}{list(part[0])}"
    return repr(part)


def _common_rows(tensors: list[Tensor]) -> int:
    if not tensors or any(not x.ndim for x in tensors):
        raise ShapeError(located("over: needs at least one array, each with a first axis of rows"))
    counts = {x.shape[0] for x in tensors}
    if len(counts) > 1 or 0 in counts:
        shapes = ", ".join(str(x.shape) for x in tensors)
        raise ShapeError(
            located(f"over: the arrays need the same number of rows, got shapes {shapes}")
        )
    return counts.pop()


def _parts(
    rows: int, batch_size: int, generator: Generator | None, epochs: int, drop_last: bool
) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yields (row numbers, steps, rows a step): runs of equal batches, as long as they can be."""
    full, rest = divmod(rows, batch_size)
    pending: list[np.ndarray] = []
    for epoch in range(epochs):
        order = np.arange(rows) if generator is None else randperm(rows, generator=generator).numpy()
        pending.append(order[: full * batch_size])
        ends = rest > 0 and not drop_last
        if ends or epoch == epochs - 1 or sum(map(len, pending)) > ORDER_LIMIT:
            steps = full * len(pending)
            if steps:
                yield np.concatenate(pending), steps, batch_size
            pending = []
        if ends:
            yield np.ascontiguousarray(order[full * batch_size :]), 1, rest


def _stacked(results: list[Any]) -> Any:
    return tree.map(lambda *parts: _stack(parts), *results) if results else None


def _stack(parts: tuple[Any, ...]) -> Any:
    if not isinstance(parts[0], Tensor):
        return parts[0]
    return Tensor(np.stack([part.data for part in parts]), parts[0].dtype)


def _joined(results: list[Any], name: str) -> Any:
    """Joins the stacked results of several native calls along the first axis."""
    if not results:
        return None

    def join(*parts: Any) -> Any:
        if not isinstance(parts[0], Tensor):
            return parts[0]
        if len({part.shape[1:] for part in parts}) > 1:
            shapes = " and ".join(str(part.shape[1:]) for part in (parts[0], parts[-1]))
            raise ShapeError(
                located(
                    f"{name}.over: the last batch is smaller, so results of shapes {shapes} cannot be "
                    "stacked; use drop_last=True, or return something that is the same for every batch"
                )
            )
        return Tensor(np.concatenate([part.data for part in parts]), parts[0].dtype)

    return tree.map(join, *results)
