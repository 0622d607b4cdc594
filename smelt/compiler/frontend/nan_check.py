"""Runs a compiled step under `smelt.settings(check_nan=True)`.

The machine code is the same. Before a step, the states that it changes are copied; after it, they
and the results are searched for numbers that are no longer finite. Only if there are any, the same
step is run again in NumPy, from the copies, operation by operation (`control/run_graph.py`), to
find the operation that made them. Copying and searching are compiled functions of their own.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt import dtypes
from smelt.compiler.frontend.runner import Make
from smelt.compiler.frontend.tracer import Tracer, trace
from smelt.compiler.runtime.batches import Batches
from smelt.compiler.runtime.executable import Executable
from smelt.control.run_graph import GraphRun
from smelt.errors import NumericsError
from smelt.ir.graph import Node
from smelt.tensor import Tensor
from smelt.tensor.elementary import isfinite
from smelt.tracing.births import Birth, Births, is_finite
from smelt.tracing.engine import no_grad

if TYPE_CHECKING:
    from smelt.compiler.artifacts import Traced


class CheckedExecutable:
    """Runs an executable, and raises NumericsError if it makes a number that is not finite.

    After the error all states, and every `.grad`, are as before the step.
    """

    def __init__(self, executable: Executable, make: Make) -> None:
        self.executable = executable
        self.traced: Traced = executable.traced
        self.name: str = executable.name
        self._entries = [binding for binding in self.traced.gradients if binding.entry is not None]
        graph = self.traced.graph
        self._new = dict(graph.updates)
        pairs = zip(graph.states, self.traced.states, strict=True)
        self._states = {node: state for node, state in pairs if node in self._new}
        self._copies = [
            Tensor(np.copy(x.stored, order="C"), x.dtype) for x in self._states.values()
        ]
        self._keep = make(trace(self._write_copies)) if self._states else None
        has_floats = any(state.dtype.is_float for state in self._states.values())
        self._look = make(trace(self._write_verdict)) if has_floats else None

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self._states.values(), self._copies, strict=True))

    def _write_copies(self, tracer: Tracer) -> tuple[list[Tensor], Any]:
        with no_grad():
            for state, copy in self._pairs():
                copy.copy_(state)
        return [], list

    def _write_verdict(self, tracer: Tracer) -> tuple[list[Tensor], Any]:
        """Counts the states in which a number was finite and is not."""
        total = None
        for state, copy in self._pairs():
            if state.dtype.is_float:
                spoilt = (isfinite(copy) & ~isfinite(state)).any().to(dtypes.int64)
                total = spoilt if total is None else total + spoilt
        assert total is not None
        return [total], operator.itemgetter(0)

    # --- running ----------------------------------------------------------------------------------

    def exclusively(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Like the executable's method."""
        return self.executable.exclusively(function, *arguments)

    def run_once(self, arguments: Sequence[Tensor]) -> Any:
        """Runs one step; returns its result."""
        return self.traced.result(self.run(arguments))

    def run(self, arguments: Sequence[Tensor]) -> list[Tensor]:
        """Runs one step; returns the tensors that its result is made of."""
        results: list[Tensor] = self.exclusively(self._run, arguments)
        return results

    def _run(self, arguments: Sequence[Tensor]) -> list[Tensor]:
        gradients = self._begin()
        results = self.executable.run(arguments)
        arrays = [result.stored for result in results]
        if not self._is_fine(arrays):
            self._examine([x.stored for x in arguments], arrays, gradients)
        return results

    def run_many(
        self,
        arguments: list[Tensor],
        steps: int,
        batches: Batches | None,
        outputs: list[np.ndarray],
    ) -> None:
        """Runs steps natively, in slices, and checks states and results after each slice.

        If a slice made something that is not finite, its steps are run again, one by one.
        """
        self.exclusively(self._run_many, arguments, steps, batches, outputs)

    def _run_many(
        self,
        arguments: list[Tensor],
        steps: int,
        batches: Batches | None,
        outputs: list[np.ndarray],
    ) -> None:
        done = 0
        while done < steps:
            count = self.executable.slice_of(steps - done)
            gradients = self._begin()
            self.executable.run_many(arguments, count, batches, outputs, done)
            if not self._is_fine([output[done : done + count] for output in outputs]):
                self._restore(gradients)
                for step in range(done, done + count):
                    self._run_single(arguments, step, batches, outputs)
            done += count

    def _run_single(
        self,
        arguments: list[Tensor],
        step: int,
        batches: Batches | None,
        outputs: list[np.ndarray],
    ) -> None:
        """Runs one step of many, and examines it if it made something that is not finite."""
        gradients = self._begin()
        self.executable.run_many(arguments, 1, batches, outputs, step)
        results = [output[step, ...] for output in outputs]
        if not self._is_fine(results):
            given = [x.stored for x in arguments] if batches is None else batches.rows(step)
            self._examine(given, results, gradients, step)

    def _begin(self) -> list[tuple[Tensor, Tensor | None]]:
        """Copies the states as the step will find them; returns every `.grad` as it was."""
        before = [(binding.tensor, binding.tensor._grad) for binding in self.traced.gradients]
        for binding in self._entries:
            binding.enter()
        if self._keep is not None:
            self._keep.run([])
        return before

    def _is_fine(self, results: Sequence[np.ndarray]) -> bool:
        """Returns whether a step made nothing that is not finite."""
        pairs = zip(results, self.traced.graph.outputs, strict=True)
        if not all(is_finite(array, node.dtype) for array, node in pairs):
            return False
        return self._look is None or not self._look.run([])[0].stored

    def _restore(self, gradients: list[tuple[Tensor, Tensor | None]]) -> None:
        for state, copy in self._pairs():
            np.copyto(state.stored, copy.stored)
        for tensor, gradient in gradients:
            tensor._grad = gradient

    # --- finding the operation --------------------------------------------------------------------

    def _examine(
        self,
        arguments: Sequence[np.ndarray],
        results: Sequence[np.ndarray],
        gradients: list[tuple[Tensor, Tensor | None]],
        step: int | None = None,
    ) -> None:
        """Runs the step again in NumPy and raises what it finds. If it finds nothing, the step
        counts as it was: the infinities that it returns were given to it.
        """
        after = [state.stored.copy() for state in self._states.values()]
        left = [(tensor, tensor._grad) for tensor, _ in gradients]
        self._restore(gradients)
        births = Births()
        graph = self.traced.graph
        values = GraphRun(births, self.traced.born).values(
            graph.roots, self._given(arguments, births)
        )
        when = f", in step {step} of this call; the steps before it are done" if step else ""
        self._raise_first(births, values, when)
        self._raise_difference(values, results, after, when)
        for state, array in zip(self._states.values(), after, strict=True):
            np.copyto(state.stored, array)
        for tensor, gradient in left:
            tensor._grad = gradient

    def _given(self, arguments: Sequence[np.ndarray], births: Births) -> dict[Node, np.ndarray]:
        """Returns the array of each leaf of the graph, as the step found it."""
        graph, given = self.traced.graph, {}
        for number, (node, array) in enumerate(zip(graph.arguments, arguments, strict=True), 1):
            given[node] = np.array(array)
            births.given(given[node], node.dtype, f"argument {number} of {self.name}")
        for node, state in zip(graph.states, self.traced.states, strict=True):
            given[node] = np.array(state.stored)
            births.given(given[node], node.dtype, self._state_name(node))
        return given

    def _reached(self) -> list[tuple[Node, str]]:
        """Returns the results and new states of a step, with their names."""
        outputs, step = self.traced.graph.outputs, self.name
        counts = [f"result {number} of {len(outputs)}" for number in range(1, len(outputs) + 1)]
        names = [f"{count if len(outputs) > 1 else 'the result'} of {step}" for count in counts]
        states = [(new, self._state_name(old)) for old, new in self._new.items()]
        return [*zip(outputs, names, strict=True), *states]

    def _state_name(self, node: Node) -> str:
        name = self.traced.state_names().get(node)
        return f"the state {name}" if name else f"a state of shape {node.shape}"

    def _raise_first(self, births: Births, values: Mapping[Node, Any], when: str) -> None:
        """Raises the error of the first operation whose numbers reached a result or a state."""
        found: list[tuple[Birth, str]] = []
        for node, name in self._reached():
            birth = births.of(values[node])
            if birth is not None:
                found.append((birth, name))
        if found:
            birth, name = min(found, key=lambda pair: pair[0].number)
            raise birth.error(name + when)

    def _raise_difference(
        self,
        values: Mapping[Node, Any],
        results: Sequence[np.ndarray],
        after: Sequence[np.ndarray],
        when: str,
    ) -> None:
        """Raises for a result that is finite when NumPy computes it."""
        for (node, name), array in zip(self._reached(), (*results, *after), strict=True):
            if is_finite(values[node], node.dtype) and not is_finite(array, node.dtype):
                raise NumericsError(_ONLY_NATIVELY.format(name + when))


_ONLY_NATIVELY = (
    "{} is not finite, but it is when NumPy computes the step: it is so close to the largest "
    "number of its dtype that the order of a sum decides. Make the numbers smaller"
)
