"""The two walks over a tensor's tape: gradients backward, tangents forward.

Both use the rules on the cards and nothing else. The rules are written with Tensors, so the result
of a walk is itself a tensor with a history (when wanted): gradients of gradients need no code of
their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from smelt.errors import GradientError
from smelt.ir.postorder import postorder
from smelt.location import inside_derivative, inside_module
from smelt.tracing.engine import EAGER, current_engine
from smelt.tracing.origin import derivative_of

if TYPE_CHECKING:
    from smelt.tensor import Tensor
    from smelt.tracing.apply import TapeEntry


def tape_of(roots: Iterable[Tensor]) -> list[Tensor]:
    """Returns every tensor with a gradient below `roots`, operands before users."""
    return postorder((root for root in roots if root.requires_grad), _operands)


def _operands(tensor: Tensor) -> list[Tensor]:
    """Returns what a tensor with a gradient was computed from, as far as that has one."""
    entry = tensor.tape_entry
    return [] if entry is None else [x for x in entry.inputs if x.requires_grad]


def reverse_walk(
    outputs: tuple[Tensor, ...],
    cotangents: tuple[Tensor, ...],
    wanted: set[int] | None = None,
    versions: Mapping[int, int] | None = None,
) -> dict[int, Tensor]:
    """Walks backward from `outputs` and returns gradients, keyed by `id`.

    Those of every leaf; or, when `wanted` names tensors (by id, leaves or not), those of exactly
    these as if each were independent: the walk ends there, and leaves out what depends on none.

    `versions` are those of tensors (by id) when the trace ended whose tape this is: what has become
    of its states since does not matter.
    """
    current_engine().note_delivered(outputs, "a result that is differentiated")
    stops = wanted or set()
    gradients: dict[int, Tensor] = {}
    for output, cotangent in zip(outputs, cotangents, strict=True):
        _accumulate(gradients, output, cotangent)
    order = tape_of(outputs)
    needed = _leading_to(order, wanted)
    for tensor in reversed(order):
        reached = id(tensor) in gradients and id(tensor) in needed
        if tensor.tape_entry is None or not reached or id(tensor) in stops:
            continue
        _check_unchanged(tensor, versions or {})
        with _differentiating("backward", tensor.tape_entry):
            operand_gradients = _vjp(tensor, gradients.pop(id(tensor)), needed)
            pairs = zip(tensor.tape_entry.inputs, operand_gradients, strict=True)
            for operand, gradient in pairs:
                if gradient is not None and id(operand) in needed:
                    _accumulate(gradients, operand, gradient)
    return gradients


def _leading_to(order: list[Tensor], wanted: set[int] | None) -> set[int]:
    """Returns the ids of the tensors of a history that are wanted or computed from a wanted one."""
    if wanted is None:
        return {id(tensor) for tensor in order}
    found: set[int] = set()
    for tensor in order:
        if id(tensor) in wanted or any(id(operand) in found for operand in _operands(tensor)):
            found.add(id(tensor))
    return found


def _vjp(tensor: Tensor, g: Tensor, needed: set[int]) -> tuple[Any, ...]:
    entry = tensor.tape_entry
    assert entry is not None
    if not any(id(operand) in needed for operand in entry.inputs):
        return (None,) * len(entry.inputs)
    needs = tuple(id(operand) in needed for operand in entry.inputs)
    return entry.op.vjp(g, needs, tensor, *entry.inputs, **entry.attributes)


def _differentiating(walk: str, entry: TapeEntry) -> AbstractContextManager[None]:
    """Within the block a rule of an entry's operation runs; errors and nodes name it."""
    if current_engine() is EAGER:
        return inside_module(entry.module)
    return inside_derivative(derivative_of(walk, entry.op.name, entry.origin), entry.module)


def _accumulate(gradients: dict[int, Tensor], tensor: Tensor, gradient: Tensor) -> None:
    gradient = unbroadcast(gradient, tensor.shape)
    before = gradients.get(id(tensor))
    gradients[id(tensor)] = gradient if before is None else before + gradient


def unbroadcast(gradient: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Sums a gradient over the axes along which its operand was broadcast: once, for every rule."""
    if gradient.shape == shape:
        return gradient
    extra = gradient.ndim - len(shape)
    stretched = tuple(
        extra + axis
        for axis, extent in enumerate(shape)
        if extent == 1 and gradient.shape[extra + axis] != 1
    )
    return gradient.sum((*range(extra), *stretched)).reshape(shape)


def forward_walk(
    outputs: tuple[Tensor, ...],
    tangents: Mapping[int, Tensor],
    versions: Mapping[int, int] | None = None,
) -> list[Tensor | None]:
    """Walks forward from the tensors that have `tangents` (by id) and returns those of `outputs`.

    None stands for a zero tangent. `versions` as in `reverse_walk`.
    """
    known: dict[int, Tensor | None] = dict(tangents)
    for tensor in tape_of(outputs):
        entry = tensor.tape_entry
        if entry is None or id(tensor) in known:
            continue
        moving = tuple(known.get(id(operand)) for operand in entry.inputs)
        if any(tangent is not None for tangent in moving):
            _check_unchanged(tensor, versions or {})
            known[id(tensor)] = _jvp(tensor, moving)
    return [known.get(id(output)) for output in outputs]


def _jvp(tensor: Tensor, moving: tuple[Tensor | None, ...]) -> Tensor | None:
    entry = tensor.tape_entry
    assert entry is not None
    with _differentiating("forward derivative", entry):
        tangent = entry.op.jvp(moving, tensor, *entry.inputs, **entry.attributes)
        if tangent is not None and tangent.shape != tensor.shape:
            tangent = tangent.broadcast_to(tensor.shape)
    return tangent


def _check_unchanged(tensor: Tensor, versions: Mapping[int, int]) -> None:
    entry = tensor.tape_entry
    assert entry is not None
    for operand, version in zip(entry.inputs, entry.versions, strict=True):
        if versions.get(id(operand), operand.version) != version:
            raise GradientError(
                f"{entry.op.name}: an operand of shape {operand.shape} was changed in place "
                "after it was used, so the derivative would be wrong; take the gradient before "
                "the change"
            )
