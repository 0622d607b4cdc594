"""Evaluation in which each rank measures some of the batches and all ranks get all results.

Rank k % size measures batch k. Its values are sent to all ranks, and each rank adds them up in the
order of the batches. So results have the same bits as on one rank.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from smelt import dtypes, tree
from smelt.mpi.group import current
from smelt.tensor import Tensor

__all__ = ["measured_by_all"]


def measured_by_all(batches: Iterable[Any], measure: Callable[[Any], Any]) -> Iterator[Any]:
    """Yields the values of each batch, in order; all ranks must iterate together.

    Args:
        batches: the same on all ranks.
        measure: returns a tree of tensors.
    """
    group = current()
    if group.size == 1:
        yield from map(measure, batches)
        return
    own: dict[int, list[Any]] = {}
    structure = None
    for number, batch in enumerate(batches):
        is_own = number % group.size == group.rank
        if is_own or structure is None:  # the first one also shows what there is to measure
            leaves, structure = tree.flatten(measure(batch))
            if not all(isinstance(leaf, Tensor) for leaf in leaves):
                yield tree.unflatten(structure, leaves)  # for whoever says what is wrong with it
            if is_own:
                own[number] = leaves
    every: dict[int, list[Any]] = {}
    for content in group.gather_bytes(_packed(own)):
        every |= _unpacked(content)
    for number in sorted(every):
        assert structure is not None
        yield tree.unflatten(structure, every[number])


def _packed(measured: dict[int, list[Tensor]]) -> bytes:
    """Returns tensors by numbers as a line of JSON and their bytes."""
    head = {
        number: [[x.dtype.name, list(x.shape)] for x in tensors]
        for number, tensors in measured.items()
    }
    arrays = [x.stored for tensors in measured.values() for x in tensors]
    contents = [np.ascontiguousarray(array).tobytes() for array in arrays]
    return b"".join([json.dumps(head).encode(), b"\n", *contents])


def _unpacked(content: bytes) -> dict[int, list[Tensor]]:
    head, _, rest = content.partition(b"\n")
    offset = 0
    found: dict[int, list[Tensor]] = {}
    for number, kinds in json.loads(head).items():
        found[int(number)] = tensors = []
        for name, shape in kinds:
            dtype = dtypes.BY_NAME[name]
            array = np.frombuffer(rest, dtype.storage, math.prod(shape), offset)
            offset += array.nbytes
            tensors.append(Tensor(array.reshape(shape).copy(), dtype))
    return found
