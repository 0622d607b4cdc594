"""Modules in other dtypes, and arrays as tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn, Self

import numpy as np

from smelt import guards
from smelt.dtypes import as_dtype
from smelt.errors import DTypeError
from smelt.nn.parameter import Parameter
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.checked import checked_flags
from smelt.tensor.device import check_device, is_cpu, no_device
from smelt.tracing.engine import no_grad

__all__ = ["Convertible", "with_tensors"]


@checked_flags
class Convertible:
    """A base class of Module."""

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yields the parameters."""
        raise NotImplementedError

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yields the buffers."""
        raise NotImplementedError

    def to(
        self,
        target: Any = None,
        dtype: Any = None,
        non_blocking: bool = False,
        *,
        device: Any = None,
        memory_format: Any = None,
    ) -> Self:
        """Converts all float parameters and buffers to another float dtype, in place.

        The tensors stay the same objects; an optimizer's moments keep their dtype, so create it
        afterwards.

        Args:
            target: a float dtype, the device "cpu", or a tensor of the desired dtype.
            dtype: the dtype, if `target` is a device.
            non_blocking: without effect.
            device: "cpu".
            memory_format: without effect.

        Raises:
            ArgumentError: a device other than the CPU.
            DTypeError: the dtype is not a float dtype.
        """
        check_device(device)
        if dtype is None or isinstance(dtype, bool):
            if target is None or is_cpu(target):
                return self
            dtype = target.dtype if isinstance(target, Tensor) else target
        else:
            check_device(target)
        target = as_dtype(dtype)
        if not target.is_float:
            raise DTypeError(f"a module's parameters must be floats, got {target.name}")
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.dtype.is_float and tensor.dtype is not target:
                with no_grad():
                    converted = tensor.to(target)
                    gradient = None if tensor.grad is None else tensor.grad.to(target)
                tensor.replace_storage(np.array(converted.stored), target)
                tensor.grad = gradient
        guards.changed()
        return self

    def cpu(self) -> Self:
        """Returns the module itself: everything is on the CPU."""
        return self

    def cuda(self, *arguments: Any) -> NoReturn:
        """Raises ArgumentError: the CPU is the only device."""
        raise no_device("cuda")

    def float(self) -> Self:
        """Converts the module to float32."""
        return self.to("float32")

    def half(self) -> Self:
        """Converts the module to float16."""
        return self.to("float16")

    def bfloat16(self) -> Self:
        """Converts the module to bfloat16."""
        return self.to("bfloat16")

    def type(self, dtype: Any) -> Self:
        """Converts the module to another float dtype."""
        return self.to(dtype)

    def double(self) -> Self:
        """Converts the module to float64."""
        return self.to("float64")


def with_tensors(given: Any) -> Any:
    """Returns arguments in which each NumPy array is replaced by a tensor."""
    if isinstance(given, np.ndarray):
        return as_tensor(given)
    if type(given) is tuple and not all(type(one) is Tensor for one in given):
        return tuple([with_tensors(one) for one in given])
    if type(given) is dict and given:
        return {name: with_tensors(one) for name, one in given.items()}
    return given
