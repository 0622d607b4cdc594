"""The index of an element when the axes around it are merged or split."""

from __future__ import annotations

import math

from smelt.ir.loops import Expression, constant
from smelt.ir.visit import Index

Shape = tuple[int, ...]


def regroup(index: Index, shape: Shape, target: Shape) -> Index:
    """Returns the index under `target` of the element at `index` under `shape`, row-major.

    Axes that both shapes share are passed through; only axes that merge or split cost arithmetic.
    """
    if math.prod(shape) == 0:
        return tuple(constant(0) for _ in target)
    result: list[Expression] = []
    here = there = 0
    while here < len(shape) or there < len(target):
        first, start = here, there
        source = shape[here] if here < len(shape) else 1
        goal = target[there] if there < len(target) else 1
        here, there = min(here + 1, len(shape)), min(there + 1, len(target))
        while source != goal:
            if source < goal:
                source, here = source * shape[here], here + 1
            else:
                goal, there = goal * target[there], there + 1
        result += _regroup_group(index[first:here], shape[first:here], target[start:there])
    return tuple(result)


def _regroup_group(index: Index, shape: Shape, target: Shape) -> list[Expression]:
    if len(shape) == 1 and target == shape:
        return list(index)
    flat: Expression = constant(0)
    for part, extent in zip(index, shape, strict=True):
        flat = flat * extent + (part if extent > 1 else 0)
    result: list[Expression] = []
    for number in range(len(target)):
        inner = math.prod(target[number + 1 :])
        digit = flat // inner
        is_outermost = all(extent == 1 for extent in target[:number])
        result.append(digit if is_outermost and target[number] > 1 else digit % target[number])
    return result
