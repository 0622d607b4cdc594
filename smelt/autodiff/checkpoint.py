"""`checkpoint`: saves memory by recomputing a part of the computation for its gradient.

This part becomes one operation of the history. Its rules run the function again and walk that run's
history, so gradients of any order, forward mode, `vmap` and compiled steps need no extra code. In a
compiled step, an optimization barrier keeps the second run from being merged with the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from smelt import tree
from smelt.autodiff.record import Function, without_history
from smelt.dtypes import DType
from smelt.errors import ArgumentError, SmeltError
from smelt.ops.barrier import optimization_barrier
from smelt.ops.movement import concatenate
from smelt.ops.op import Op, Type
from smelt.tensor import Tensor
from smelt.tracing.apply import TapeEntry, tape_mark
from smelt.tracing.engine import (
    Data,
    Engine,
    NestedEngine,
    context,
    current_engine,
    enable_grad,
    no_grad,
    using,
)
from smelt.tracing.walk import forward_walk, reverse_walk, tape_of

Changes = dict[int, tuple[Tensor, Tensor]]  # by id: a state that was changed, and its value before


def checkpoint(function: Function, *arguments: Any, **options: Any) -> Any:
    """Returns `function(*arguments, **options)`, which is computed again for its gradient.

    This trades arithmetic for memory: between forward and backward only the arguments and results
    are kept, no intermediate values. The second run uses the same random numbers and state
    (batch-norm statistics) as the first, and they are changed only once.

    Args:
        function: takes and returns trees of Tensors; may use other parameters. It must compute the
            same when it is called again.
        arguments: its positional arguments.
        options: its keyword arguments.

    Raises:
        ArgumentError: the results that need a gradient have different dtypes.
    """
    if not context.grad_enabled:
        return function(*arguments, **options)
    return Segment(function, arguments, options).run()


class Segment(Op):
    """A part of a computation as one operation; its inputs are all tensors that it depends on."""

    leaves: list[Any]
    structure: tree.Structure

    def __init__(
        self, function: Function, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        self.name = "checkpoint"  # not in the registry: it only lives as long as its results
        self.function = function
        self.leaves, self.structure = tree.flatten(arguments)
        self.options = options
        self.changes: Changes = {}

    def run(self) -> Any:
        """Returns the function's results, each with this segment as its only history."""
        mark = tape_mark()
        with using(RecordingEngine(current_engine(), self.changes)):
            value = self._call(self.leaves)
        leaves, structure = tree.flatten(value)
        computed = [leaf for leaf in leaves if _is_computed(leaf, mark)]
        inputs = _inputs_of(computed, mark)
        if not inputs:
            return value
        flat = without_history(_concatenated(computed))
        flat.requires_grad, flat.tape_entry = True, TapeEntry(self, inputs, {})
        results = iter(_split(flat, computed))
        return tree.unflatten(
            structure, [next(results) if _is_computed(leaf, mark) else leaf for leaf in leaves]
        )

    def vjp(
        self, g: Any, needs: tuple[bool, ...], output: Any, *inputs: Any, **attributes: Any
    ) -> tuple[Any, ...]:
        flat, primals = self._recompute(g, inputs)
        wanted = {id(x) for x, needed in zip(primals, needs, strict=True) if needed}
        gradients = reverse_walk((flat,), (g,), wanted)
        return tuple([gradients.get(id(x)) if id(x) in wanted else None for x in primals])

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        arrived = next(tangent for tangent in tangents if tangent is not None)
        flat, primals = self._recompute(arrived, inputs)
        pairs = zip(primals, tangents, strict=True)
        return forward_walk((flat,), {id(x): t for x, t in pairs if t is not None})[0]

    def _recompute(
        self, arrived: Tensor, inputs: tuple[Tensor, ...]
    ) -> tuple[Tensor, list[Tensor]]:
        """Runs the function again; returns its concatenated results, and each input's stand-in."""
        delayed = {
            id(leaf): _delayed(leaf, arrived) for leaf in self.leaves if isinstance(leaf, Tensor)
        }
        mark = tape_mark()
        with enable_grad(), _restored(self.changes):
            value = self._call([delayed.get(id(leaf), leaf) for leaf in self.leaves])
            flat = _concatenated(
                [leaf for leaf in tree.flatten(value)[0] if _is_computed(leaf, mark)]
            )
        return flat, [delayed.get(id(x), x) for x in inputs]

    def _call(self, leaves: list[Any]) -> Any:
        return self.function(*tree.unflatten(self.structure, leaves), **self.options)


