"""One run of a function on fresh inputs, with its history: the start of every derivative.

Fresh inputs keep derivatives apart. Tangents and gradients belong to tensors by identity, and each
recording makes its own tensors, so nested derivatives cannot be confused ("perturbation
confusion").
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

from smelt import tree
from smelt.block import Block
from smelt.errors import ArgumentError, DTypeError, GradientError, ShapeError
from smelt.location import warn
from smelt.ops.movement import reshape
from smelt.tensor import Tensor, as_tensor
from smelt.tracing.apply import TapeEntry, repeated
from smelt.tracing.engine import context, enable_grad, no_grad
from smelt.tracing.walk import forward_walk, reverse_walk, tape_of

Function = Callable[..., Any]


class _Expected(threading.local):
    zeros = False


_expected = _Expected()


def expected_zeros() -> Block:
    """Within the block, a derivative that is zero everywhere causes no warning."""
    return Block(_expected, zeros=True)


def _warn_of_zero(what: str, which: str, reason: str) -> None:
    if not _expected.zeros:
        warn(f"{what}: {which} is {reason}, so its derivative is zero")


class RecordedInput(Tensor):
    """The stand-in for an argument of the function that is differentiated.

    It records whether it was read. It is not a variable: `x += 1` makes a new tensor.
    """

    __slots__ = ("was_read",)
    is_variable = False

    def __init__(self, x: Tensor) -> None:
        self.was_read: bool = False
        super().__init__(x.stored, x.dtype, requires_grad=True)
        self.tape_entry: TapeEntry | None = x.tape_entry  # without one it is a leaf
        self.share_version(x)

    @property
    def stored(self) -> Any:
        """The array or graph node behind it."""
        self.was_read = True
        return super().stored


class Recording:
    """One run of a function: its fresh `inputs`, its `value`, and how to walk between them."""

    def __init__(
        self,
        what: str,
        function: Function,
        numbers: tuple[int, ...],
        arguments: tuple[Any, ...],
        options: dict[str, Any],
    ) -> None:
        """Runs `function(*arguments, **options)`; the arguments at `numbers` are differentiated.

        `what` is the name of the derivative in errors.
        """
        self.what = what
        self.inputs: list[Tensor] = []
        self.structures: list[tuple[int, tree.Structure]] = []
        given: list[Tensor] = []
        chosen = list(arguments)
        for argnum in numbers:
            leaves, structure = tree.flatten(_argument(what, arguments, argnum))
            tensors = [as_tensor(leaf) for leaf in leaves]
            fresh = [tracked(x, what) for x in tensors]
            given += tensors
            self.inputs += fresh
            self.structures.append((len(fresh), structure))
            chosen[argnum] = tree.unflatten(structure, fresh)
        self._own = {id(x) for x in self.inputs}
        ends = context.ends
        with enable_grad():
            self.value: Any = function(*chosen, **options)
        self._may_be_cut = context.ends == ends
        self._check_used(given)

    def _check_used(self, given: list[Tensor]) -> None:
        """Warns of inputs that the function did not use.

        If it read the very tensor that was passed from outside instead, as a model reads its
        parameters, the gradient would silently be zero, so that is an error.
        """
        results = [leaf for leaf in tree.flatten(self.value)[0] if isinstance(leaf, Tensor)]
        returned = set(map(id, results))
        unused = [_is_idle(x) and id(x) not in returned for x in self.inputs]
        if not results or not any(unused):
            return
        used = {id(x) for x, idle in zip(given, unused, strict=True) if not idle}
        captured = set(map(id, tape_of(results))) - used
        for number, (x, idle) in enumerate(zip(given, unused, strict=True), 1):
            if not idle:
                continue
            which = self._which(number)
            if id(x) in captured:
                raise GradientError(
                    f"{self.what}: {which} is unused: the function reads this tensor from outside "
                    "instead of its argument. Compute with the argument, or call backward() on the "
                    "result and read .grad"
                )
            reason = "unused: the function computes nothing from it"
            _warn_of_zero(self.what, which, reason)

    def _which(self, number: int) -> str:
        x = self.inputs[number - 1]
        return f"input {number} of {len(self.inputs)}, {x.dtype.name} {x.shape},"

    def _check_connected(self) -> None:
        """Warns, once, of inputs that the function used only where no derivative flows."""
        if not self._may_be_cut:
            return
        self._may_be_cut = False
        results = [leaf for leaf in tree.flatten(self.value)[0] if isinstance(leaf, Tensor)]
        connected = set(map(id, tape_of(results)))
        for number, x in enumerate(self.inputs, 1):
            if id(x) not in connected and x.size and not _is_idle(x):
                reason = (
                    "used only where no derivative flows (detach(), no_grad(), item(), a "
                    "comparison, a cast to integers)"
                )
                _warn_of_zero(self.what, self._which(number), reason)

    def split_aux(self, has_aux: bool) -> tuple[Any, Any]:
        """Returns the part of the value to differentiate, and the auxiliary rest."""
        if not has_aux:
            return self.value, None
        if not isinstance(self.value, (tuple, list)) or len(self.value) != 2:
            raise ArgumentError(
                f"{self.what}: with has_aux=True the function must return a pair (result, aux), "
                f"got a {type(self.value).__name__}"
            )
        return self.value[0], self.value[1]

    def vjp(self, outputs: tuple[Tensor, ...], cotangents: tuple[Tensor, ...]) -> list[Tensor]:
        """Returns the gradient of each input; zeros where `outputs` do not depend on it."""
        with self._history_if_lasting((*outputs, *cotangents)):
            gradients = reverse_walk(outputs, cotangents, self._own)
            if not self._own <= gradients.keys():
                self._check_connected()
            return [gradients[id(x)] if id(x) in gradients else zeros_like(x) for x in self.inputs]

    def jvp(self, outputs: tuple[Tensor, ...], tangents: Iterable[Tensor]) -> list[Tensor]:
        """Returns the tangent of each output, given those of the inputs; zeros if there is none."""
        tangents = tuple(tangents)
        with self._history_if_lasting((*outputs, *tangents)):
            given = {id(x): tangent for x, tangent in zip(self.inputs, tangents, strict=True)}
            found = forward_walk(outputs, given)
            if any(tangent is None for tangent in found):
                self._check_connected()
            results = zip(outputs, found, strict=True)
            return [zeros_like(y) if tangent is None else tangent for y, tangent in results]

    def released(self, result: Any) -> Any:
        """Returns a result without its history, unless that leads beyond the recording's own
        inputs.

        It does if a captured parameter, or an outer derivative, needs it.
        """
        if not isinstance(result, Tensor) or not result.requires_grad:
            return result
        captured = result.tape_entry is None and id(result) not in self._own
        return result if captured or self._lasts((result,)) else without_history(result)

    def arguments_of(self, leaves: list[Any]) -> tuple[Any, ...]:
        """Groups values, one per input tensor, into one tree per argument."""
        result, start = [], 0
        for count, structure in self.structures:
            result.append(tree.unflatten(structure, leaves[start : start + count]))
            start += count
        return tuple(result)

    def _lasts(self, tensors: tuple[Tensor, ...]) -> bool:
        return context.grad_enabled and any(
            tensor.tape_entry is None and id(tensor) not in self._own for tensor in tape_of(tensors)
        )

    def _history_if_lasting(self, tensors: tuple[Tensor, ...]) -> Any:
        return nullcontext() if self._lasts(tensors) else no_grad()


def _is_idle(x: Tensor) -> bool:
    return isinstance(x, RecordedInput) and not x.was_read and x.size > 0


def _argument(what: str, arguments: tuple[Any, ...], argnum: int) -> Any:
    if not -len(arguments) <= argnum < len(arguments):
        raise ArgumentError(
            f"{what}: argnums names argument {argnum}, but the function was called with "
            f"{len(arguments)} positional arguments"
        )
    return arguments[argnum]


def tracked(x: Tensor, what: str) -> RecordedInput:
    """Returns `x` as a new tensor that requires a gradient and keeps its history."""
    if not x.dtype.is_float:
        raise DTypeError(
            f"{what}: only float tensors have derivatives, got {x.dtype.name} {x.shape}; "
            "pass a float (3.0 instead of 3) or cast it with .to(smelt.float32)"
        )
    return RecordedInput(reshape(x, shape=x.shape))


def without_history(x: Tensor) -> Tensor:
    """Returns the same data as a tensor without a history.

    Unlike this, `detach` also stops gradients of a derivative outside a `vmap`.
    """
    bare = Tensor(x.stored, x.dtype)
    bare.share_version(x)
    return bare


def output_tensors(value: Any) -> tuple[tuple[Tensor, ...], tree.Structure]:
    """Returns the results of a function as Tensors, and their tree."""
    leaves, structure = tree.flatten(value)
    return tuple(as_tensor(leaf) for leaf in leaves), structure


def matching(
    what: str, given: Any, structure: tree.Structure, likes: Iterable[Tensor]
) -> tuple[Tensor, ...]:
    """Returns the leaves of `given` as Tensors; each must have the shape and dtype of its `like`.

    Raises ArgumentError when its tree is not `structure`, ShapeError or DTypeError when a leaf
    differs.
    """
    leaves, actual = tree.flatten(given)
    if actual != structure:
        raise ArgumentError(
            f"{what} must form the same tree as the values they belong to, but "
            f"{tree.difference(structure, actual)}"
        )
    return tuple(_alike(what, leaf, like) for leaf, like in zip(leaves, likes, strict=True))


def _alike(what: str, given: Any, like: Tensor) -> Tensor:
    tensor = as_tensor(given, like.dtype)
    if tensor.shape != like.shape:
        raise ShapeError(f"{what}: got shape {tensor.shape} for a value of shape {like.shape}")
    if tensor.dtype is not like.dtype:
        raise DTypeError(
            f"{what}: got {tensor.dtype.name} for a value of {like.dtype.name}; cast it"
        )
    return tensor


def zeros_like(x: Tensor) -> Tensor:
    """Returns a constant of zeros with the shape and dtype of `x`."""
    return repeated(0, x.shape, x.dtype)


def ones_like(x: Tensor) -> Tensor:
    """Returns a constant of ones with the shape and dtype of `x`."""
    return repeated(1, x.shape, x.dtype)
