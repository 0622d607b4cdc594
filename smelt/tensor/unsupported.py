"""Names that PyTorch's tensors have and Smelt's do not: each says what to write instead."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

from smelt.absent_names import INSTEAD
from smelt.errors import ArgumentError, AssignmentError, MissingName
from smelt.name_families import FAMILIES
from smelt.names import hint
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


@functools.lru_cache(maxsize=1024)
def _hint(name: str) -> str:
    """Returns what to write in the place of an attribute."""
    from smelt.tensor import Tensor  # which is made of this file

    public = frozenset(known for known in dir(Tensor) if not known.startswith("_"))
    instead = {**INSTEAD["smelt"], **INSTEAD["Tensor"]}
    return hint(name, public, "Tensor", instead, FAMILIES)


class Unsupported:
    """A base class of Tensor."""

    __slots__ = ()

    resize_: Final = _absent("resize_", "A tensor keeps its shape; make a new one with smelt.zeros")
    set_: Final = _absent("set_", "Write x.copy_(y) under smelt.no_grad(), or x = y")
    detach_: Final = _absent("detach_", "A tensor keeps its history; write x = x.detach()")
    squeeze_: Final = _reshaping("squeeze_")
    swapaxes_: Final = _reshaping("swapaxes_")
    swapdims_: Final = _reshaping("swapdims_")
    t_: Final = _reshaping("t_")
    transpose_: Final = _reshaping("transpose_")
    unsqueeze_: Final = _reshaping("unsqueeze_")

    __round__: Final = _absent("__round__", "Write x.round(), or round(x.item())")
    __trunc__: Final = _absent("__trunc__", "Write x.trunc(), or int(x)")

    if not TYPE_CHECKING:  # so that a type checker still sees misspelled attributes

        def __getattr__(self, name: str) -> NoReturn:
            message = f"a tensor has no attribute {name!r}"
            if name.startswith("__"):  # a protocol of Python's asks
                raise AttributeError(message)
            raise MissingName(message + _hint(name))

    def cuda(self, *arguments: Any, **options: Any) -> NoReturn:
        """Raises ArgumentError: the CPU is the only device."""
        raise no_device("cuda")
