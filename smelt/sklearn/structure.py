"""The structure of modules and optimizers: everything of them but the numbers in their tensors.

Compiled code depends on the structure only. So two trainings of equal structure can share it, and
differ in weights, moments and learning rates.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from smelt.optim.optimizer import Optimizer
from smelt.sklearn.pool import Pool
from smelt.tensor import Tensor
from smelt.tracing.engine import no_grad
from smelt.tracing.hooks import hooks_of

__all__ = ["POOL", "Twin", "lent_twin", "make_numbers_tensors", "trained"]

POOL = Pool()


@dataclass(eq=False)
class Structure:
    """The structure of a tree of objects.

    Attributes:
        key: equal for equal structures; None where that cannot be told, since something in it
            cannot be pickled.
        tensors: all tensors in it, each once, in an order that follows from the structure.
        referred: classes and functions that the key names by their identity.
    """

    key: Hashable
    tensors: list[Tensor] = field(default_factory=list)
    referred: list[Any] = field(default_factory=list)


def structure_of(parts: Any) -> Structure:
    """Returns the structure of modules, optimizers, functions, and containers of them."""
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    try:
        pickler.dump(parts)
    except (pickle.PicklingError, TypeError, AttributeError):
        return Structure(None, pickler.tensors, pickler.referred)
    return Structure(buffer.getvalue(), pickler.tensors, pickler.referred)


class _Pickler(pickle.Pickler):
    """Writes down objects, with a description in the place of each tensor."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.tensors: list[Tensor] = []
        self.referred: list[Any] = []
        self._numbers: dict[int, int] = {}

    def persistent_id(self, value: Any) -> Any:
        """Returns what stands for a tensor, a class or a function; None for all else."""
        if isinstance(value, Tensor):
            return self._described(value)
        if isinstance(value, (type, FunctionType, BuiltinFunctionType, ModuleType)):
            self.referred.append(value)  # so that no other object gets its identity
            return "object", id(value)
        return None

    def reducer_override(self, value: Any) -> Any:
        """Leaves out the defaults of an optimizer of Smelt's, which new groups only look at."""
        if isinstance(value, Optimizer) and type(value).__module__.startswith("smelt.optim."):
            state = {name: part for name, part in vars(value).items() if name != "defaults"}
            return object.__new__, (type(value),), state
        return NotImplemented

    def _described(self, tensor: Tensor) -> Any:
        if hooks_of(tensor):
            raise pickle.PicklingError("a tensor with hooks is like no other")
        number = self._numbers.setdefault(id(tensor), len(self.tensors))
        if number == len(self.tensors):
            self.tensors.append(tensor)
        kind = type(tensor).__name__
        return "tensor", number, kind, tensor.shape, tensor.dtype.name, tensor.requires_grad


class Twin:
    """A copy of parts, with what was compiled for it.

    Args:
        parts: what is copied.
        referred: what the key of its structure names by identity.

    Attributes:
        parts: the copy.
        compiled: what was made of it, by name, such as compiled functions.
    """

    def __init__(self, parts: Any, referred: Sequence[Any] = ()) -> None:
        self.parts: Any = copy.deepcopy(parts)
        self.compiled: dict[str, Any] = {}
        self.tensors: list[Tensor] = structure_of(self.parts).tensors
        self._referred = referred

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """Returns what was made under a name, once."""
        if name not in self.compiled:
            self.compiled[name] = make()
        return self.compiled[name]


@contextmanager
def lent_twin(parts: Any) -> Iterator[Twin]:
    """Lends, within the block, a twin of some parts with their numbers; nothing comes back.

    Args:
        parts: modules, optimizers, functions, and containers of them. Where their structure cannot
            be told the twin is a new one.
    """
    structure, twin = _twin_of(parts)
    yield twin
    _give_back(structure, twin)


def trained(parts: Any, train: Callable[[Twin], None]) -> Any:
    """Returns parts after a training of their twin.

    Args:
        parts: as of `lent_twin`; their tensors get the twin's numbers.
        train: changes the twin.

    Returns:
        `parts`; or the twin's, which are nobody else's then, if more of them has changed than the
        numbers in their tensors.
    """
    structure, twin = _twin_of(parts)
    train(twin)
    if not _give_back(structure, twin):
        return twin.parts
    _copy(structure.tensors, twin.tensors)
    return parts


def _twin_of(parts: Any) -> tuple[Structure, Twin]:
    structure = structure_of(parts)
    twin = None if structure.key is None else POOL.taken(structure.key)
    if twin is None:
        return structure, Twin(parts, structure.referred)
    _copy(twin.tensors, structure.tensors)
    return structure, twin


def _give_back(structure: Structure, twin: Twin) -> bool:
    """Gives a twin back for others, if it still has the structure that it was made for; returns
    whether it has.
    """
    if structure.key is None or structure_of(twin.parts).key != structure.key:
        return False
    POOL.give_back(structure.key, twin)
    return True


def _copy(to: Sequence[Tensor], given: Sequence[Tensor]) -> None:
    with no_grad():
        for own, other in zip(to, given, strict=True):
            own.copy_(other)


def make_numbers_tensors(optimizer: Optimizer) -> None:
    """Makes the settings of an optimizer that are numbers, and not 0, tensors: then a compiled step
    reads them, and serves other numbers as well. A 0 switches a part off, and stays a setting.
    """
    for group in optimizer.param_groups:
        for name, value in list(group.items()):
            if isinstance(value, float) and value:
                group.make_traced(name)
            elif isinstance(value, tuple):
                for index, item in enumerate(value):
                    if isinstance(item, float) and item:
                        group.make_traced(name, index)
