"""Weights as .safetensors files: named arrays without code.

The file format is https://github.com/huggingface/safetensors: eight bytes with the length of a JSON
header, the header, the bytes of the arrays. Smelt adds a SHA-256 of the contents to the header's
metadata, and raises an error for a file whose contents do not match it. Files of other programs
have none, and can be loaded as well.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from smelt.atomic import replacing
from smelt.errors import ArgumentError, FileError
from smelt.export.header import (
    KINDS,
    LAYOUTS,
    LENGTH,
    LONGEST,
    METADATA,
    SafetensorsFile,
    opened,
    require_library,
    unknown_dtype,
)
from smelt.tensor import Tensor, as_tensor

__all__ = [
    "STRUCTURE",
    "copied",
    "load_file",
    "read_arrays",
    "read_metadata",
    "read_tensors",
    "save_file",
    "write_arrays",
]

CHECKSUM = "sha256"
STRUCTURE = "smelt.structure"  # how `smelt.save` put values together, as JSON

Location = str | os.PathLike[str]
Arrays = dict[str, tuple[str, np.ndarray]]  # name -> dtype, bytes in the layout of the file


def save_file(
    tensors: Mapping[str, Tensor], path: Location, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors to a .safetensors file, completely or not at all.

    The tensors are copied first, so each is consistent even if a step in another thread changes it
    meanwhile. For a consistent set of tensors, save between two steps.

    Args:
        tensors: name -> Tensor or NumPy array of any shape and dtype, such as `model.state_dict()`.
        path: the file; an existing one is replaced and keeps its permissions.
        metadata: text to keep in the header; the names "sha256" and "smelt.structure" are taken.

    Raises:
        ArgumentError: `tensors` is not a dict of tensors by name, a name is "__metadata__", the
            names are too long for the format, or the metadata are not text or contain "sha256".
        FileError: the file cannot be written there.
        MissingExtra: the library `safetensors` is not installed.
    """
    if not isinstance(tensors, Mapping):
        raise ArgumentError(
            f"save_file needs a dict from names to tensors, got a {type(tensors).__name__}; for a "
            "model pass model.state_dict()"
        )
    _check_metadata(metadata or {})
    arrays = {_named(name): _copied(name, value) for name, value in tensors.items()}
    write_arrays(arrays, path, metadata or {})


def write_arrays(arrays: Arrays, path: Location, metadata: Mapping[str, str]) -> None:
    """Writes arrays to a .safetensors file, with their SHA-256 in its header.

    Args:
        arrays: name -> name of the dtype and an array of its own in the layout of the file.
        path: where to.
        metadata: text to keep in the header.

    Raises:
        ArgumentError: names and metadata are too long for the format.
        FileError: the file cannot be written there.
        MissingExtra: the library `safetensors` is not installed.
    """
    require_library()  # without which nobody could read it here
    header = _header(arrays, {**metadata, CHECKSUM: _checksum(arrays, metadata.get(STRUCTURE))})
    with replacing(path) as temporary, open(temporary, "wb", buffering=1 << 20) as file:
        file.write(header)
        for name in _in_order(arrays):
            file.write(_bytes_of(arrays[name][1]))


def _in_order(arrays: Arrays) -> list[str]:
    """Returns the names as their arrays stand in a file: the widest first, so that all are
    aligned.
    """
    return sorted(arrays, key=lambda name: (-arrays[name][1].itemsize, name))


def _header(arrays: Arrays, metadata: Mapping[str, str]) -> bytes:
    """Returns what stands before the arrays: the length of the JSON text, and the text.

    Raises ArgumentError when it is longer than any reader takes.
    """
    table: dict[str, Any] = {METADATA: dict(metadata)}
    end = 0
    for name in _in_order(arrays):
        dtype, array = arrays[name]
        start, end = end, end + array.nbytes
        table[name] = {
            "dtype": KINDS[dtype],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH)
    if len(text) > LONGEST:
        raise ArgumentError(
            f"save: names, metadata and values that are not arrays take {len(text)} bytes, but the "
            f"format allows {LONGEST}; save fewer tensors, shorter names or less metadata, and "
            "long lists of numbers as arrays"
        )
    return len(text).to_bytes(LENGTH, "little") + text


