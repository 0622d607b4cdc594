"""Updating small parameters together: eagerly, what a call costs is more than what it computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from smelt.tensor import Tensor
from smelt.tracing.engine import EAGER, context

__all__ = ["Update", "joined", "same_count"]

SMALL = 16_384  # elements up to which a copy costs less than the calls that it saves


class Update(NamedTuple):
    """What one update changes: a parameter and its moments; and its gradient."""

    x: Tensor
    g: Tensor
    state: dict[str, Tensor]
    number: int  # of the parameter in its group


def same_count(t: Tensor) -> Tensor:
    """Returns the numbers of updates (n,) as one, shape (), where that is known and all agree."""
    if context.engine is not EAGER or not t.shape[0] or np.any(t.stored != t.stored[0]):
        return t
    return Tensor(np.array(t.stored[0]), t.dtype)


def joined(updates: Sequence[Update]) -> tuple[list[Update], list[Callable[[], None]]]:
    """Returns updates in which the small parameters of each dtype are one, laid side by side.

    Elementwise updates give the same bits. Second come functions that write the results of those
    back.
    """
    if context.engine is not EAGER:
        return list(updates), []
    small: dict[object, list[Update]] = {}
    alone: list[Update] = []
    for update in updates:
        is_small = update.x.size <= SMALL and update.g.dtype is update.x.dtype
        (small.setdefault(update.x.dtype, []) if is_small else alone).append(update)
    finish: list[Callable[[], None]] = []
    for group in small.values():
        if len(group) == 1:
            alone += group
        else:
            alone.append(update := _side_by_side(group))
            finish.append(_written_back(update, group))
    return alone, finish


def _side_by_side(group: list[Update]) -> Update:
    first = group[0]
    state = {name: _flat([update.state[name] for update in group]) for name in first.state}
    x, g = _flat([update.x for update in group]), _flat([update.g for update in group])
    return Update(x, g, state, first.number)


def _flat(tensors: list[Tensor]) -> Tensor:
    return Tensor(np.concatenate([tensor.stored.ravel() for tensor in tensors]), tensors[0].dtype)


def _written_back(joint: Update, group: list[Update]) -> Callable[[], None]:
    def write() -> None:
        start = 0
        for update in group:
            stop = start + update.x.size
            _copy(update.x, joint.x, start, stop)
            for name, moment in update.state.items():
                _copy(moment, joint.state[name], start, stop)
            start = stop

    return write


def _copy(target: Tensor, flat: Tensor, start: int, stop: int) -> None:
    target.copy_(Tensor(flat.stored[start:stop].reshape(target.shape), flat.dtype))
