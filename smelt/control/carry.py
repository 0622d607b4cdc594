"""Carry: the tree of tensors that goes from one turn of a loop to the next."""

from __future__ import annotations

import operator
from typing import Any

from smelt import tree
from smelt.engine import context, located
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.tensor import Tensor, as_tensor


def leaves_of(value: Any) -> tuple[list[Tensor], tree.Structure]:
    """Returns the leaves of a tree as Tensors (numbers and arrays become constants), and its
    structure.
    """
    leaves, structure = tree.flatten(value)
    return [as_tensor(leaf) for leaf in leaves], structure


def number_of_turns(what: str, value: Any) -> int:
    """Returns `value` as a number of turns, or raises ArgumentError."""
    try:
        turns = operator.index(value)
    except TypeError:
        turns = -1
    if turns < 0:
        raise ArgumentError(located(f"{what} must be an integer from 0 on, got {value!r}"))
    return turns


def owned(x: Tensor) -> Tensor:
    """Returns the value of x, which stays as it is when memory that x may share is changed later.

    A loop takes and gives values: a carry that begins as a state, or an output that is one, keeps
    what it held at that moment, as it does in a compiled step.
    """
    if x.history is not None and not x.history.op.views:
        return x  # copy_ does not change what was computed
    if x.requires_grad or x.is_traced or context.engine.writes_graph:
        return x.clone()
    return Tensor(x.data.copy(), x.dtype)


def matching(what: str, value: Any, structure: tree.Structure, likes: list[Any]) -> list[Tensor]:
    """Returns the leaves of `value`, which must look like `likes`: same tree, shapes and dtypes.

    A loop's memory is laid out once, so what a turn returns must fit where it came from.
    """
    leaves, found = leaves_of(value)
    if found != structure:
        raise ArgumentError(
            located(
                f"{what} must form the same tree (tuples, lists, dicts) as what it replaces, "
                f"which has {len(likes)} tensors; got another tree, with {len(leaves)}"
            )
        )
    for number, (leaf, like) in enumerate(zip(leaves, likes, strict=True)):
        if leaf.shape != like.shape:
            raise ShapeError(
                located(
                    f"{what}: tensor {number} begins with shape {like.shape} and becomes "
                    f"{leaf.shape}; it must keep its shape"
                )
            )
        if leaf.dtype is not like.dtype:
            raise DTypeError(
                located(
                    f"{what}: tensor {number} begins as {like.dtype.name} and becomes "
                    f"{leaf.dtype.name}; cast one of them, so that it keeps its dtype"
                )
            )
    return leaves
