"""Flags by which all ranks do the same, where a branch or the body of a loop has collectives.

A rank that ran a collective which another one does not reach would wait for ever. So what decides
is not a rank's own flag but whether the flags of all hold; and a condition on data, which fails on
all ranks or on none, refuses flags that differ.
"""

from __future__ import annotations

from smelt.autodiff.vmap import Batched
from smelt.dtypes import int64
from smelt.errors import StateError
from smelt.tensor import Tensor
from smelt.tensor.collectives import all_reduce
from smelt.tensor.shaping import stack
from smelt.tracing.engine import current_engine, no_grad


def same_on_all_ranks(flag: Tensor, what: str) -> Tensor:
    """Returns whether a flag, a bool of shape (), holds on all ranks; requires that it is the same
    on all of them.

    Within `vmap` a flag that differs from example to example is left as it is: both branches run.
    """
    if isinstance(flag._data, Batched):
        return flag
    with no_grad():
        number = flag.to(int64)
        largest = all_reduce(stack([number, -number]), "max")  # minus the smallest is the second
        current_engine().require(largest.sum(), _DIFFERS.format(what), StateError)
        return largest[1] < 0


_DIFFERS = (
    "{} is not the same on all ranks, and decides about collectives, which all of them must run: "
    "compute it from what is the same on all, such as the result of an all_reduce"
)
