"""Reverse mode: `backward`, `grad`, `value_and_grad`, `vjp`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smelt import tree
from smelt.autodiff.record import Function, Recording, matching, ones_like, output_tensors
from smelt.creation import zeros
from smelt.errors import DTypeError, ShapeError
from smelt.tensor import Tensor


def clear_gradients(tensors: Iterable[Tensor], set_to_none: bool = True) -> None:
    """Clears the gradients of tensors, or sets those that exist to zeros.

    Clearing does not read the gradient, so a compiled step need not keep it.
    """
    for x in tensors:
        if set_to_none:
            x.grad = None
        elif x.grad is not None:
            x.grad = zeros(x.shape, dtype=x.dtype)


def value_and_grad(
    function: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Function:
    """Returns a function that computes `function`'s value and its gradient.

    Args:
        function: returns a scalar Tensor (or `(scalar, aux)` with `has_aux`).
        argnums: the positional argument(s) to differentiate; each may be a tree of float Tensors.
        has_aux: whether `function` returns more than the loss.

    Returns:
        A function of the same arguments that returns `(value, gradient)`; the gradient has the tree
        of the argument, or is a tuple of such when `argnums` is a tuple. Both keep a history only
        if something outside needs it: a captured parameter that requires a gradient, or another
        derivative around this one.

    Raises:
        ShapeError: `function` did not return a single number.
        DTypeError: an argument to differentiate, or the value, is not a float.
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def differentiated(*arguments: Any, **options: Any) -> Any:
        run = Recording("grad", function, numbers, arguments, options)
        loss = _one_number(run.split_aux(has_aux)[0])
        gradients = run.arguments_of(run.vjp((loss,), (ones_like(loss),)))
        value = tree.map(run.released, run.value)
        return value, gradients[0] if isinstance(argnums, int) else gradients

    return differentiated


def _one_number(loss: Any) -> Tensor:
    if not isinstance(loss, Tensor) or loss.size != 1:
        got = f"shape {loss.shape}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise ShapeError(f"grad: the function must return one number as a tensor, got {got}")
    if not loss.dtype.is_float:
        raise DTypeError(f"grad: the function must return a float, got {loss.dtype.name}")
    return loss


def grad(function: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """Returns a function that computes the gradient of `function` (and aux); see
    `value_and_grad`.
    """
    value_and_gradient = value_and_grad(function, argnums, has_aux)

    def differentiated(*arguments: Any, **options: Any) -> Any:
        value, gradient = value_and_gradient(*arguments, **options)
        return (gradient, value[1]) if has_aux else gradient

    return differentiated


def vjp(function: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """Returns `function(*primals)` and the map from a cotangent to the gradients of the primals.

    Args:
        function: takes and returns trees of Tensors (returns `(result, aux)` with `has_aux`).
        primals: its arguments, float Tensors or trees of them.
        has_aux: whether `function` returns more than its result.

    Returns:
        `(result, pullback)`, or `(result, pullback, aux)`. `pullback(cotangent)` takes a tree like
        the result's and returns a tuple, the gradient of each primal; it may be called many times,
        also under `vmap`.
    """
    run = Recording("vjp", function, tuple(range(len(primals))), primals, {})
    result, aux = run.split_aux(has_aux)
    outputs, structure = output_tensors(result)

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        given = matching("vjp: the cotangents", cotangent, structure, outputs)
        return run.arguments_of(run.vjp(outputs, given))

    value = tree.unflatten(structure, [run.released(y) for y in outputs])
    return (value, pullback, tree.map(run.released, aux)) if has_aux else (value, pullback)
