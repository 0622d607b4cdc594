"""Views: statements on the same arrays under other shapes: arrays are dense, the memory is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from smelt.ir.loops import Buffer, Kernel, Load, Scratch, Store, walk
from smelt.ir.visit import Body, Index, Transformer, expressions, statements

Map = Callable[[Buffer, Index], Index | None]  # the index into a view; None: that access stays


def accesses(kernel: Kernel) -> dict[Buffer, list[Index]]:
    """Returns at which indices each array is read or written."""
    found: dict[Buffer, list[Index]] = {}
    for root in expressions(kernel.body):
        for part in walk(root):
            if isinstance(part, Load):
                found.setdefault(part.buffer, []).append(part.index)
    for store in stores(kernel.body):
        found.setdefault(store.buffer, []).append(store.index)
    return found


def stores(body: Body) -> list[Store]:
    """Returns all stores, those within loops too."""
    return [part for part in statements(body) if isinstance(part, Store)]


def on_views(kernel: Kernel, views: Mapping[Buffer, Buffer], index: Map) -> Kernel:
    """Returns the kernel on other views of some arrays.

    `index` gives, from an array and an index into it, the index into its view.
    """
    return replace(
        kernel,
        inputs=tuple([views.get(buffer, buffer) for buffer in kernel.inputs]),
        outputs=tuple([views.get(buffer, buffer) for buffer in kernel.outputs]),
        body=ViewTransformer(views, index).block(kernel.body),
    )


class ViewTransformer(Transformer):
    """Rebuilds statements on other views of some arrays, as `on_views` does a kernel."""

    def __init__(self, views: Mapping[Buffer, Buffer], index: Map) -> None:
        super().__init__()
        self.views = views
        self.index = index

    def access(self, buffer: Buffer, index: Index) -> tuple[Buffer, Index]:
        new = self.index(buffer, index) if buffer in self.views else None
        return (buffer, index) if new is None else (self.views[buffer], new)

    def scratch(self, scratch: Scratch) -> Body:
        return (Scratch(self.views.get(scratch.buffer, scratch.buffer)),)
