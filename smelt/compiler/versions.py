"""Versions: the compiled forms of a step, one for each kind of arguments and settings it met."""

from __future__ import annotations

import functools
import operator
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smelt import static, tree
from smelt.compiler.specialise import Specialisation, Times
from smelt.compiler.trace import Accumulates, Trace, trace
from smelt.creation import zeros
from smelt.engine import located
from smelt.errors import TraceError
from smelt.tensor import Tensor, as_tensor

MANY = 8  # versions from which on a step warns about endless recompilation
KEPT = 32  # versions that a step keeps; the one made longest ago goes first

Key = tuple[Any, ...]
_LEAF = tree.flatten(0)[1]


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of a call, taken apart.

    `leaves` are all of them in order, `tensors` those that are data; `key` is what two calls must
    share to share a version. With `named` the tree holds positional and keyword arguments.
    """

    leaves: list[Any]
    tensors: list[Tensor]
    structure: tree.Structure
    named: bool
    key: Key

    def rebuilt(
        self, stand_in: Callable[[Tensor], Tensor] = lambda x: x
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns positional and keyword arguments again, with `stand_in(x)` for each tensor."""
        pending = iter(self.tensors)
        given = [leaf if is_static(leaf) else stand_in(next(pending)) for leaf in self.leaves]
        whole = tree.unflatten(self.structure, given)
        return whole if self.named else (whole, {})


def request(arguments: tuple[Any, ...], options: dict[str, Any]) -> Request:
    """Returns the arguments of a call, with arrays and numbers turned into tensors."""
    leaves, structure = tree.flatten((arguments, options) if options else arguments)
    tensors: list[Tensor] = []
    key: list[Any] = [structure]
    for leaf in leaves:
        if is_static(leaf):
            key.append(leaf)
            continue
        x = as_tensor(leaf)
        tensors.append(x)
        key.append((x.shape, x.dtype, x.requires_grad))
    return Request(leaves, tensors, structure, bool(options), tuple(key))


def is_static(leaf: Any) -> bool:
    """Whether an argument is a setting: another value needs another version."""
    return isinstance(leaf, (str, bool, bytes)) or callable(leaf)


@dataclass(frozen=True, slots=True)
class _Version:
    key: Key
    compiled: Specialisation
    settings: tuple[Any, ...]  # fingerprints of the modules and optimisers that it was traced with

    def holds(self) -> bool:
        """Whether the settings are still those that it was traced with."""
        return _fingerprints(self.compiled.traced.modules) == self.settings


