"""Places: under which path a module holds a tensor of an ONNX file.

`encoder.0.weight` becomes the attribute `weight` of `0` of `encoder`, as in the module that was
exported. A name that cannot be a path so becomes one that can.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from smelt.nn.module import Module

__all__ = ["paths"]

MOST_PARTS = 32  # modules within modules


def paths(names: Iterable[str], taken: type[Module]) -> list[str]:
    """Returns a path for each name; none is another's, or leads through another.

    Args:
        names: of tensors, which may be equal.
        taken: the class of the module, whose methods cannot be called otherwise.
    """
    tensors: set[str] = set()
    modules: set[str] = set()
    return [_added(name, taken, tensors, modules) for name in names]


def _added(name: str, taken: type[Module], tensors: set[str], modules: set[str]) -> str:
    parts = [_attribute(part, taken) for part in name.split(".")]
    if not all(parts) or len(parts) > MOST_PARTS:
        parts = [_attribute(name.replace(".", "_"), taken) or "tensor"]
    path, number = ".".join(parts), 0
    while _is_in_the_way(path, tensors, modules):
        number += 1
        path = "_".join(parts) + f"_{number}"
    tensors.add(path)
    around = path.split(".")[:-1]
    modules.update(".".join(around[: count + 1]) for count in range(len(around)))
    return path


def _is_in_the_way(path: str, tensors: set[str], modules: set[str]) -> bool:
    parts = path.split(".")
    around = {".".join(parts[:count]) for count in range(1, len(parts))}
    return path in tensors or path in modules or bool(around & tensors)


def _attribute(part: str, taken: type[Module]) -> str:
    """Returns a part of a path that can be an attribute."""
    plain = re.sub(r"[^\w/:\-]", "_", part)
    if plain.startswith("_"):
        plain = f"tensor{plain}"
    return f"{plain}_" if hasattr(taken, plain) else plain
