"""Parameter: a tensor that a module learns."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt import guards
from smelt.dtypes import DType
from smelt.errors import DTypeError, TraceError
from smelt.tensor import Tensor, as_tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A tensor that `Module.parameters()` finds and an optimizer changes.

    Args:
        data: the first values, a float tensor of any shape; they are copied.
        requires_grad: False for a frozen parameter.

    Raises:
        TraceError: when made inside a compiled step; state must exist before the step.
    """

    __slots__ = ("_requires_grad",)

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        tensor = as_tensor(data)
        if tensor.is_traced:
            raise TraceError(
                "a Parameter cannot be made inside a compiled step; make the module before it"
            )
        if requires_grad and not tensor.dtype.is_float:
            raise DTypeError(
                f"a Parameter holds floats, got {tensor.dtype.name}; use register_buffer"
            )
        super().__init__(np.array(tensor.data, order="C"), tensor.dtype, requires_grad)

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is wanted; setting it makes compiled steps look again."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self._requires_grad = wanted
        guards.changed()

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        return Parameter(self.detach(), self.requires_grad)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.data, self.dtype, self.requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


def _rebuilt(array: np.ndarray, dtype: DType, requires_grad: bool) -> Parameter:
    return Parameter(Tensor(array, dtype), requires_grad)
