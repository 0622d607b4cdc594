"""A summary of a training, as plain values: its model, data, and machine."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from smelt import tree
from smelt.nn.module import Module
from smelt.train.source import source_of
from smelt.version import __version__

__all__ = ["is_held_out", "summary_of"]

LISTED = 60  # layers of a model, at most


def summary_of(
    model: Module, parts: Mapping[str, Any], data: Any, validation: Any
) -> dict[str, Any]:
    """Returns what `fit` writes as summary.json.

    Args:
        model: the model that is trained.
        parts: "loss", "optimizer" and "scheduler"; those that are None are left out.
        data: the training data.
        validation: held-out data; a function and None are not data.
    """
    described = {"training": data_of(data)}
    if is_held_out(validation):
        described["validation"] = data_of(validation)
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "smelt": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "model": _model(model),
        **{name: _name(part) for name, part in parts.items() if part is not None},
        "data": described,
    }


def is_held_out(validation: Any) -> bool:
    """Returns whether the `validation` given to `fit` is data, not a function that measures."""
    return validation is not None and (not callable(validation) or hasattr(validation, "__len__"))


def _name(part: Any) -> str:
    return str(getattr(part, "__name__", None) or type(part).__name__)


def _model(model: Module) -> dict[str, Any]:
    """Returns the model's name, its size, and its layers: the modules that have parameters of their
    own, or none below them.
    """
    every = [
        (name, module, sum(own.size for own in module.parameters(recurse=False)))
        for name, module in model.named_modules()
    ]
    leaves = [
        {"name": name, "kind": type(module).__name__, "parameters": count}
        for name, module, count in every
        if count or not list(module.children())
    ]
    return {
        "name": type(model).__name__,
        "parameters": sum(own.size for own in model.parameters()),
        "layers": leaves[:LISTED],
        "more_layers": max(0, len(leaves) - LISTED),
    }


def data_of(data: Any) -> dict[str, Any]:
    """Returns the kind of the data, the number of samples, and their shapes if they are arrays in
    memory.
    """
    source = source_of(data, "fit")
    found: dict[str, Any] = {"kind": source.kind, "samples": source.samples}
    if source.kind == "arrays":
        found["arrays"] = [
            {"shape": list(leaf.shape), "dtype": leaf.dtype.name}
            for leaf in tree.flatten(source.data)[0]
        ]
    elif source.samples is None and hasattr(data, "dataset"):
        count = getattr(data.dataset, "__len__", None)
        found["samples"] = None if count is None else count()
    return found
