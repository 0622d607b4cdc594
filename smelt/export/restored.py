"""The reader of tables: values as `structure` wrote them, and no others."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from smelt import dtypes
from smelt.errors import FileError
from smelt.export.header import Entry, Location
from smelt.export.structure import COMPLEX, NUMBERS, is_key
from smelt.nn.parameter import Parameter
from smelt.tensor import Tensor

__all__ = ["Reader"]

# what damaged rows make of the few operations below
DAMAGE = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError, struct.error)


class Reader:
    """Makes a value of the rows of a table.

    Args:
        path: of the file, for messages.
        entries: name -> what the header says of an array.
        arrays: name -> the array.
    """

    def __init__(
        self, path: Location, entries: dict[str, Entry], arrays: dict[str, np.ndarray]
    ) -> None:
        self._path = path
        self._entries = entries
        self._arrays = arrays
        self._values: list[Any] = []
        self._first: dict[str, Tensor] = {}  # name -> the first tensor that has this memory
        self._bytes: dict[str, bytes] = {}
        self._named: set[str] = set()

    def value(self, rows: Any) -> Any:
        """Returns what the last row stands for.

        Raises:
            FileError: the rows are none that `smelt.save` writes.
        """
        if not isinstance(rows, list) or not rows:
            self._refuse("it has no rows")
        for number, row in enumerate(rows):
            try:
                kind, *parts = row
                self._values.append(KINDS[kind](self, *parts))
            except DAMAGE as error:
                self._refuse(f"row {number}: {type(error).__name__} {error}")
        if self._named != self._entries.keys():
            more = sorted(self._entries.keys() - self._named)
            self._refuse(f"it does not name the array {more[0]!r}")
        return self._values[-1]

    def _refuse(self, reason: str) -> NoReturn:
        raise FileError(
            f"{self._path}: the description of its structure is damaged ({reason[:200]}); use "
            "another copy"
        ) from None

    # --- what rows say ----------------------------------------------------------------------------

    def _item(self, item: Any) -> Any:
        """Returns what stands within a row: a plain value, or the number of a row above."""
        if not isinstance(item, list):
            if isinstance(item, dict):
                raise ValueError("a map within a row")
            return item
        (number,) = item
        if type(number) is not int or number < 0:
            raise ValueError(f"{number!r} is not the number of a row")
        return self._values[number]

    def _items(self, *items: Any) -> list[Any]:
        return list(map(self._item, items))

    def _keys(self, *items: Any) -> list[Any]:
        keys = self._items(*items)
        if not all(map(is_key, keys)):
            raise ValueError("a key that is neither text nor a number")
        return keys

    def _pairs(self, *items: Any) -> list[tuple[Any, Any]]:
        keys = self._keys(*items[::2])
        return list(zip(keys, self._items(*items[1::2]), strict=True))

    def _entry(self, name: str) -> Entry:
        self._named.add(name)
        return self._entries[name]

    def _tensor(self, kind: type[Tensor], name: str, requires_grad: bool) -> Tensor:
        entry = self._entry(name)
        dtype = entry.dtype
        flag = type(requires_grad) is bool
        if not flag or dtype is None or (requires_grad and not dtype.is_float):
            raise ValueError(f"a tensor of {entry.kind} with requires_grad {requires_grad!r}")
        array = self._arrays[name].astype(dtype.storage, copy=False)
        tensor = kind.__new__(kind)
        Tensor.__init__(tensor, array, dtype, requires_grad)
        tensor.share_version(self._first.setdefault(name, tensor))
        return tensor

    def _array(self, name: str, dtype: str) -> np.ndarray:
        entry = self._entry(name)
        if dtype not in NUMBERS or entry.dtype_name != COMPLEX.get(dtype, dtype):
            raise ValueError(f"an array of {dtype!r} stored as {entry.kind}")
        array = self._arrays[name].astype(entry.dtype_name, copy=False)
        if dtype not in COMPLEX:
            return array
        if array.shape[-1:] != (2,):
            raise ValueError(f"complex numbers of shape {array.shape}")
        return array.view(dtype)[..., 0]

    def _content(self, name: str) -> bytes:
        if self._entry(name).kind != "U8":
            raise ValueError(f"{name!r} does not hold bytes")
        if name not in self._bytes:
            self._bytes[name] = self._arrays[name].tobytes()
        return self._bytes[name]

    def _number(self, dtype: str, digits: str) -> Any:
        if dtype not in NUMBERS:
            raise ValueError(f"{dtype!r} is not a dtype of a number")
        content = bytes.fromhex(digits)
        if dtype == "bool" and content not in (b"\0", b"\1"):
            raise ValueError(f"{digits} is not a bool")
        (number,) = np.frombuffer(content, np.dtype(dtype).newbyteorder("<")).astype(dtype)
        return number


def _double(digits: str) -> float:
    (number,) = struct.unpack(">d", bytes.fromhex(digits))
    return number


def _distinct(kind: Callable[[list[Any]], Any], items: list[Any]) -> Any:
    """Returns a set, or a dict, of what has to be distinct."""
    container = kind(items)
    if len(container) < len(items):
        raise ValueError("a key occurs twice")
    return container


def _plain(reader: Reader, value: Any) -> Any:
    if isinstance(value, (list, dict)):
        raise ValueError("not a plain value")
    return value


KINDS: dict[str, Callable[..., Any]] = {
    "value": _plain,
    "list": lambda reader, *items: reader._items(*items),
    "tuple": lambda reader, *items: tuple(reader._items(*items)),
    "set": lambda reader, *items: _distinct(set, reader._keys(*items)),
    "frozenset": lambda reader, *items: _distinct(frozenset, reader._keys(*items)),
    "dict": lambda reader, *items: _distinct(dict, reader._pairs(*items)),
    "OrderedDict": lambda reader, *items: _distinct(OrderedDict, reader._pairs(*items)),
    "tensor": lambda reader, *parts: reader._tensor(Tensor, *parts),
    "parameter": lambda reader, *parts: reader._tensor(Parameter, *parts),
    "array": Reader._array,
    "number": Reader._number,
    "bytes": Reader._content,
    "bytearray": lambda reader, name: bytearray(reader._content(name)),
    "dtype": lambda reader, name: dtypes.BY_NAME[name],
    "int": lambda reader, digits: int(digits, 16),
    "float": lambda reader, digits: _double(digits),
    "complex": lambda reader, real, imaginary: complex(_double(real), _double(imaginary)),
}
