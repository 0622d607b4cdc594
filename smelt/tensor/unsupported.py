"""What PyTorch's tensors have and these have not: each name says what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from smelt.errors import ArgumentError, AssignmentError
from smelt.tensor.device import no_device

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = ["Unsupported"]


def _reshaping(name: str) -> Callable[..., NoReturn]:
    instead = f"x = x.{name[:-1]}(...)"

    def unsupported(x: Tensor, *arguments: Any, **options: Any) -> NoReturn:
        raise AssignmentError(
            f"a tensor keeps its shape: {name}() is not supported. Write {instead}"
        )

    unsupported.__name__ = name
    unsupported.__doc__ = f"Raises AssignmentError: a tensor keeps its shape; write {instead}."
    return unsupported


def _absent(name: str, instead: str) -> Callable[..., NoReturn]:
    def unsupported(x: Tensor, *arguments: Any, **options: Any) -> NoReturn:
        raise ArgumentError(f"Tensor.{name}() is not supported. {instead}")

    unsupported.__name__ = name
    unsupported.__doc__ = f"Raises ArgumentError. {instead}."
    return unsupported


class Unsupported:
    """A base class of Tensor."""

    __slots__ = ()

    resize_ = _absent("resize_", "A tensor keeps its shape; make a new one with smelt.zeros")
    set_ = _absent("set_", "Write x.copy_(y) under smelt.no_grad(), or x = y")
    detach_ = _absent("detach_", "A tensor keeps its history; write x = x.detach()")
    squeeze_ = _reshaping("squeeze_")
    swapaxes_ = _reshaping("swapaxes_")
    swapdims_ = _reshaping("swapdims_")
    t_ = _reshaping("t_")
    transpose_ = _reshaping("transpose_")
    unsqueeze_ = _reshaping("unsqueeze_")
    as_strided = _absent("as_strided", "Write reshape, permute, expand or slices")
    as_strided_ = _absent("as_strided_", "Write reshape, permute, expand or slices")
    share_memory_ = _absent("share_memory_", "Smelt's workers are threads; leave the call out")
    storage = _absent("storage", "Write x.numpy() for the values")
    untyped_storage = _absent("untyped_storage", "Write x.numpy() for the values")
    to_sparse = _absent("to_sparse", "Smelt has dense tensors only")
    data_ptr = _absent("data_ptr", "Write x.numpy() for the values, or `is` to compare tensors")

    __round__ = _absent("__round__", "Write x.round(), or round(x.item())")
    __trunc__ = _absent("__trunc__", "Write x.trunc(), or int(x)")

    def cuda(self, *arguments: Any, **options: Any) -> NoReturn:
        """Raises ArgumentError: there is no device but the CPU."""
        raise no_device("cuda")
