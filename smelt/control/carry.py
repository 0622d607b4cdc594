"""Carry: the tree of tensors that goes from one iteration of a loop to the next."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

from smelt import tree
from smelt.errors import ArgumentError, DTypeError, ShapeError, TraceError
from smelt.tensor import Tensor, as_tensor
from smelt.tracing.engine import EAGER, current_engine


@dataclass(frozen=True, slots=True)
class Wording:
    """How to say that two trees differ: where they must be the same, and what a leaf is in each."""

    tree: str
    leaf: str


def leaves_of(value: Any) -> tuple[list[Tensor], tree.Structure]:
    """Returns the leaves of a tree as Tensors (numbers and arrays become constants), and its
    structure.
    """
    leaves, structure = tree.flatten(value)
    return [as_tensor(leaf) for leaf in leaves], structure


def checked_length(what: str, value: Any) -> int:
    """Returns `value` as a number of iterations, or raises ArgumentError."""
    if isinstance(value, Tensor) and value.is_traced:
        raise TraceError(f"{what} {_KNOWN_LATER}")
    try:
        length = operator.index(value)
    except TypeError:
        length = -1
    if length < 0:
        raise ArgumentError(f"{what} must be an integer of at least 0, got {value!r}")
    return length


def snapshot(x: Tensor) -> Tensor:
    """Returns the value of x, which stays as it is when memory that x may share is changed later.

    A loop takes and gives values: a carry that begins as a state, or an output that is one, keeps
    what it held at that moment, as it does in a compiled step.
    """
    if x.tape_entry is not None and not x.tape_entry.op.views:
        return x  # copy_ does not change what was computed
    if x.requires_grad or x.is_traced or current_engine() is not EAGER:
        return x.clone()
    return Tensor(x.stored.copy(), x.dtype)


def matching(
    what: str,
    value: Any,
    structure: tree.Structure,
    likes: list[Any],
    wording: Wording | None = None,
) -> list[Tensor]:
    """Returns the leaves of `value`, which must look like `likes`: same tree, shapes and dtypes.

    A loop's memory is laid out once, so what an iteration returns must fit where it came from.
    `wording` says it where it is no carry.
    """
    wording = wording or _CARRY_DIFFERS
    leaves, given = leaves_of(value)
    if given != structure:
        differs = tree.difference(structure, given)
        raise ArgumentError(f"{what} must form the same tree {wording.tree}, but {differs}")
    pairs = zip(leaves, likes, strict=True)
    if all(leaf.shape == like.shape and leaf.dtype is like.dtype for leaf, like in pairs):
        return leaves
    for place, leaf, like in zip(tree.paths(structure), leaves, likes, strict=True):
        if leaf.shape != like.shape:
            pair = f"shape {like.shape}", f"shape {leaf.shape}"
            raise ShapeError(f"{what}{place}{wording.leaf.format(*pair, 'shape')}")
        if leaf.dtype is not like.dtype:
            says = wording.leaf.format(like.dtype.name, leaf.dtype.name, "dtype")
            raise DTypeError(f"{what}{place}{says}; cast one of them")
    return leaves


_CARRY_DIFFERS = Wording("as before", " starts with {} and becomes {}; it must keep its {}")
_KNOWN_LATER = (
    "must be a Python int: a traced tensor is known only when the step runs, but memory is planned "
    "before. Use an int from outside the step, or while_loop"
)
