"""Guards on settings: Python values that a step is compiled for, and how a change of one is seen.

`training`, a dropout rate, a frozen parameter, a swapped layer, a weight decay: a step is compiled
for what they were. Whoever holds such settings calls `changed()` when one changes, and has a
`fingerprint()`; a compiled step compares it, but only when `version()` has moved since its last
call.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from smelt.tensor import Tensor
from smelt.tracing.hooks import hooks_of

__all__ = ["changed", "frozen", "version"]

_version = 0


def version() -> int:
    """Returns a number that is another one when any static setting has changed since."""
    return _version


def changed() -> None:
    """Says that a static setting has changed, or may have."""
    global _version
    _version += 1


def frozen(value: Any) -> Hashable:
    """Returns a hashable that is equal as long as `value` means the same to a compiled step.

    Tensors count by identity, memory and kind, since their contents are state and not settings.
    """
    if isinstance(value, Tensor):
        return _frozen_tensor(value)
    if isinstance(value, (list, tuple)):
        return type(value), tuple(frozen(item) for item in value)
    if isinstance(value, dict):
        return type(value), tuple((frozen(key), frozen(item)) for key, item in value.items())
    if isinstance(value, (bool, int, float)):
        return type(value), value  # 1, 1.0 and True are equal, but not the same setting
    if hasattr(value, "fingerprint"):
        return value.fingerprint()
    try:
        hash(value)
    except TypeError:
        return type(value), id(value)
    return value


def _frozen_tensor(tensor: Tensor) -> Hashable:
    if tensor.is_traced:
        return Tensor
    # a step is bound to the array and keeps it alive, so that its id is not another's meanwhile
    return id(tensor), id(tensor._data), tensor.shape, tensor.dtype, *_settings_of(tensor)


def _settings_of(tensor: Tensor) -> tuple[Hashable, ...]:
    return tensor.requires_grad, hooks_of(tensor)
