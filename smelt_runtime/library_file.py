"""Library files: what they look like, and how one is read without trusting any number in it.

    offset  bytes
         0      8   "SMELTLIB"
         8      4   version of the format, 1 (numbers are little-endian)
        12      4   length of the header
        16     32   SHA-256 of all that follows
        48          header: a map in JSON, UTF-8
                    zeros up to a multiple of 64
                    code, as it lies in memory
                    zeros up to a multiple of 64
                    the contents of the tensors, one behind the other, in the header's order

The header's map:

    name, made_by       texts
    machine, cpu        what the code is for, such as "x86_64", "x86-64-v3"
    needs               what Linux calls the features of the CPU that the code uses
    code_bytes, entry   the size of the code, and where its function int(void **addresses) begins
    state_bytes         the size of the state: tensors and memory for temporaries
    tensors             of each its name, kind, dtype, shape, and offset in the state
    arguments, results  of each its name, dtype and shape, in order
    structure           what the function returns: see `structure.py`
    checks              what is wrong when the function returns 1, 2, ...

The checksum finds damage. It does not say who wrote a file.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from smelt_runtime.errors import LibraryError
from smelt_runtime.structure import checked_structure

MAGIC, VERSION = b"SMELTLIB", 1
_START = struct.Struct("<8sII32s")
LINE = 64  # bytes; at multiples of which code and tensors begin, in the file and in the state
LARGEST = 1 << 46  # bytes that a state may have: more than any address space
# bfloat16 is passed as its bits
DTYPES = {
    "bool": np.dtype("?"),
    "int32": np.dtype("<i4"),
    "int64": np.dtype("<i8"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
    "float32": np.dtype("<f4"),
    "float64": np.dtype("<f8"),
}


class Parameter(NamedTuple):
    """An argument or a result: its name, its dtype, and its shape.

    bfloat16 is passed as its bits, in arrays of uint16.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def storage(self) -> np.dtype:
        """NumPy's dtype of its arrays."""
        return DTYPES[self.dtype]

    @property
    def nbytes(self) -> int:
        """Bytes that an array takes."""
        return self.storage.itemsize * math.prod(self.shape)


class TensorField(NamedTuple):
    """A tensor in the state: what it is, and where it begins."""

    name: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def parameter(self) -> Parameter:
        """The same, without the place."""
        return Parameter(self.name, self.dtype, self.shape)


@dataclass(frozen=True)
class LibraryFile:
    """What a library file says."""

    name: str
    machine: str
    cpu: str
    needs: tuple[str, ...]
    entry: int
    state_bytes: int
    tensors: tuple[TensorField, ...]
    arguments: tuple[Parameter, ...]
    results: tuple[Parameter, ...]
    structure: list[Any]
    checks: tuple[str, ...]
    code: bytes
    contents: tuple[bytes, ...]  # of the tensors


def written(header: dict[str, Any], code: bytes, contents: Sequence[bytes]) -> bytes:
    """Returns the bytes of a library file."""
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    body = bytearray(text)
    for part in (code, b"".join(contents)):
        body += bytes(-(_START.size + len(body)) % LINE) + part
    return _START.pack(MAGIC, VERSION, len(text), hashlib.sha256(body).digest()) + bytes(body)


def read(path: str | os.PathLike[str]) -> LibraryFile:
    """Returns what a library file says.

    Raises:
        LibraryError: the file is missing, is no library, or is damaged.
    """
    shown = ascii(os.fsdecode(path))[1:-1]
    data = _contents(path, shown)
    try:
        return _parsed(data)
    except _Wrong as problem:
        raise LibraryError(f"{shown}: is no library that can be loaded: {problem}") from None


class _Wrong(Exception):
    """Something in a file that is not as it must be."""


def _contents(path: str | os.PathLike[str], shown: str) -> bytes:
    try:
        # a pipe that nobody writes to would never end
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise LibraryError(f"{shown}: is no file")
            return file.read()
    except (OSError, ValueError) as problem:
        if isinstance(problem, LibraryError):
            raise
        reason = getattr(problem, "strerror", None) or str(problem)
        raise LibraryError(f"{shown}: cannot be read ({reason})") from None


