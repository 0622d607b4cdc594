"""`vmap`: runs a function written for one example on a whole batch, in one computation.

Inside, a tensor has the shape of one example; its data is a `Batched`, which holds the whole batch.
The engine `Batching` applies each operation once, by the card's `batch` rule, with the engine that
is current outside: the eager one, a trace, or another `vmap`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np

from smelt import tree
from smelt.autodiff.record import Function, without_history
from smelt.dtypes import DType
from smelt.errors import ArgumentError, GradientError, ShapeError, SmeltError, TraceError
from smelt.ops.op import Op, Shape, Type, normal_axis
from smelt.tensor import Tensor, as_tensor
from smelt.tracing.engine import Data, Engine, NestedEngine, context, current_engine, using

Axes = Any  # None, an int, or a tree of these that is a prefix of the tree of tensors


class Batched:
    """The data of a tensor inside `vmap`: `tensor` holds every example along its first axis."""

    __slots__ = ("engine", "shape", "tensor")
    why_abstract = (
        "inside vmap: there is one value per example. To choose by value, use smelt.where; to look "
        "at it, return the tensor from the function"
    )

    def __init__(self, tensor: Tensor, engine: Batching) -> None:
        self.tensor: Tensor = tensor
        self.engine: Batching = engine
        self.shape: Shape = tensor.shape[1:]

    @property
    def leak(self) -> str:
        """The error text for a tensor that is used outside its `vmap`."""
        return (
            f"a tensor of shape {self.shape} that was made inside vmap was used outside it; return "
            "it from the function instead of storing it"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise TraceError(self.leak)


class Batching(NestedEngine):
    """The engine inside `vmap`."""

    def __init__(self, outer: Engine, size: int) -> None:
        super().__init__(outer)
        self.size = size

    def evaluate(
        self, op: Op, operands: tuple[Tensor, ...], attributes: dict[str, Any], kind: Type
    ) -> Data:
        """Applies an operation to all examples together, or once if all share its operands."""
        batched = tuple([self.owns(operand) for operand in operands])
        with using(self.outer):
            if True not in batched:
                return self.outer.evaluate(op, operands, attributes, kind)
            return Batched(op.batch(tuple(self.physical(operands)), batched, **attributes), self)

    def owns(self, tensor: Tensor) -> bool:
        """Returns whether a tensor differs from example to example of this `vmap`."""
        return self.holds(tensor.stored)

    def holds(self, data: Data) -> bool:
        """Returns whether data differs from example to example of this `vmap`."""
        return isinstance(data, Batched) and data.engine is self

    def axes_of(self, tensors: Iterable[Tensor]) -> tuple[int | None, ...]:
        """Returns 0 for each tensor that differs from example to example, None for the others."""
        return tuple([0 if self.owns(tensor) else None for tensor in tensors])

    def physical(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        """Returns the batch behind each tensor that differs from example to example, and the other
        tensors as they are.
        """
        return [physical_of(x) if self.owns(x) else x for x in tensors]

    def literal(self, array: np.ndarray, dtype: DType) -> Data:
        """Returns a value that is the same for every example."""
        return self.outer.literal(array, dtype)

    def assign(self, target: Tensor, value: Tensor) -> None:
        """Changes state that all examples share; all must assign the same value."""
        if self.owns(target) or self.owns(value):
            raise ShapeError(
                f"copy_ inside vmap: a tensor of shape {target.shape} would need one value "
                "per example; return the new value from the function and assign it outside"
            )
        with using(self.outer):
            self.outer.assign(target, value)

    def require(
        self,
        violations: Tensor,
        message: str,
        error: type[SmeltError],
        values: Tensor | None = None,
    ) -> None:
        """Checks all examples at once."""
        if values is not None and not (self.owns(values) and self.owns(violations)):
            violations, values = violations.sum(), None
        with using(self.outer):
            if values is not None:
                physical = physical_of(violations), physical_of(values)
                self.outer.require(physical[0], message, error, physical[1])
                return
            total = physical_of(violations).sum() if self.owns(violations) else violations
            self.outer.require(total, message, error)

    def lift(self, tensor: Tensor) -> Any:
        """Returns the data of a tensor that is about to be detached, here and outside."""
        with using(self.outer):
            if self.owns(tensor):
                return Batched(physical_of(tensor).detach(), self)
            return tensor.lifted

    def note_gradient(self, tensor: Tensor, value: Tensor | None) -> None:
        """Raises an error for a `.grad` that would hold one gradient per example outside the
        `vmap`.
        """
        if value is not None and self.owns(value) and not self.owns(tensor):
            raise GradientError(
                f"backward() inside vmap would leave one gradient per example in a tensor "
                f"of shape {tensor.shape}; use smelt.grad inside vmap, or backward() outside"
            )
        super().note_gradient(tensor, value)

    def enter(self, given: Any, axis: int | None) -> Any:
        """Returns an argument as one example sees it."""
        if axis is None:
            return given
        physical = moved_axis(as_tensor(given), axis, 0)
        example = Tensor(Batched(physical, self), physical.dtype, physical.requires_grad)
        example.share_version(physical)
        return example

    def leave(self, result: Any, axis: int | None) -> Tensor:
        """Returns a result with all examples along `axis`."""
        result = as_tensor(result)
        if self.owns(result):
            if axis is None:
                raise ArgumentError(
                    "vmap: out_axes is None for a result that differs from example to example; "
                    "give the position of its batch axis, such as 0"
                )
            result = physical_of(result)
            result = result if context.grad_enabled else without_history(result)
            return moved_axis(result, 0, axis)
        if axis is None:
            return result
        return moved_axis(result.expand((self.size, *result.shape)), 0, axis)


def physical_of(tensor: Tensor) -> Tensor:
    """Returns the whole batch behind a tensor of one example."""
    return tensor.stored.tensor


def moved_axis(x: Tensor, start: int, stop: int) -> Tensor:
    """Returns `x` with axis `start` moved to position `stop`, and the other axes in order."""
    start, stop = (normal_axis(axis, x.ndim, "vmap") for axis in (start, stop))
    order = [axis for axis in range(x.ndim) if axis != start]
    order.insert(stop, start)
    return x.permute(tuple(order))


def vmap(function: Function, in_axes: Axes = 0, out_axes: Axes = 0) -> Function:
    """Returns a function that applies `function` to every example of a batch, all in one
    computation.

    Args:
        function: written for one example; takes and returns trees of Tensors.
        in_axes: the batch axis of each positional argument: an axis, None for an argument that all
            examples share, or a tuple with one entry per argument (each again an axis, None, or a
            tree that begins like the argument). Keyword arguments are shared.
        out_axes: the batch axis of the results, in the same way.

    Returns:
        A function of the same arguments with their batch axes.

    Random numbers drawn inside are the same for every example (there is one generator); to have
    different ones, draw them outside and pass them in. State changed inside by `copy_` is changed
    once.

    Raises:
        ArgumentError: `in_axes` or `out_axes` does not fit, or no argument has a batch axis.
        ShapeError: the batches have different sizes, or shared state would get a value per example.
    """

    def mapped(*arguments: Any, **options: Any) -> Any:
        leaves, structure = tree.flatten(arguments)
        axes = axes_of_leaves(in_axes, arguments, "in_axes")
        engine = Batching(current_engine(), _batch_size(leaves, axes))
        examples = [engine.enter(leaf, axis) for leaf, axis in zip(leaves, axes, strict=True)]
        with using(engine):
            result = function(*tree.unflatten(structure, examples), **options)
        results, form = tree.flatten(result)
        axes = axes_of_leaves(out_axes, result, "out_axes")
        pairs = zip(results, axes, strict=True)
        return tree.unflatten(form, [engine.leave(leaf, axis) for leaf, axis in pairs])

    return mapped


def axes_of_leaves(axes: Axes, value: Any, what: str) -> list[int | None]:
    """Returns one axis per leaf of `value`; `axes` is a prefix of its tree."""
    result: list[int | None] = []
    stack = [(axes, value)]
    while stack:
        given, part = stack.pop()
        if given is None or (isinstance(given, int) and not isinstance(given, bool)):
            result += [given] * len(tree.flatten(part)[0])
        elif isinstance(given, (tuple, list)) and isinstance(part, (tuple, list)):
            _check_fits(len(given) == len(part), given, part, what)
            stack += reversed(list(zip(given, part, strict=True)))
        else:
            is_dict = isinstance(given, dict) and isinstance(part, dict)
            _check_fits(is_dict and given.keys() == part.keys(), given, part, what)
            stack += [(given[key], part[key]) for key in reversed(tree.ordered_keys(part))]
    return result


def _check_fits(fits: bool, axes: Any, value: Any, what: str) -> None:
    if not fits:
        raise ArgumentError(
            f"vmap: {what} {axes!r} does not fit {_described(value)}; give an axis or None for each"
        )


def _described(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a dict of {sorted(value)}" if isinstance(value, dict) else f"a {type(value).__name__}"


def _batch_size(leaves: list[Any], axes: list[int | None]) -> int:
    sizes: dict[int, str] = {}
    for index, (leaf, axis) in enumerate(zip(leaves, axes, strict=True)):
        if axis is not None:
            shape = as_tensor(leaf).shape
            if not -len(shape) <= axis < len(shape):
                raise ArgumentError(
                    f"vmap: argument tensor {index} has shape {shape}, which has no axis {axis}; "
                    "use in_axes=None for arguments that all examples share"
                )
            sizes.setdefault(shape[axis], f"{shape[axis]} (tensor {index}, shape {shape})")
    if not sizes:
        raise ArgumentError(
            "vmap: no argument has a batch axis, so the batch has no size; pass a tensor, and give "
            "its batch axis in in_axes"
        )
    if len(sizes) > 1:
        raise ShapeError(
            f"vmap: the arguments' batches differ in size: {' and '.join(sizes.values())}"
        )
    return next(iter(sizes))
