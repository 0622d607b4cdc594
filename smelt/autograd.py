"""PyTorch's `autograd`: gradients of tensors that have been computed already.

`smelt.grad` takes a function instead, which is more readable for compiled code and higher
derivatives.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from smelt.autodiff.check import gradcheck
from smelt.errors import ArgumentError, GradientError
from smelt.pytorch_names import install as _install
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor
from smelt.tensor.checked import checked_names as _checked_names
from smelt.tracing.backward import backward as backward_from
from smelt.tracing.backward import seed
from smelt.tracing.engine import enable_grad, no_grad
from smelt.tracing.hooks import add_hook, hooked
from smelt.tracing.walk import reverse_walk

__all__ = ["Variable", "backward", "enable_grad", "grad", "gradcheck", "no_grad"]


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """Returns the tensor itself; in PyTorch variables are tensors, too."""
    return data.requires_grad_() if requires_grad else data


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """Returns the gradients of tensors with respect to others, without changing `.grad`.

    Args:
        outputs: a tensor or several; their gradients are added.
        inputs: a tensor or several that they were computed from.
        grad_outputs: the gradient of each output itself, of its shape; 1 if it is None and the
            output is one number.
        retain_graph: without effect; a history lives as long as its tensors.
        create_graph: keep the history of the gradients, so that they can be differentiated again.
        allow_unused: return None for an input that no output depends on, instead of an error.
        materialize_grads: return zeros for such an input.

    Returns:
        One gradient per input.

    Raises:
        GradientError: an output has no history, an input does not require a gradient, or no output
            depends on it.
        ShapeError: a gradient of an output has another shape.
    """
    results, sources = _several("outputs", outputs), _several("inputs", inputs)
    given = _given(grad_outputs, len(results))
    _check(results, sources)
    with enable_grad() if create_graph else no_grad():
        seeds = tuple(seed(y, g, "grad") for y, g in zip(results, given, strict=True))
        found = _walk(results, seeds, sources)
    return _complete(sources, found, allow_unused, materialize_grads)


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Adds the gradients of tensors to `.grad` of every leaf that they were computed from.

    Args:
        tensors: a tensor or several.
        grad_tensors: the gradient of each, of its shape; may be None for one number.
        retain_graph: without effect; a history lives as long as its tensors.
        create_graph: keep the history of the gradients.
    """
    results = _several("tensors", tensors)
    for result, gradient in zip(results, _given(grad_tensors, len(results)), strict=True):
        backward_from(result, gradient, create_graph)


def _walk(
    outputs: tuple[Tensor, ...], seeds: tuple[Tensor, ...], inputs: tuple[Tensor, ...]
) -> list[Tensor | None]:
    """Returns the gradient of each input, through the others where they lie between.

    A computed input is passed by the walk, so a hook of ours, behind the user's, sees it there.
    """
    passed: dict[int, Tensor] = {}
    computed = {id(x): x for x in inputs if x.tape_entry is not None}
    handles = [
        add_hook(x, functools.partial(passed.__setitem__, key)) for key, x in computed.items()
    ]
    try:
        gradients = reverse_walk(outputs, seeds, {id(x) for x in inputs}, stops=False)
    finally:
        for handle in handles:
            handle.remove()
    leaves = {id(x): x for x in inputs if id(x) in gradients and id(x) not in computed}
    passed |= {key: hooked(x, gradients[key]) for key, x in leaves.items()}
    return [passed.get(id(x)) for x in inputs]


def _several(what: str, given: Any) -> tuple[Tensor, ...]:
    """Returns one tensor or several as a tuple."""
    tensors = (given,) if isinstance(given, Tensor) else given
    if not isinstance(tensors, Sequence):
        tensors = tuple(tensors) if hasattr(tensors, "__iter__") else ()
    if not tensors or not all(isinstance(x, Tensor) for x in tensors):
        hint = "; smelt.grad takes a function" if callable(given) else ""
        raise ArgumentError(
            f"autograd: {what} must be a tensor or a sequence of tensors, got a "
            f"{type(given).__name__}{hint}"
        )
    return tuple(tensors)


def _given(gradients: Any, count: int) -> Sequence[Any]:
    if gradients is None:
        return (None,) * count
    gradients = (gradients,) if isinstance(gradients, Tensor) else tuple(gradients)
    if len(gradients) != count:
        raise ArgumentError(
            f"autograd: needs one gradient per output, got {len(gradients)} for {count} outputs"
        )
    return gradients


def _check(outputs: tuple[Tensor, ...], inputs: tuple[Tensor, ...]) -> None:
    for y in outputs:
        if not y.requires_grad:
            raise GradientError(
                f"autograd.grad: an output of shape {y.shape} was not computed from anything that "
                "requires a gradient; call requires_grad_() on an input, before it is used"
            )
    for x in inputs:
        if not x.requires_grad:
            raise GradientError(
                f"autograd.grad: an input of shape {x.shape} does not require a gradient; call "
                "requires_grad_() on it, before it is used"
            )


def _complete(
    inputs: tuple[Tensor, ...],
    gradients: Sequence[Tensor | None],
    allow_unused: bool | None,
    with_zeros: bool,
) -> tuple[Tensor | None, ...]:
    """Returns the gradients, with zeros or None, or an error, for inputs that were not used."""
    for place, (x, gradient) in enumerate(zip(inputs, gradients, strict=True)):
        if gradient is None and not (allow_unused or with_zeros):
            raise GradientError(
                f"autograd.grad: no output depends on input {place} of shape {x.shape}; with "
                "allow_unused=True its gradient is None"
            )
    if not with_zeros:
        return tuple(gradients)
    pairs = zip(inputs, gradients, strict=True)
    return tuple(as_tensor(0, x.dtype).expand(x.shape) if g is None else g for x, g in pairs)


_checked_names(globals(), __all__, __name__)

_install(__name__)