def _is_computed(value: Any, mark: int) -> bool:
    """Whether a result was computed since `mark` from something that requires a gradient."""
    return (
        isinstance(value, Tensor)
        and value.tape_entry is not None
        and value.tape_entry.sequence_number >= mark
    )


def _inputs_of(computed: list[Tensor], mark: int) -> tuple[Tensor, ...]:
    """Returns the tensors from before `mark` that were used and require a gradient."""
    inputs: dict[int, Tensor] = {}
    for tensor in tape_of(computed):
        if _is_computed(tensor, mark) and tensor.tape_entry is not None:
            for operand in tensor.tape_entry.inputs:
                if operand.requires_grad and not _is_computed(operand, mark):
                    inputs[id(operand)] = operand
    return tuple(inputs.values())


def _delayed(x: Tensor, arrived: Tensor) -> Tensor:
    """Returns `x` for the second run: it depends on `arrived`, the incoming gradient."""
    with no_grad():
        first = arrived.reshape(-1)[:1].sum()
    delayed = optimization_barrier(x, first)
    delayed.requires_grad = x.requires_grad
    return delayed


def _concatenated(tensors: list[Tensor]) -> Tensor:
    if len(tensors) == 1:
        return tensors[0]
    names = {tensor.dtype.name for tensor in tensors}
    if len(names) > 1:
        raise ArgumentError(
            f"checkpoint: results that need a gradient must have the same dtype, got "
            f"{', '.join(sorted(names))}; cast them to one"
        )
    return concatenate(*[tensor.reshape(-1) for tensor in tensors], axis=0)


def _split(flat: Tensor, likes: list[Tensor]) -> list[Tensor]:
    if len(likes) == 1:
        return [flat]
    tensors, start = [], 0
    for like in likes:
        tensors.append(flat[start : start + like.size].reshape(like.shape))
        start += like.size
    return tensors


class RecordingEngine(NestedEngine):
    """The engine of the first run: the outer one, with a record of every state that changes.

    It also tells a surrounding loop what not to save for its gradient.
    """

    def __init__(self, outer: Engine, changes: Changes) -> None:
        super().__init__(outer)
        self.changes = changes

    def evaluate(
        self, op: Op, operands: tuple[Tensor, ...], attributes: dict[str, Any], kind: Type
    ) -> Data:
        """As the outer engine, which is told that the result will be recomputed."""
        data = self.outer.evaluate(op, operands, attributes, kind)
        self.outer.note_computed_again(data)
        return data

    def literal(self, array: np.ndarray, dtype: DType) -> Data:
        """As the outer engine."""
        return self.outer.literal(array, dtype)

    def assign(self, target: Tensor, value: Tensor) -> None:
        """As the outer engine, after a copy of the old contents."""
        if id(target) not in self.changes:
            self.changes[id(target)] = (target, _copied(target))
        self.outer.assign(target, value)

    def require(
        self,
        violations: Tensor,
        message: str,
        error: type[SmeltError],
        values: Tensor | None = None,
    ) -> None:
        """As the outer engine."""
        self.outer.require(violations, message, error, values)


def _copied(x: Tensor) -> Tensor:
    with no_grad():
        return concatenate(x.reshape(-1), axis=0).reshape(x.shape)  # new memory, in every engine


@contextmanager
def _restored(changes: Changes) -> Iterator[None]:
    """Within the block, states are as before the first run; afterwards, as before the block."""
    after = [(target, _copied(target), target.version) for target, _ in changes.values()]
    try:
        for target, before in changes.values():
            current_engine().assign(target, before)
        yield
    finally:
        for target, now, version in after:
            current_engine().assign(target, now)
            target._version[0] = version
