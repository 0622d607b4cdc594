"""The dtypes, and the one table that says what several of them make together.

`float16`, `bfloat16` and `int8` are storage: arithmetic on the floats happens in float32 and is
rounded when it is stored, arithmetic on int8 happens in int32 and wraps around. NumPy has no
bfloat16, so its bits live in a `uint16` array; `decode` and `encode` translate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from smelt.errors import DTypeError

__all__ = [
    "DType",
    "bfloat16",
    "bool_",
    "float16",
    "float32",
    "float64",
    "int8",
    "int32",
    "int64",
]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class DType:
    """A kind of number: its name, its family, and the NumPy dtype that stores it."""

    name: str
    kind: str  # "bool", "int" or "float"
    storage: np.dtype[Any]
    rank: int

    @property
    def itemsize(self) -> int:
        """Bytes that one element takes in memory."""
        return self.storage.itemsize

    @property
    def is_float(self) -> bool:
        """Whether numbers of this dtype have a fraction, and so a derivative."""
        return self.kind == "float"

    @property
    def compute(self) -> DType:
        """The dtype in which arithmetic on this one is done."""
        if self.kind == "float" and self.itemsize == 2:
            return float32
        return int32 if self.kind == "int" and self.itemsize == 1 else self

    def __repr__(self) -> str:
        return f"smelt.{self.name}"

    def __reduce__(self) -> str:
        return self.name if self.name != "bool" else "bool_"


bool_: Final = DType("bool", "bool", np.dtype(np.bool_), 0)
int8: Final = DType("int8", "int", np.dtype(np.int8), 1)
int32: Final = DType("int32", "int", np.dtype(np.int32), 2)
int64: Final = DType("int64", "int", np.dtype(np.int64), 3)
float16: Final = DType("float16", "float", np.dtype(np.float16), 4)
bfloat16: Final = DType("bfloat16", "float", np.dtype(np.uint16), 4)
float32: Final = DType("float32", "float", np.dtype(np.float32), 5)
float64: Final = DType("float64", "float", np.dtype(np.float64), 6)

_KINDS = {"bool": 0, "int": 1, "float": 2}
ALL = (bool_, int8, int32, int64, float16, bfloat16, float32, float64)
BY_NAME = {dtype.name: dtype for dtype in ALL}
_BY_STORAGE = {dtype.storage: dtype for dtype in ALL if dtype is not bfloat16}
# NumPy dtypes that Smelt does not have, and the nearest one that holds every value of theirs
_WIDENED = {"int16": int32, "uint8": int32, "uint16": int32, "uint32": int64}
_PYTHON: dict[type, DType] = {bool: bool_, int: int64, float: float32}


def as_dtype(given: Any) -> DType:
    """Returns the DType that `given` names: a DType, its name, a NumPy dtype, or bool, int, float.

    An array's `dtype` that Smelt has not, such as NumPy's uint8, gives the nearest that holds its
    values; a name or a type is what somebody asks for, and must be there.

    Raises DTypeError when Smelt has no such dtype.
    """
    if isinstance(given, DType):
        return given
    if isinstance(given, str) and given in BY_NAME:
        return BY_NAME[given]
    if isinstance(given, type) and given in _PYTHON:
        return _PYTHON[given]
    if isinstance(getattr(given, "dtype", None), DType):
        return as_dtype(given.dtype)  # `FloatTensor`, which stands for its dtype
    try:
        storage = np.dtype(given).newbyteorder("=")
    except (TypeError, ValueError):
        raise DTypeError(f"{given!r} is not a dtype; Smelt has {', '.join(BY_NAME)}") from None
    wider = _WIDENED.get(storage.name)
    if wider is not None and isinstance(given, (str, type)):
        raise DTypeError(
            f"dtype {storage} is not supported: use {wider.name}, which can hold all its values; "
            f"Smelt has {', '.join(BY_NAME)}"
        )
    dtype = _BY_STORAGE.get(storage) or wider
    if dtype is None:
        raise DTypeError(f"dtype {storage} is not supported; Smelt has {', '.join(BY_NAME)}")
    return dtype


def promote(a: DType, b: DType) -> DType:
    """Returns the dtype of an operation on an `a` and a `b` of one standing: the wider of the two.

    Floats win over integers whatever their width (int64 with float32 is float32, as in PyTorch);
    float16 with bfloat16 is float32.
    """
    if a is b:
        return a
    if a.rank == b.rank:
        return float32
    return a if a.rank > b.rank else b


def promote_by_standing(*standings: DType | None) -> DType:
    """Returns the dtype of an operation whose operands differ in standing, as in PyTorch.

    Tensors with axes stand first, then tensors of shape (), then numbers. A lower standing changes
    the dtype only when its kind (bool, int, float) is a higher one: then it gives its own.

    Args:
        standings: the dtype that the operands of each standing promote to, the highest standing
            first; None where there are none; there is one at least.
    """
    given = [dtype for dtype in standings if dtype is not None]
    return max(given, key=lambda dtype: _KINDS[dtype.kind])  # the first of equal kinds


def number_dtype(number: Any) -> DType:
    """Returns what a Python or NumPy number counts as when it meets tensors: bool, int64 or
    float32.
    """
    if isinstance(number, (bool, np.bool_)):
        return bool_
    return int64 if isinstance(number, (int, np.integer)) else float32


def largest(dtype: DType) -> float:
    """Returns the largest finite number of a float dtype."""
    if dtype is bfloat16:
        return float(decode(np.array(0x7F7F, np.uint16), bfloat16))
    return float(np.finfo(dtype.storage).max)


def smallest_normal(dtype: DType) -> float:
    """Returns the smallest positive number of a float dtype that has all its digits."""
    return float(np.finfo(np.float32 if dtype is bfloat16 else dtype.storage).tiny)


def decode(array: np.ndarray, dtype: DType) -> np.ndarray:
    """Returns the numbers that a storage array holds; only bfloat16 differs from its storage."""
    if dtype is not bfloat16:
        return array
    bits = np.asarray(array).astype(np.uint32)
    return np.left_shift(bits, 16, out=bits).view(np.float32)


def encode(array: np.ndarray, dtype: DType) -> np.ndarray:
    """Returns the storage array of numbers, rounded to nearest even; the inverse of `decode`.

    Floats become integers by truncation; what does not fit saturates and nan becomes 0, on every
    CPU.
    """
    array = np.asarray(array)
    if dtype is bfloat16:
        bits = array.astype(np.float32).view(np.uint32)
        rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
        quiet = (bits >> 16) | 0x40
        return np.where(np.isnan(array), quiet, rounded).astype(np.uint16)
    if dtype.kind == "int" and array.dtype.kind == "f":
        limits = np.iinfo(dtype.storage)
        low, high = float(limits.min), float(limits.max)
        integer = np.trunc(
            np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=high, neginf=low)
        )
        inside = np.where((integer > low) & (integer < high), integer, 0.0).astype(dtype.storage)
        return np.where(
            integer >= high, limits.max, np.where(integer <= low, limits.min, inside)
        ).astype(dtype.storage)
    with np.errstate(over="ignore"):
        return array.astype(dtype.storage, copy=False)
