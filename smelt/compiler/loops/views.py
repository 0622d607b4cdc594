"""Views: a kernel on the same arrays under other shapes: arrays are dense, the memory is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from smelt.compiler.loops.rewrites.delinearize import roots
from smelt.compiler.loops.substitute import Substitution, rebuild
from smelt.ir.loops import (
    Buffer,
    Expression,
    If,
    Kernel,
    Load,
    Loop,
    Scratch,
    Statement,
    Store,
    walk,
)

Index = tuple[Expression, ...]
Place = Callable[[Buffer, Index], Index | None]  # where in a view; None: that access stays


def accesses(kernel: Kernel) -> dict[Buffer, list[Index]]:
    """Returns at which indices each array is read or written."""
    found: dict[Buffer, list[Index]] = {}
    for root in roots(kernel.body):
        for part in walk(root):
            if isinstance(part, Load):
                found.setdefault(part.buffer, []).append(part.index)
    for store in stores(kernel.body):
        found.setdefault(store.buffer, []).append(store.index)
    return found


def stores(body: tuple[Statement, ...]) -> Iterator[Store]:
    """Yields all stores, those within loops too."""
    for statement in body:
        if isinstance(statement, (Loop, If)):
            yield from stores(statement.body)
        elif isinstance(statement, Store):
            yield statement


def on_views(kernel: Kernel, views: Mapping[Buffer, Buffer], index: Place) -> Kernel:
    """Returns the kernel on other views of some arrays.

    `index` gives, from an array and an index into it, the index into its view.
    """
    return replace(
        kernel,
        inputs=tuple(views.get(one, one) for one in kernel.inputs),
        outputs=tuple(views.get(one, one) for one in kernel.outputs),
        body=rebuilt(kernel.body, views, index),
    )


def rebuilt(
    body: tuple[Statement, ...], views: Mapping[Buffer, Buffer], index: Place
) -> tuple[Statement, ...]:
    """Returns statements on other views of some arrays, as `on_views` does a kernel."""
    return tuple(map(_Rewrite(views, index).statement, body))


class _Rewrite:
    """Rebuilds statements on views."""

    def __init__(self, views: Mapping[Buffer, Buffer], index: Place) -> None:
        self.views = views
        self.index = index
        self.change = Substitution({}, hoist=self.load)

    def place(self, buffer: Buffer, index: Index) -> tuple[Buffer, Index]:
        new = self.index(buffer, index) if buffer in self.views else None
        return (buffer, index) if new is None else (self.views[buffer], new)

    def load(self, old: Load) -> Expression:
        return Load(*self.place(old.buffer, old.index), old.mask)

    def statement(self, statement: Statement) -> Statement:
        if isinstance(statement, (Loop, If)):
            around = rebuild(replace(statement, body=()), self.change)
            assert isinstance(around, (Loop, If))
            return replace(around, body=tuple(map(self.statement, statement.body)))
        if isinstance(statement, Scratch):
            return Scratch(self.views.get(statement.buffer, statement.buffer))
        new = rebuild(statement, self.change)
        if isinstance(new, Store):
            return Store(*self.place(new.buffer, new.index), new.value, new.mask)
        return new
