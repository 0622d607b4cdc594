"""`backward`: adds the gradient of a tensor to `.grad` of the leaves that it was computed from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smelt.errors import GradientError, ShapeError
from smelt.tracing.apply import as_tensor, repeated
from smelt.tracing.engine import current_engine, enable_grad, no_grad
from smelt.tracing.hooks import exchanged, hooked
from smelt.tracing.walk import reverse_walk, tape_of

if TYPE_CHECKING:
    from smelt.tensor import Tensor


def backward(loss: Tensor, gradient: Tensor | None = None, create_graph: bool = False) -> None:
    """Adds the gradient of `loss` to `.grad` of every leaf that it was computed from.

    Args:
        loss: a scalar, or any shape when `gradient` is given.
        gradient: the gradient of `loss` itself, of its shape; 1 for a scalar.
        create_graph: keep the history of the gradients, so that they can be differentiated again.

    Raises:
        GradientError: `loss` was not computed from a tensor that requires a gradient.
        ShapeError: `loss` is not one number and no `gradient` was given, or it has another shape.
    """
    current_engine().lift(loss)  # raises for a loss that has left its trace
    if not loss.requires_grad:
        raise GradientError(
            "backward: this tensor was not computed from anything that requires a gradient; call "
            "requires_grad_() on an input, and do not compute the tensor under no_grad(). The "
            "result of a compiled training step has no history: call backward() inside the step"
        )
    with enable_grad() if create_graph else no_grad():
        order = tape_of((loss,))
        gradients = reverse_walk((loss,), (seed(loss, gradient),), order=order)
        found = []
        for leaf in order:
            total = gradients.get(id(leaf)) if leaf.tape_entry is None else None
            if total is not None:
                found.append((leaf, hooked(leaf, total)))
        for leaf, total in exchanged(found):
            leaf.grad = total if leaf.grad is None else leaf.grad + total


def seed(output: Tensor, gradient: Tensor | None, what: str = "backward") -> Tensor:
    """Returns the gradient that a walk starts with; `what` is the function named in errors."""
    if gradient is None:
        if output.size != 1:
            raise ShapeError(
                f"{what}: the loss must be one number, got shape {output.shape}; reduce it with "
                ".mean() or .sum()"
            )
        return repeated(1, output.shape, output.dtype)
    gradient = as_tensor(gradient, output.dtype)
    if gradient.shape != output.shape:
        raise ShapeError(
            f"{what}: the gradient must have the shape of the result, {output.shape}, got "
            f"{gradient.shape}"
        )
    return gradient.to(output.dtype)
