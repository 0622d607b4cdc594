"""The two walks over a tensor's tape: gradients backward, tangents forward.

Both use only the rules on the cards. The rules are written with Tensors, so the result of a walk
is itself a tensor with a history, if needed: gradients of gradients need no extra code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from smelt.errors import GradientError
from smelt.ir.graph import Derivative
from smelt.ir.postorder import postorder
from smelt.location import running
from smelt.tracing.engine import EAGER, context, current_engine
from smelt.tracing.hooks import hooked

if TYPE_CHECKING:
    from smelt.tensor import Tensor
    from smelt.tracing.apply import TapeEntry


def tape_of(roots: Iterable[Tensor]) -> list[Tensor]:
    """Returns the roots and all tensors they depend on that require a gradient, operands first."""
    return postorder((root for root in roots if root.requires_grad), _operands)


def _operands(tensor: Tensor) -> list[Tensor]:
    """Returns the operands of a tensor that require a gradient."""
    entry = tensor.tape_entry
    return [] if entry is None else [x for x in entry.inputs if x.requires_grad]


class Part(Protocol):
    """A gradient that is zero outside a part of its tensor."""

    def total(self, parts: list[Any], tensor: Tensor) -> Tensor:
        """Returns the sum of parts, of which this is the first, as a gradient of the tensor."""


class Gradients:
    """The gradients that a walk has found so far, by the id of their tensor.

    Parts are collected until all have arrived: adding them one at a time would take quadratic time.
    """

    def __init__(self) -> None:
        self.found: dict[int, Tensor] = {}
        self._parts: dict[int, tuple[Tensor, list[Any]]] = {}

    def add(self, tensor: Tensor, gradient: Any) -> None:
        """Adds a gradient, of the shape that the tensor was broadcast to, or a part of one."""
        key = id(tensor)
        if hasattr(type(gradient), "total"):  # on a tensor itself, hasattr would look up a hint
            self._parts.setdefault(key, (tensor, []))[1].append(gradient)
            return
        if gradient.shape != tensor.shape:
            gradient = unbroadcast(gradient, tensor.shape)
        before = self.found.get(key)
        self.found[key] = gradient if before is None else before + gradient

    def pop(self, tensor: Tensor) -> Tensor | None:
        """Removes and returns the gradient of a tensor; None if there is none."""
        self._settle(id(tensor))
        return self.found.pop(id(tensor), None)

    def settled(self) -> dict[int, Tensor]:
        """Returns all gradients."""
        for key in list(self._parts):
            self._settle(key)
        return self.found

    def _settle(self, key: int) -> None:
        if key in self._parts:
            tensor, parts = self._parts.pop(key)
            self.add(tensor, parts[0].total(parts, tensor))


def reverse_walk(
    outputs: tuple[Tensor, ...],
    cotangents: tuple[Tensor, ...],
    wanted: set[int] | None = None,
    versions: Mapping[int, int] | None = None,
    order: list[Tensor] | None = None,
    stops: bool = True,
) -> dict[int, Tensor]:
    """Walks backward from `outputs` and returns gradients, keyed by `id`.

    By default it returns those of all leaves. If `wanted` names tensors (by id, leaves or not), it
    returns those of exactly these, as if each were independent: the walk stops there, and skips
    what depends on none of them. Without `stops`, it walks through wanted tensors that were
    computed, and returns only the gradients of leaves.

    `versions` are the versions of tensors (by id) at the end of the trace that this tape belongs
    to, so that later changes of its states do not matter. `order` is `tape_of(outputs)`, if known.
    """
    context.ends += 1  # the derivative of 3 x does not depend on x
    current_engine().note_delivered(outputs, "a result that is differentiated")
    ends = wanted if wanted and stops else set()
    gradients = Gradients()
    for output, cotangent in zip(outputs, cotangents, strict=True):
        gradients.add(output, cotangent)
    order = tape_of(outputs) if order is None else order
    needed = _leading_to(order, wanted)
    for tensor in reversed(order):
        entry = tensor.tape_entry
        if entry is None or id(tensor) not in needed or id(tensor) in ends:
            continue
        gradient = gradients.pop(tensor)
        if gradient is None:
            continue
        gradient = hooked(tensor, gradient)
        _check_unchanged(entry, versions)
        needs = tuple([id(operand) in needed for operand in entry.inputs])
        if True not in needs:
            continue
        before = running.modules, running.derivative
        try:
            _name_rule("backward", entry)
            found = entry.op.vjp(gradient, needs, tensor, *entry.inputs, **entry.attributes)
            for operand, part in zip(entry.inputs, found, strict=True):
                if part is not None and id(operand) in needed:
                    gradients.add(operand, part)
        finally:
            running.modules, running.derivative = before
    return gradients.settled()


def _leading_to(order: list[Tensor], wanted: set[int] | None) -> set[int]:
    """Returns the ids of tensors that are wanted, or computed from a wanted one."""
    if wanted is None:
        return set(map(id, order))
    found: set[int] = set()
    for tensor in order:
        entry = tensor.tape_entry
        inputs = () if entry is None else entry.inputs
        if id(tensor) in wanted or any(id(x) in found for x in inputs if x.requires_grad):
            found.add(id(tensor))
    return found


def _name_rule(walk: str, entry: TapeEntry) -> None:
    """Records which operation's rule is about to run, for errors and the origins of nodes."""
    running.modules = [entry.module] if entry.module else []
    if context.engine is not EAGER and current_engine() is not EAGER:
        running.derivative = Derivative(walk, entry.op.name, entry.origin)


def unbroadcast(gradient: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Sums a gradient over the axes along which its operand was broadcast; no rule needs to."""
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

    None stands for a zero tangent. For `versions` see `reverse_walk`.
    """
    context.ends += 1  # the derivative of 3 x does not depend on x
    known: dict[int, Tensor | None] = dict(tangents)
    for tensor in tape_of(outputs):
        entry = tensor.tape_entry
        if entry is None or id(tensor) in known:
            continue
        moving = tuple(known.get(id(operand)) for operand in entry.inputs)
        if any(tangent is not None for tangent in moving):
            _check_unchanged(entry, versions)
            known[id(tensor)] = _jvp(tensor, moving)
    return [known.get(id(output)) for output in outputs]


def _jvp(tensor: Tensor, moving: tuple[Tensor | None, ...]) -> Tensor | None:
    entry = tensor.tape_entry
    assert entry is not None
    before = running.modules, running.derivative
    try:
        _name_rule("forward derivative", entry)
        tangent = entry.op.jvp(moving, tensor, *entry.inputs, **entry.attributes)
        if tangent is not None and tangent.shape != tensor.shape:
            tangent = tangent.broadcast_to(tensor.shape)
    finally:
        running.modules, running.derivative = before
    return tangent


def _check_unchanged(entry: TapeEntry, versions: Mapping[int, int] | None) -> None:
    """Raises GradientError for an operand that the rules read, if its value has changed since."""
    unread = 1 if entry.op.linear_operands == 1 else 0  # linear in the first: rules do not read it
    for operand, version in list(zip(entry.inputs, entry.versions, strict=True))[unread:]:
        present = operand._version[0]
        if versions:
            present = versions.get(id(operand), present)
        if present != version:
            raise GradientError(
                f"{entry.op.name}: an operand of shape {operand.shape} was changed in place "
                "after it was used, so the derivative would be wrong; take the gradient before "
                "the change"
            )
