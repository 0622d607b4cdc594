"""How nested values are written: as a JSON table, together with named arrays.

A row of the table is `[kind, ...]` and refers only to rows above it, as `[number]`. So there is no
recursion however deeply a value is nested, an object that occurs twice is written once and read as
one object, and no file can describe a value that contains itself, or that is much larger than the
file.

    {"layers": [64, 10], "weights": weights}

    [["list", 64, 10], ["tensor", "weights", false], ["dict", "layers", [0], "weights", [1]]]
"""

from __future__ import annotations

import math
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np

from smelt.dtypes import DType
from smelt.errors import ArgumentError
from smelt.export.refusal import Path, described, refusal
from smelt.nn.parameter import Parameter
from smelt.tensor import Tensor

__all__ = ["COMPLEX", "NUMBERS", "Rows", "Written", "is_key", "written"]

Rows = list[list[Any]]
Stored = dict[str, tuple[str, np.ndarray]]  # name -> name of the dtype, what the file holds

NUMBERS = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
COMPLEX = {"complex64": "float32", "complex128": "float64"}  # written as pairs of these
WIDEST = 2**63  # integers from here on are written in hexadecimal digits
LARGEST_KEY = 2**60
KEYS = (bool, float, complex, str, bytes, DType)


def _pairs(value: Mapping[Any, Any]) -> Iterable[Any]:
    return chain.from_iterable(value.items())


CONTAINERS: dict[type, Callable[[Any], Iterable[Any]]] = {
    list: iter,
    tuple: iter,
    set: iter,
    frozenset: iter,
    dict: _pairs,
    OrderedDict: _pairs,
}


class Written:
    """A value as a table and arrays.

    Attributes:
        rows: the table; the last row is the value.
        arrays: name -> dtype's name and the array that it stands for; not copied.
    """

    def __init__(self) -> None:
        self.rows: Rows = []
        self.arrays: Stored = {}
        self._numbers: dict[int, int] = {}  # id of an object -> its row
        self._names: dict[Any, str] = {}  # memory of a tensor -> the name under which it is kept

    def is_known(self, value: Any) -> bool:
        """Returns whether a value needs no row, or has one."""
        return _is_plain(value) or id(value) in self._numbers

    def item(self, value: Any) -> Any:
        """Returns how a known value stands within a row."""
        return value if _is_plain(value) else [self._numbers[id(value)]]

    def add(self, value: Any, path: Path) -> None:
        """Writes the row of a value whose parts are known."""
        if type(value) in CONTAINERS:
            _check_keys(value, path)
            parts = map(self.item, CONTAINERS[type(value)](value))
            row = [type(value).__name__, *parts]
        else:
            row = self._leaf(value, path)
        self._numbers[id(value)] = len(self.rows)
        self.rows.append(row)

    def _leaf(self, value: Any, path: Path) -> list[Any]:
        if isinstance(value, Tensor):
            kind = "parameter" if isinstance(value, Parameter) else "tensor"
            wanted = value.requires_grad and (value.tape_entry is None)
            return [kind, self._tensor_name(value, path), wanted]
        if type(value) is np.ndarray:
            return ["array", self._array_name(value, path), value.dtype.name]
        if type(value) in (bytes, bytearray):
            content = np.frombuffer(value, np.uint8)
            return [type(value).__name__, self._keep(path, "uint8", content)]
        if isinstance(value, np.generic) and value.dtype.name in NUMBERS:
            little = value.dtype.newbyteorder("<")
            return ["number", value.dtype.name, np.asarray(value, little).tobytes().hex()]
        if isinstance(value, DType):
            return ["dtype", value.name]
        if type(value) is int:
            return ["int", hex(value)]
        if type(value) in (float, complex):
            numbers = (value.real, value.imag) if type(value) is complex else (value,)
            return [type(value).__name__, *(struct.pack(">d", number).hex() for number in numbers)]
        raise refusal(value, path)

    def _tensor_name(self, tensor: Tensor, path: Path) -> str:
        """Returns the name of a tensor's contents: one for all that share their memory."""
        if tensor.is_traced:
            tensor.numpy()  # which refuses it: it has a value only when the step runs
        array = tensor.stored
        memory = array.ctypes.data, array.shape, array.strides, tensor.dtype.name
        if memory not in self._names:
            self._names[memory] = self._keep(path, tensor.dtype.name, array)
        return self._names[memory]

    def _array_name(self, array: np.ndarray, path: Path) -> str:
        name = array.dtype.name
        if name not in NUMBERS:
            raise refusal(array, path)
        if name in COMPLEX:
            return self._keep(path, COMPLEX[name], _pairs_of_complex(array))
        return self._keep(path, name, array)

    def _keep(self, path: Path, dtype: str, array: np.ndarray) -> str:
        """Keeps an array under a name of its own, which says where it stands in the value."""
        name = first = path.name()
        count = 1
        while name in self.arrays or name == "__metadata__":
            count += 1
            name = f"{first}~{count}"
        self.arrays[name] = dtype, array
        return name


