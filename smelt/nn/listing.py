"""How a notebook displays a module: the tree of its submodules, with shapes and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smelt.markup import table

if TYPE_CHECKING:
    from smelt.nn.module import Module

__all__ = ["as_html", "weights_of"]


def weights_of(module: Module) -> str:
    """Returns names and shapes of the parameters that a module holds itself."""
    named = module.named_parameters(recurse=False)
    return ", ".join(f"{name} {parameter.shape}" for name, parameter in named)


def as_html(module: Module) -> str:
    """Returns a table with a row for each module: settings, weights, number of parameters."""
    rows, indents = [], []
    for path, part in module.named_modules():
        name = path.rpartition(".")[2]
        kind = type(part).__name__
        count = sum(parameter.size for parameter in part.parameters(recurse=False))
        title = f"{name}: {kind}" if name else kind
        number = f"{count:,}" if count else ""
        rows.append((title, part.extra_repr(), weights_of(part), number))
        indents.append(path.count(".") + 1 if path else 0)
    total = sum(parameter.size for parameter in module.parameters())
    head = ("module", "settings", "weights", "parameters")
    last = ("total", "", "", f"{total:,}")
    return table(head, rows, numbers=[3], indents=indents, total=last)
