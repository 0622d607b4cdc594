"""Parameter: a learned tensor of a module."""

from __future__ import annotations

from typing import Any

from smelt import guards
from smelt.errors import ArgumentTypeError, DTypeError, TraceError
from smelt.memory import aligned_copy
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.checked import checked, described
from smelt.tracing.engine import current_engine

__all__ = ["Buffer", "Parameter"]


class Parameter(Tensor):
    """A tensor that `Module.parameters()` finds and an optimizer changes.

    Args:
        data: the initial values, a float tensor of any shape; they are copied.
        requires_grad: False for a frozen parameter.

    Raises:
        TraceError: if created inside a compiled step; state must exist before the step.
    """

    __slots__ = ("_requires_grad",)
    is_variable = True  # also when it is frozen

    @checked
    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        if not isinstance(requires_grad, bool):
            raise ArgumentTypeError(
                f"Parameter: requires_grad must be True or False, got {described(requires_grad)}"
            )
        tensor = as_tensor(data)
        if tensor.is_traced or current_engine().writes_graph:
            raise TraceError(
                "a Parameter cannot be made inside a compiled step: it would be a new one at every "
                "call; make the module outside the step"
            )
        if requires_grad and not tensor.dtype.is_float:
            raise DTypeError(
                f"a Parameter must hold floats, got {tensor.dtype.name}; use register_buffer"
            )
        super().__init__(aligned_copy(tensor.stored), tensor.dtype, requires_grad)

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is computed; setting it makes compiled steps check their settings
        again.
        """
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self._requires_grad = wanted
        guards.changed()

    def __copy__(self) -> Parameter:
        """A parameter of its own, since optimizers change parameters in place."""
        result = type(self).__new__(type(self))
        Tensor.__init__(result, aligned_copy(self.stored), self.dtype, self.requires_grad)
        result._grad = self.grad
        return result

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that belongs to a module's state and is not learned; `register_buffer` creates one.

    Args:
        data: the initial values, of any shape and dtype.
    """

    __slots__ = ()
    is_variable = True

    @checked
    def __init__(self, data: Any) -> None:
        tensor = as_tensor(data)
        super().__init__(tensor.stored, tensor.dtype)
