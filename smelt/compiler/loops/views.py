"""Views: statements on the same arrays in other shapes; arrays are dense, so memory is shared."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from itertools import pairwise

from smelt.ir.loops import Buffer, Kernel, Load, Scratch, Store, children
from smelt.ir.visit import Body, Index, Transformer, expressions, statements


@dataclass(frozen=True, slots=True)
class View:
    """A replacement for an array, and a function from the array's indices to its own.

    If the new index is None, the access stays as it is.
    """

    buffer: Buffer
    index: Callable[[Index], Index | None]


Views = Mapping[Buffer, View]


def accesses(body: Body) -> dict[Buffer, list[Index]]:
    """Returns at which indices each array is read or written."""
    indices: dict[Buffer, list[Index]] = {}
    stack = list(expressions(body))
    while stack:
        part = stack.pop()
        if type(part) is Load:
            indices.setdefault(part.buffer, []).append(part.index)
        stack += children(part)
    for store in stores(body):
        indices.setdefault(store.buffer, []).append(store.index)
    return indices


def stores(body: Body) -> list[Store]:
    """Returns all stores, those within loops too."""
    return [part for part in statements(body) if isinstance(part, Store)]


def without_axes(buffer: Buffer, axes: Set[int]) -> View:
    """Returns a view without `axes`, which have one element, or continue the axis before."""
    kept = [axis for axis in range(len(buffer.shape)) if axis not in axes]
    ends = pairwise([*kept, len(buffer.shape)])
    shape = tuple([math.prod(buffer.shape[start:stop]) for start, stop in ends])
    return View(buffer.viewed(shape), lambda index: tuple([index[axis] for axis in kept]))


class ViewTransformer(Transformer):
    """Rebuilds statements on views of some arrays."""

    def __init__(self, views: Views) -> None:
        super().__init__()
        self.views = views

    def access(self, buffer: Buffer, index: Index) -> tuple[Buffer, Index]:
        view = self.views.get(buffer)
        new = None if view is None else view.index(index)
        return (buffer, index) if view is None or new is None else (view.buffer, new)

    def scratch(self, scratch: Scratch) -> Body:
        view = self.views.get(scratch.buffer)
        return (scratch if view is None else Scratch(view.buffer),)

    def kernel(self, kernel: Kernel) -> Kernel:
        """Returns a kernel on the views."""
        new = {buffer: view.buffer for buffer, view in self.views.items()}
        return replace(
            kernel,
            inputs=tuple([new.get(buffer, buffer) for buffer in kernel.inputs]),
            outputs=tuple([new.get(buffer, buffer) for buffer in kernel.outputs]),
            body=self.block(kernel.body),
        )
