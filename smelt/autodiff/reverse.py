"""Reverse mode: `backward`, `grad`, `value_and_grad`, `vjp`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smelt import tree
from smelt.autodiff.record import Function, Recording, matching, ones_like, output_tensors
from smelt.autodiff.walk import history_of, pull_back
from smelt.creation import zeros
from smelt.engine import enable_grad, located, no_grad
from smelt.errors import DTypeError, GradientError, ShapeError
from smelt.tensor import Tensor, as_tensor, install_backward


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
    if not loss.requires_grad:
        raise GradientError(
            located(
                "backward: this tensor was not computed from anything that requires a gradient; "
                "use requires_grad_() on an input, and do not compute it under no_grad(). What a "
                "compiled step returns has no history: call backward() inside the step"
            )
        )
    with enable_grad() if create_graph else no_grad():
        gradients = pull_back((loss,), (_seed(loss, gradient),))
        for leaf in history_of((loss,)):
            found = gradients.get(id(leaf))
            if found is not None and leaf.history is None:
                leaf.grad = found if leaf.grad is None else leaf.grad + found


install_backward(backward)


def _seed(output: Tensor, gradient: Tensor | None) -> Tensor:
    if gradient is None:
        if output.size != 1:
            raise ShapeError(
                located(f"backward: the loss must be one number, got shape {output.shape}; sum it")
            )
        return ones_like(output)
    gradient = as_tensor(gradient, output.dtype)
    if gradient.shape != output.shape:
        raise ShapeError(
            located(f"backward: gradient {gradient.shape} for a result {output.shape}")
        )
    return gradient.to(output.dtype)


def clear_gradients(tensors: Iterable[Tensor], set_to_none: bool = True) -> None:
    """Forgets the gradients of tensors, or makes those that exist zeros.

    Forgetting does not look at what is there: a compiled step then need not keep it.
    """
    for x in tensors:
        if set_to_none:
            x.grad = None
        elif x.grad is not None:
            x.grad = zeros(x.shape, dtype=x.dtype)


def value_and_grad(
    function: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Function:
    """Returns a function that gives `function`'s value and its gradient.

    Args:
        function: returns a scalar Tensor (or `(scalar, aux)` with `has_aux`).
        argnums: the positional argument(s) to differentiate; each may be a tree of float Tensors.
        has_aux: whether `function` returns more than the loss.

    Returns:
        A function of the same arguments that returns `(value, gradient)`; the gradient has the tree
        of the argument, or is a tuple of such when `argnums` is a tuple. Both keep a history only
        where something outside needs it: a parameter that `function` caught and that requires a
        gradient, or another derivative around this one.

    Raises:
        ShapeError: `function` returned something else than one number.
        DTypeError: an argument to differentiate, or the value, is not a float.
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def differentiated(*arguments: Any, **options: Any) -> Any:
        run = Recording("grad", function, numbers, arguments, options)
        loss = _one_number(run.split_aux(has_aux)[0])
        gradients = run.arguments_of(run.pull((loss,), (ones_like(loss),)))
        value = tree.map(run.released, run.value)
        return value, gradients[0] if isinstance(argnums, int) else gradients

    return differentiated


def _one_number(loss: Any) -> Tensor:
    if not isinstance(loss, Tensor) or loss.size != 1:
        got = f"shape {loss.shape}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise ShapeError(
            located(f"grad: the function must return one number as a tensor, got {got}")
        )
    if not loss.dtype.is_float:
        raise DTypeError(located(f"grad: the function must return a float, got {loss.dtype.name}"))
    return loss


def grad(function: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """Returns a function that gives the gradient of `function` (and aux); see `value_and_grad`."""
    both = value_and_grad(function, argnums, has_aux)

    def differentiated(*arguments: Any, **options: Any) -> Any:
        value, gradient = both(*arguments, **options)
        return (gradient, value[1]) if has_aux else gradient

    return differentiated


def vjp(function: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """Returns `function(*primals)` and the map from a cotangent to the gradients of the primals.

    Args:
        function: takes and returns trees of Tensors (returns `(result, aux)` with `has_aux`).
        primals: its arguments, float Tensors or trees of them.
        has_aux: whether `function` returns more than its result.

    Returns:
        `(result, pull)`, or `(result, pull, aux)`. `pull(cotangent)` takes a tree like the result's
        and
        returns a tuple, the gradient of each primal; it may be called many times, also under
        `vmap`.
    """
    run = Recording("vjp", function, tuple(range(len(primals))), primals, {})
    result, aux = run.split_aux(has_aux)
    outputs, structure = output_tensors(result)

    def pull(cotangent: Any) -> tuple[Any, ...]:
        given = matching("vjp: the cotangents", cotangent, structure, outputs)
        return run.arguments_of(run.pull(outputs, given))

    value = tree.unflatten(structure, [run.released(y) for y in outputs])
    return (value, pull, tree.map(run.released, aux)) if has_aux else (value, pull)