def _parsed(data: bytes) -> LibraryFile:
    if len(data) < _START.size or data[:8] != MAGIC:
        raise _Wrong("it does not begin as one")
    _, version, length, digest = _START.unpack_from(data)
    if version != VERSION:
        raise _Wrong(f"it has version {version} of the format; this is for {VERSION}")
    if hashlib.sha256(memoryview(data)[_START.size :]).digest() != digest:
        raise _Wrong("it is damaged (its checksum differs); copy it once more")
    if length > len(data) - _START.size:
        raise _Wrong("its header is longer than the file")
    try:
        header = json.loads(data[_START.size : _START.size + length], object_pairs_hook=_map)
    except (ValueError, RecursionError):
        raise _Wrong("its header is no JSON") from None
    if not isinstance(header, dict):
        raise _Wrong("its header is no map")
    return _Header(header).file(data, _START.size + length)


def _map(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise _Wrong("its header names something twice")
    return result


class _Header:
    """Reads a header, each value by its kind."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def file(self, data: bytes, end: int) -> LibraryFile:
        code_bytes = self.number("code_bytes", 1, len(data))
        state_bytes = self.number("state_bytes", 1, LARGEST)
        tensors = self.several("tensors", lambda one: one.tensor(state_bytes))
        first = -(-end // LINE) * LINE
        start = -(-(first + code_bytes) // LINE) * LINE
        if any(data[end:first] + data[first + code_bytes : start]):
            raise _Wrong("there is something between its parts")
        contents, at = [], start
        for one in tensors:
            contents.append(data[at : at + one.parameter.nbytes])
            at += one.parameter.nbytes
        if at != len(data):
            raise _Wrong(f"it should have {at} bytes, and has {len(data)}")
        if len({one.name for one in tensors}) < len(tensors):
            raise _Wrong("two tensors have one name")
        results = self.several("results", _Header.parameter)
        return LibraryFile(
            self.text("name"),
            self.text("machine"),
            self.text("cpu"),
            self.texts("needs"),
            self.number("entry", 0, code_bytes - 1),
            state_bytes,
            tensors,
            self.several("arguments", _Header.parameter),
            results,
            self.structure(len(results)),
            self.texts("checks"),
            data[first : first + code_bytes],
            tuple(contents),
        )

    def get(self, key: str, kind: type) -> Any:
        value = self.values.get(key)
        if type(value) is not kind:
            raise _Wrong(f"its header has no {key} of type {kind.__name__}")
        return value

    def text(self, key: str) -> str:
        text: str = self.get(key, str)
        return text if text.isprintable() else ascii(text)

    def texts(self, key: str) -> tuple[str, ...]:
        values = self.get(key, list)
        if not all(type(one) is str for one in values):
            raise _Wrong(f"{key} in its header are no texts")
        return tuple(values)

    def number(self, key: str, least: int, most: int) -> int:
        value: int = self.get(key, int)
        if not least <= value <= most:
            raise _Wrong(f"{key}={str(value)[:30]} in its header is not from {least} to {most}")
        return value

    def several(self, key: str, read_one: Callable[[_Header], Any]) -> tuple[Any, ...]:
        values = self.get(key, list)
        if not all(type(one) is dict for one in values):
            raise _Wrong(f"{key} in its header are no maps")
        return tuple(read_one(_Header(one)) for one in values)

    def parameter(self) -> Parameter:
        dtype, shape = self.text("dtype"), self.get("shape", list)
        if dtype not in DTYPES:
            raise _Wrong(f"there is no dtype {dtype}")
        extents = [n for n in shape if type(n) is int and 0 <= n < LARGEST]
        made = Parameter(self.text("name"), dtype, tuple(extents))
        if len(extents) < len(shape) or len(shape) > 64 or made.nbytes > LARGEST:
            raise _Wrong(f"the shape of {made.name} is none")
        return made

    def tensor(self, state_bytes: int) -> TensorField:
        parameter = self.parameter()
        most = state_bytes - parameter.nbytes
        offset = self.number("offset", 0, most)
        if offset % parameter.storage.itemsize:
            raise _Wrong(f"{parameter.name} lies between two elements")
        return TensorField(
            parameter.name, self.text("kind"), parameter.dtype, parameter.shape, offset
        )

    def structure(self, results: int) -> list[Any]:
        value: list[Any] = self.get("structure", list)
        if not checked_structure(value, results):
            raise _Wrong("the structure of its results is none")
        return value