class Versions:
    """The versions of one function; made when they are first needed."""

    def __init__(self, function: Callable[..., Any], name: str, max_traces: int | None) -> None:
        self.function = function
        self.name = name
        self.max_traces = max_traces
        self.traces = 0
        self.called: Specialisation | None = None  # the version of the last call, while it holds
        self._all: list[_Version] = []
        self._present: dict[Key, Specialisation] = {}  # those whose settings hold now
        self._settings = -1
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._all)

    @property
    def are_present(self) -> bool:
        """Whether no setting has changed since a version was last looked up."""
        return self._settings == static.version()

    @property
    def last(self) -> Specialisation:
        """The version that was made last; raises TraceError when there is none."""
        self._refuse_if_none()
        return self._all[-1].compiled

    @property
    def busiest(self) -> Specialisation:
        """The version that ran most steps, the latest of equals."""
        self._refuse_if_none()
        return max((one.compiled for one in reversed(self._all)), key=lambda one: one.steps)

    @property
    def times(self) -> list[Times]:
        """What each version took to make."""
        return [version.compiled.times for version in self._all]

    def _refuse_if_none(self) -> None:
        if not self._all:
            raise TraceError(located(f"{self.name} has not been compiled yet: call it once first"))

    def find(self, wanted: Request) -> Specialisation:
        """Returns the version for a call, making it if need be."""
        if not self.are_present:
            self._note_settings()
        found = self._present.get(wanted.key)
        if found is None or not found.fits():
            with self._lock:
                found = self._known(wanted.key) or self._make(wanted)
                self._present[wanted.key] = found
        return found

    def _note_settings(self) -> None:
        with self._lock:
            self._settings = static.version()
            self._present = {}
            self.called = None

    def _known(self, key: Key) -> Specialisation | None:
        """Returns a version made earlier under the settings that hold again now."""
        for version in self._all:
            compiled = version.compiled
            if version.key == key and version.holds() and compiled.fits():
                return compiled
        return None

    # --- making one -----------------------------------------------------------------------------

    def _make(self, wanted: Request) -> Specialisation:
        self._refuse_endless(wanted.key)
        times, start = Times(), time.perf_counter()
        traced = self._traced(functools.partial(self._run, wanted))
        times.trace = time.perf_counter() - start
        made = Specialisation(traced, self.name, times)
        self.traces += 1
        self._all.append(_Version(wanted.key, made, _fingerprints(traced.modules)))
        while len(self._all) > KEPT:
            self._forget(self._all.pop(0).compiled)
        return made

    def _forget(self, version: Specialisation) -> None:
        self._present = {key: one for key, one in self._present.items() if one is not version}

    def _traced(self, function: Callable[[Trace], Any]) -> Any:
        try:
            return trace(function)
        except Accumulates as needed:  # gradients outlive the step: they become state
            for tensor in needed.tensors:
                tensor._grad = zeros(tensor.shape, dtype=tensor.dtype)
        return trace(function)

    def _run(
        self, wanted: Request, recorder: Trace
    ) -> tuple[list[Tensor], Callable[[list[Tensor]], Any]]:
        """Calls the function on placeholders; returns its tensors and how to rebuild its result."""
        arguments, options = wanted.rebuilt(
            lambda x: recorder.placeholder(x.shape, x.dtype, x.requires_grad)
        )
        parts, kind = tree.flatten(self.function(*arguments, **options))
        outputs = [part for part in parts if isinstance(part, Tensor)]
        if len(outputs) == 1 and kind == _LEAF:
            return outputs, operator.itemgetter(0)

        def rebuild(results: list[Tensor]) -> Any:
            fresh = iter(results)
            filled = [next(fresh) if isinstance(part, Tensor) else part for part in parts]
            return tree.unflatten(kind, filled)

        return outputs, rebuild

    # --- too many -------------------------------------------------------------------------------

    def _refuse_endless(self, key: Key) -> None:
        if self.max_traces is not None and self.traces >= self.max_traces:
            raise TraceError(
                located(
                    f"{self.name}: version {self.traces + 1} needed, max_traces={self.max_traces}; "
                    f"{self._difference(key)}"
                )
            )
        if self.traces and self.traces % MANY == 0:
            warnings.warn(
                f"{self.name} is compiled for the {self.traces + 1}th time: "
                f"{self._difference(key)}. Pad to a few sizes, or drop the last partial batch",
                stacklevel=5,
            )

    def _difference(self, key: Key) -> str:
        """Names what is new in a key against the nearest version, the latest of the near ones."""
        if not self._all:
            return "first call"
        keys = [version.key for version in reversed(self._all)]
        nearest = max(keys, key=lambda one: sum(x == y for x, y in zip(one, key, strict=False)))
        changes = [
            f"argument {number} was {_brief(a)}, is {_brief(b)}"
            for number, (a, b) in enumerate(zip(nearest[1:], key[1:], strict=False))
            if a != b
        ]
        return "; ".join(changes) or "the arguments' structure or a setting changed"


def _fingerprints(modules: list[Any]) -> tuple[Any, ...]:
    return tuple([module.fingerprint() for module in modules])


def _brief(part: Any) -> str:
    if isinstance(part, tuple) and len(part) == 3:
        return f"{part[1].name}{list(part[0])}"
    return repr(part)