def written(value: Any) -> Written:
    """Returns a value as a table and arrays.

    Raises:
        ArgumentError: it holds itself, or something that no file of Smelt's holds.
    """
    result = Written()
    around: set[int] = set()  # ids of the containers that are open
    stack = [(value, Path(None, None), False)]
    while stack:
        part, path, parts_are_known = stack.pop()
        if parts_are_known:
            around.remove(id(part))
            result.add(part, path)
        elif result.is_known(part):
            continue
        elif type(part) in CONTAINERS:
            if id(part) in around:
                raise ArgumentError(f"save: {path} is {described(part)} that contains itself")
            around.add(id(part))
            stack.append((part, path, True))
            stack += reversed([(below, at, False) for below, at in _below(part, path)])
        else:
            result.add(part, path)
    if _is_plain(value):
        result.rows.append(["value", value])
    return result


def _pairs_of_complex(array: np.ndarray) -> np.ndarray:
    """Returns complex numbers as pairs along a last axis."""
    real = np.dtype(COMPLEX[array.dtype.name])
    return np.stack([array.real, array.imag], -1).astype(real, copy=False)


def _is_plain(value: Any) -> bool:
    """Returns whether JSON has the value."""
    kind = type(value)
    if kind is int:
        return -WIDEST < value < WIDEST
    return value is None or kind in (bool, str) or (kind is float and math.isfinite(value))


def _below(container: Any, path: Path) -> Iterator[tuple[Any, Path]]:
    """Yields what a container holds and JSON has not, with its place."""
    if isinstance(container, Mapping):
        for key, value in container.items():
            if not _is_plain(key):
                yield key, Path(path, key)
            if not _is_plain(value):
                yield value, Path(path, key)
    else:
        for number, value in enumerate(container):
            if not _is_plain(value):
                yield value, Path(path, number)


def _check_keys(container: Any, path: Path) -> None:
    """Raises when a dict has a key, or a set an element, that no file holds."""
    if isinstance(container, (Mapping, set, frozenset)):
        for key in container:
            if not is_key(key):
                raise ArgumentError(
                    f"save: {path} has the key {described(key)}; keys must be text, None, numbers "
                    "(integers below 2**60 in size) or tuples of these"
                )


def is_key(value: Any, outermost: bool = True) -> bool:
    """Returns whether a dict of a file may have this key, or a set this element.

    Hashing a deep value calls itself, and whole numbers from 2**61 on can be chosen to have one
    hash: neither is left to what a file says.
    """
    kind = type(value)
    if kind is int:
        return -LARGEST_KEY < value < LARGEST_KEY
    if kind is tuple and outermost:
        return all(is_key(part, False) for part in value)
    return value is None or kind in KEYS or isinstance(value, np.generic)