def _bytes_of(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def load_file(path: Location, mmap: bool = False) -> dict[str, Tensor]:
    """Reads the tensors of a .safetensors file.

    Args:
        path: a file written by Smelt, PyTorch or any other program.
        mmap: whether the tensors are views of the file, mapped into memory: only what is used is
            read. Changes are made in memory, not in the file. The SHA-256 is not checked, since
            that would read the whole file. If another program truncates the file while it is
            mapped, this program crashes.

    Returns:
        Name -> Tensor; without `mmap` each with its own memory.

    Raises:
        FileError: the file is missing, truncated or altered, or has a dtype that Smelt does not
            have.
        MissingExtra: the library `safetensors` is not installed.

    Example:
        >>> import smelt, tempfile
        >>> path = f"{tempfile.mkdtemp()}/table.safetensors"
        >>> save_file({"table": smelt.zeros(1000, 100), "row": smelt.ones(2)}, path)
        >>> load_file(path, mmap=True)["row"].tolist()
        [1.0, 1.0]
    """
    with opened(path) as file:
        return read_tensors(file, mmap)


def read_arrays(file: SafetensorsFile, mmap: bool) -> dict[str, np.ndarray]:
    """Returns the arrays of an open file by name; `mmap` is that of `load_file`.

    Raises:
        FileError: the file is truncated, or its contents are not those that were written.
    """
    take = file.mapped if mmap else file.read
    arrays = {name: (entry.dtype_name, take(entry)) for name, entry in file.entries.items()}
    promised = None if mmap else file.metadata.get(CHECKSUM)
    if promised is not None and promised != _checksum(arrays, file.metadata.get(STRUCTURE)):
        raise FileError(
            f"{file.path}: the contents do not match the SHA-256 in the header: the file was "
            "altered or damaged after it was written; use another copy"
        )
    return {name: array for name, (_, array) in arrays.items()}


def read_tensors(file: SafetensorsFile, mmap: bool) -> dict[str, Tensor]:
    """Returns the tensors of an open file by name; `mmap` is that of `load_file`.

    Raises:
        FileError: as of `read_arrays`; or one has a dtype that Smelt has not.
    """
    for entry in file.entries.values():
        if entry.dtype is None:
            raise unknown_dtype(file.path, entry.name, entry.kind)
    return {
        name: Tensor(array.astype(dtype.storage, copy=False), dtype)
        for name, array in read_arrays(file, mmap).items()
        if (dtype := file.entries[name].dtype) is not None
    }


def read_metadata(path: Location) -> dict[str, str]:
    """Returns the metadata in the header of a .safetensors file.

    Raises:
        FileError: the file is missing or not a valid .safetensors file.
        MissingExtra: the library `safetensors` is not installed.
    """
    with opened(path) as file:
        return file.metadata


def _check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, Mapping) or not all(
        isinstance(text, str) for item in metadata.items() for text in item
    ):
        raise ArgumentError(
            f"save_file: metadata must be a dict from text to text, got {metadata!r}"
        )
    for name in (CHECKSUM, STRUCTURE):
        if name in metadata:
            raise ArgumentError(
                f"save_file: the metadata name {name!r} is reserved; choose another one"
            )
    for text in (text for item in metadata.items() for text in item):
        _check_text("the metadata", text)


def _check_text(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentError(
            f"save_file: {what} {text!r} has a surrogate, which UTF-8 cannot encode; remove it"
        ) from None


def _named(name: Any) -> str:
    if not isinstance(name, str):
        raise ArgumentError(f"save_file: the name of a tensor must be text, got {name!r}")
    if name == METADATA:
        raise ArgumentError(
            "save_file: the name '__metadata__' is reserved by the format; choose another one"
        )
    _check_text("the name", name)
    return name


def _copied(name: str, value: Any) -> tuple[str, np.ndarray]:
    """Returns a copy of a tensor, as the file holds it."""
    if not isinstance(value, Tensor | np.ndarray | np.generic):
        hint = "; flatten nested dicts into one, with names such as 'a.b'"
        raise ArgumentError(
            f"save_file: {name!r} must be a tensor or array, got a {type(value).__name__}"
            f"{hint if isinstance(value, Mapping) else ''}"
        )
    tensor = as_tensor(value)
    if tensor.is_traced:
        tensor.numpy()  # which refuses it: it has a value only when the step runs
    return copied(tensor.dtype.name, tensor.stored)


def copied(dtype: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    """Returns the name of a dtype, and a copy of an array in the layout of the file."""
    return dtype, np.array(array, LAYOUTS[dtype], order="C").reshape(array.shape)


def _checksum(arrays: Arrays, structure: str | None) -> str:
    """Returns a SHA-256 over names, dtypes, shapes and contents, in order of names, and over the
    structure where there is one.
    """
    import hashlib  # slow to load

    digest = hashlib.sha256()
    if structure is not None:
        digest.update(structure.encode(errors="replace"))
    for name, (dtype, array) in sorted(arrays.items()):
        digest.update(json.dumps([name, dtype, list(array.shape)]).encode())
        digest.update(_bytes_of(array))
    return digest.hexdigest()
