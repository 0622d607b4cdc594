"""Storages, the blocks of numbers in a file of `torch.save`, and the tensors that look into them.

A storage is one row of numbers. A tensor is a view of one: where it begins, its shape, and how far
apart the neighbors along each axis lie (its strides, in elements). Several tensors may look into
one storage, and share its memory here as they did in PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from smelt import dtypes
from smelt.dtypes import DType
from smelt.export.bounded_file import BoundedFile
from smelt.export.pickle_machine import Contradiction, Unfinished
from smelt.memory import SMALL, aligned_empty
from smelt.tensor import Tensor

__all__ = ["KINDS", "MOST_AXES", "Kind", "Storage", "Storages"]

TENSOR = 350  # bytes of memory that the objects around an array take
STORAGE = 400
ALIGNED = 300  # and those of an array that begins on a cache line
MOST_AXES = 64  # NumPy's
LARGEST = 2**56  # of all numbers that a shape, an offset or strides may have


@dataclass(frozen=True, slots=True)
class Kind:
    """What the numbers of a storage are.

    Attributes:
        dtype: Smelt's; for integers that Smelt has not, one that holds all of them.
        layout: of the array that holds its bytes, in the order of this machine.
    """

    dtype: DType
    layout: np.dtype[Any]


# the class that PyTorch writes into a file -> what the numbers are
KINDS = {
    "BoolStorage": Kind(dtypes.bool_, np.dtype("?")),
    "ByteStorage": Kind(dtypes.int32, np.dtype("u1")),
    "CharStorage": Kind(dtypes.int8, np.dtype("i1")),
    "ShortStorage": Kind(dtypes.int32, np.dtype("i2")),
    "IntStorage": Kind(dtypes.int32, np.dtype("i4")),
    "LongStorage": Kind(dtypes.int64, np.dtype("i8")),
    "HalfStorage": Kind(dtypes.float16, np.dtype("f2")),
    "BFloat16Storage": Kind(dtypes.bfloat16, np.dtype("u2")),
    "FloatStorage": Kind(dtypes.float32, np.dtype("f4")),
    "DoubleStorage": Kind(dtypes.float64, np.dtype("f8")),
}


@dataclass(slots=True)
class Storage(Unfinished):
    """A row of numbers in a file.

    Attributes:
        key: under which the file keeps it.
        kind: what they are.
        count: how many.
        start: the byte of the file with which they begin.
        checksum: the CRC-32 of their bytes, if the file has one.
        array: the numbers, once there is a tensor of them; empty until `Storages.fill`.
        first: the first tensor that has this memory.
    """

    key: str
    kind: Kind
    count: int
    start: int = 0
    checksum: int | None = None
    array: np.ndarray | None = None
    first: Tensor | None = field(default=None, repr=False)

    @property
    def nbytes(self) -> int:
        """The bytes that it takes in the file."""
        return self.count * self.kind.layout.itemsize


class Storages:
    """The storages of a file.

    Args:
        file: in which they stand.
        locate: sets the start of a storage, or raises FileError when it is not there; None where
            that is known only later.
        swapped: whether the bytes of a number stand in the other order than this machine's.
        mmap: whether arrays are a view of the file, where they can be.
    """

    def __init__(
        self,
        file: BoundedFile,
        locate: Callable[[Storage], None] | None,
        swapped: bool = False,
        mmap: bool = False,
    ) -> None:
        self.by_key: dict[str, Storage] = {}
        self._file = file
        self._locate = locate
        self._swapped = swapped
        self._mmap = mmap
        self._mapped: set[str] = set()
        self._copies: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, key: str, kind: Kind, count: int) -> Storage:
        """Returns the storage of a key.

        Raises:
            Contradiction: the file has said something else of it before.
        """
        if key not in self.by_key:
            self._file.take(STORAGE)
            self.by_key[key] = Storage(key, kind, count)
        storage = self.by_key[key]
        if (storage.kind, storage.count) != (kind, count):
            raise Contradiction(f"two different descriptions of storage {key[:60]!r}")
        return storage

    def tensor(
        self, storage: Storage, offset: Any, shape: Any, strides: Any, requires_grad: bool
    ) -> Tensor:
        """Returns a tensor that looks into a storage, and has its values after `fill`.

        Raises:
            Contradiction: it would look outside of it.
        """
        self._file.take(TENSOR + 16 * len(shape))
        _check_view(storage, offset, shape, strides)
        dtype = storage.kind.dtype
        if requires_grad and not dtype.is_float:
            raise Contradiction(f"a gradient for a tensor of {dtype.name}")
        if 0 in shape:
            return Tensor(np.empty(shape, dtype.storage), dtype, requires_grad)
        array = self._array(storage)
        step = array.itemsize
        view = np.ndarray(shape, array.dtype, array, offset * step, [n * step for n in strides])
        if _overlaps_itself(shape, strides):
            self._file.take(view.size * step)
            copy = aligned_empty(shape, array.dtype)
            self._copies.append((copy, view))
            return Tensor(copy, dtype, requires_grad)
        tensor = Tensor(view, dtype, requires_grad)
        storage.first = tensor if storage.first is None else storage.first
        tensor.share_version(storage.first)
        return tensor

    def fill(self) -> None:
        """Reads the numbers of all storages that tensors look into.

        Raises:
            FileError: they are not there, or differ from their checksum.
        """
        for storage in self.by_key.values():
            if storage.array is not None and storage.key not in self._mapped:
                self._read(storage, storage.array)
            if storage.kind.dtype is dtypes.bool_ and storage.array is not None:
                self._check_bools(storage.array)
        for copy, view in self._copies:
            np.copyto(copy, view)

    def _array(self, storage: Storage) -> np.ndarray:
        """Returns the array of a storage, perhaps without its numbers yet."""
        if storage.array is None:
            if self._locate is not None:
                self._locate(storage)
            storage.array = self._view_of_file(storage) if self._mmap else self._empty(storage)
        return storage.array

    def _empty(self, storage: Storage) -> np.ndarray:
        if storage.nbytes > self._file.size:
            raise Contradiction(f"{storage.count} numbers in a file of {self._file.size} bytes")
        self._file.take(storage.nbytes + (ALIGNED if storage.nbytes >= SMALL else 0))
        return aligned_empty((storage.count,), storage.kind.dtype.storage)

    def _view_of_file(self, storage: Storage) -> np.ndarray:
        layout = storage.kind.layout
        array = self._file.mapped(storage.start, storage.nbytes, layout)
        if self._swapped or layout != storage.kind.dtype.storage or not array.flags.aligned:
            return self._empty(storage)
        self._mapped.add(storage.key)
        return array

    def _read(self, storage: Storage, array: np.ndarray) -> None:
        """Reads the numbers of a storage, those of a narrower dtype by way of an array of it."""
        layout = storage.kind.layout
        content = array if layout == array.dtype else np.empty(storage.count, layout)
        self._file.fill(storage.start, content, None if self._mmap else storage.checksum)
        if self._swapped:
            content.byteswap(inplace=True)
        if content is not array:
            array[...] = content

    def _check_bools(self, array: np.ndarray) -> None:
        if array.view(np.uint8).max(initial=0) > 1:
            raise self._file.damaged("a tensor of bools has bytes other than 0 and 1")


def _check_view(storage: Storage, offset: Any, shape: Any, strides: Any) -> None:
    """Raises Contradiction when a tensor would look outside of its storage."""
    if len(shape) != len(strides) or len(shape) > MOST_AXES:
        raise Contradiction(f"{len(shape)} axes and {len(strides)} strides")
    numbers = (offset, *shape, *strides)
    if not all(type(number) is int and 0 <= number < LARGEST for number in numbers):
        raise Contradiction("a shape, an offset or strides that are not valid integers")
    end = offset
    if 0 not in shape:
        end += 1 + sum((extent - 1) * step for extent, step in zip(shape, strides, strict=True))
    if end > storage.count or math.prod(max(1, extent) for extent in shape) >= LARGEST:
        raise Contradiction("a tensor that reaches beyond its storage")


def _overlaps_itself(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Returns whether two elements of a view may be one number, as after `expand`."""
    reach = 0
    for step, extent in sorted(zip(strides, shape, strict=True)):
        if extent > 1:
            if step <= reach:
                return True
            reach += step * (extent - 1)
    return False
