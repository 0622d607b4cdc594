"""Group: the hyperparameters of some parameters, as a dict that updates its tensors in place."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from smelt import guards
from smelt.dtypes import float64
from smelt.errors import ShapeError, TraceError
from smelt.optim.checks import checked_key, checked_setting, one_number
from smelt.tensor import Tensor, as_tensor

__all__ = ["Group", "scalar"]


def scalar(value: Any) -> Tensor:
    """Returns a number as new state: a concrete float64 tensor of shape ()."""
    given = as_tensor(value, float64)
    if given.is_traced:
        raise TraceError("state cannot be made inside a compiled step; make it before the step")
    if given.size != 1:
        raise ShapeError(
            f"a setting of an optimizer must be one number, got a tensor of shape {given.shape}"
        )
    return Tensor(np.array(given.numpy(), np.float64).reshape(()), float64)


class Group(UserDict[str, Any]):
    """A dict of hyperparameters.

    `group["lr"]` is a tensor of shape (), so that compiled steps can read and change it; assigning
    a number to it copies the number in. Everything else is a Python value, and a compiled step that
    has used it is compiled again when it changes.

    Args:
        values: the initial values.
        owner: the name of the optimizer, for errors.
        settings: the names of its settings. Other keys belong to the user, and have no effect.

    Raises:
        ArgumentError: here or in an assignment: a value outside its setting's range, or a key that
            is another spelling of a setting.
    """

    def __init__(
        self,
        values: Mapping[str, Any] = MappingProxyType({}),
        owner: str = "optimizer",
        settings: Collection[str] = (),
    ) -> None:
        self.owner = owner
        self.settings: tuple[str, ...] = tuple(settings) or tuple(values)
        super().__init__(values)

    def __setitem__(self, key: str, value: Any) -> None:
        checked_key(self.owner, key, self.settings)
        held = self.data.get(key)
        if isinstance(held, Tensor):
            if isinstance(value, Tensor):  # whose value may not be known yet, in a compiled step
                if not held.ndim:
                    one_number(self.owner, key, value)
                held.copy_(value.reshape(held.shape))
            else:
                checked_setting(self.owner, key, value)
                held.copy_(value)
        else:
            self.data[key] = checked_setting(self.owner, key, value)
            guards.changed()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        guards.changed()

    def make_traced(self, key: str, index: int | None = None) -> Tensor:
        """Makes a setting (or item `index` of a tuple) a tensor, so that steps can change it."""
        setting = self.data[key]
        value = setting if index is None else setting[index]
        if isinstance(value, Tensor):
            return value
        tensor = scalar(value)
        guards.changed()
        if index is not None:
            self.data[key] = (*setting[:index], tensor, *setting[index + 1 :])
        else:
            self.data[key] = tensor
        return tensor
