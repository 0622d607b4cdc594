"""Matrices of derivatives: `jacfwd`, `jacrev`, `hessian`.

Each runs the function once and walks its history once, for all rows or columns together by `vmap`.
"""

from __future__ import annotations

from typing import Any

from smelt import tree
from smelt.autodiff.record import Function, Recording, output_tensors
from smelt.autodiff.vmap import vmap
from smelt.ops.elementwise import cast, eq
from smelt.ops.iota import iota
from smelt.ops.movement import slice_
from smelt.tensor import Tensor

Numbers = int | tuple[int, ...]


def jacfwd(function: Function, argnums: Numbers = 0) -> Function:
    """Returns a function that computes the Jacobian column by column: best for few inputs.

    Args:
        function: takes trees of float Tensors and returns a tree of Tensors.
        argnums: the positional argument(s) to differentiate.

    Returns:
        A function of the same arguments. For an output of shape `m` and an input of shape `n` (any
        number of axes each) the Jacobian has shape `(*m, *n)`; if outputs or arguments are trees,
        it is a tree like the outputs, with a tree like the argument in place of each leaf.
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def differentiated(*arguments: Any, **options: Any) -> Any:
        run = Recording("jacfwd", function, numbers, arguments, options)
        outputs, structure = output_tensors(run.value)
        columns = vmap(lambda *tangents: tuple(run.jvp(outputs, tangents)), out_axes=-1)
        jacobians = columns(*unit_vectors(run.inputs))  # each (*m, total size of the inputs)
        rows = [_split_last(jacobian, run.inputs) for jacobian in jacobians]
        return _assembled(run, structure, rows, argnums)

    return differentiated


def jacrev(function: Function, argnums: Numbers = 0) -> Function:
    """Returns a function that computes the Jacobian row by row: best for few outputs; see
    `jacfwd`.
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def differentiated(*arguments: Any, **options: Any) -> Any:
        run = Recording("jacrev", function, numbers, arguments, options)
        outputs, structure = output_tensors(run.value)
        rows = vmap(lambda *cotangents: tuple(run.vjp(outputs, cotangents)))
        jacobians = rows(*unit_vectors(outputs))  # each (total size of the outputs, *n)
        by_input = [_split_first(jacobian, outputs) for jacobian in jacobians]
        by_output = [list(blocks) for blocks in zip(*by_input, strict=True)]
        return _assembled(run, structure, by_output, argnums)

    return differentiated


def hessian(function: Function, argnums: Numbers = 0) -> Function:
    """Returns a function that computes the second derivatives of a scalar function.

    Forward over reverse: `jacfwd(jacrev(function))`. For an argument of shape `n` the result has
    shape `(*n, *n)`; if the arguments are trees, it is a tree of trees.
    """
    return jacfwd(jacrev(function, argnums), argnums)


def unit_vectors(likes: list[Tensor] | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Returns an identity matrix, split into tensors shaped like `likes`: `(total, *shape)`."""
    total, start = sum(like.size for like in likes), 0
    vectors = []
    for like in likes:
        shape = (total, like.size)
        here = eq(iota(shape=shape, axis=0), iota(shape=shape, axis=1) + start)
        vectors.append(cast(here, dtype=like.dtype).reshape((total, *like.shape)))
        start += like.size
    return tuple(vectors)


def _split_last(y: Tensor, likes: list[Tensor]) -> list[Tensor]:
    """Splits the last axis into one piece per tensor, reshaped to that tensor's shape."""
    moved = y.permute((y.ndim - 1, *range(y.ndim - 1)))
    blocks = []
    for piece, like in zip(_pieces(moved, tuple(likes)), likes, strict=True):
        back = piece.permute((*range(1, piece.ndim), 0))
        blocks.append(back.reshape((*y.shape[:-1], *like.shape)))
    return blocks


def _split_first(x: Tensor, likes: tuple[Tensor, ...]) -> list[Tensor]:
    """Splits the first axis into one piece per tensor, reshaped to that tensor's shape."""
    pieces = zip(_pieces(x, likes), likes, strict=True)
    return [piece.reshape((*like.shape, *x.shape[1:])) for piece, like in pieces]


def _pieces(x: Tensor, likes: tuple[Tensor, ...]) -> list[Tensor]:
    pieces, offset = [], 0
    for like in likes:
        pieces.append(_rows(x, offset, offset + like.size))
        offset += like.size
    return pieces


def _rows(x: Tensor, start: int, stop: int) -> Tensor:
    if (start, stop) == (0, x.shape[0]):
        return x
    others = x.ndim - 1
    bounds = (start, *(0,) * others), (stop, *x.shape[1:]), (1,) * x.ndim
    return slice_(x, start=bounds[0], stop=bounds[1], step=bounds[2])


def _assembled(
    run: Recording, structure: tree.Structure, rows: list[list[Tensor]], argnums: Numbers
) -> Any:
    """Returns the tree of the outputs, with the trees of its derivatives in place of each."""
    by_argument = [run.arguments_of(row) for row in rows]
    leaves = [blocks[0] for blocks in by_argument] if isinstance(argnums, int) else by_argument
    return tree.unflatten(structure, leaves)
