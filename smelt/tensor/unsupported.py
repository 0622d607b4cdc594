"""What PyTorch's tensors have and these have not: each name says what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from smelt.errors import ArgumentError, AssignmentError

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = ["Unsupported", "is_cpu", "no_device"]

_OTHER_DEVICES = ("cuda", "hip", "mps", "tpu", "xla", "xpu")


def is_cpu(device: Any) -> bool:
    """Returns whether `device` names the CPU; raises ArgumentError when it names another device."""
    if not isinstance(device, str):
        return False
    kind = device.partition(":")[0]
    if kind in _OTHER_DEVICES:
        raise no_device(device)
    return kind == "cpu"


def no_device(device: str) -> ArgumentError:
    """Returns the error of asking for another device than the CPU."""
    return ArgumentError(
        f"there is no device {device!r}: Smelt computes on the CPU; leave the call out"
    )


def _in_place(name: str, instead: str) -> Callable[..., NoReturn]:
    def unsupported(x: Tensor, *arguments: Any, **options: Any) -> NoReturn:
        raise AssignmentError(
            f"tensors are values: {name}() is not supported. Write {instead}; state such as a "
            "parameter is changed by x.copy_(new) under smelt.no_grad()"
        )

    unsupported.__name__ = name
    unsupported.__doc__ = f"Raises AssignmentError: tensors are values; write {instead}."
    return unsupported


class Unsupported:
    """A base class of Tensor."""

    __slots__ = ()

    add_ = _in_place("add_", "x = x + y")
    clamp_ = _in_place("clamp_", "x = x.clamp(min, max)")
    div_ = _in_place("div_", "x = x / y")
    fill_ = _in_place("fill_", "x = smelt.full_like(x, value)")
    mul_ = _in_place("mul_", "x = x * y")
    relu_ = _in_place("relu_", "x = x.relu()")
    sub_ = _in_place("sub_", "x = x - y")
    zero_ = _in_place("zero_", "x = smelt.zeros_like(x)")

    def cuda(self, *arguments: Any, **options: Any) -> NoReturn:
        """Raises ArgumentError: there is no device but the CPU."""
        raise no_device("cuda")
