"""Weights as .safetensors files: named arrays and nothing that could run.

The file format is https://github.com/huggingface/safetensors: eight bytes with the length of a JSON
header, the header, the bytes of the arrays. Smelt adds a SHA-256 of the contents to the header's
metadata, and refuses a file whose contents no longer have it. Files of other programs have none,
and load as well.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smelt import dtypes
from smelt.atomic import write_bytes
from smelt.dtypes import DType
from smelt.errors import ArgumentError, FileError, MissingExtra
from smelt.tensor import Tensor

__all__ = ["load_file", "read_metadata", "save_file"]

# the format's name of a dtype -> ours, and the NumPy array that holds its bytes
_NAMES: dict[str, tuple[DType, str]] = {
    "BOOL": (dtypes.bool_, "?"),
    "I32": (dtypes.int32, "<i4"),
    "I64": (dtypes.int64, "<i8"),
    "F16": (dtypes.float16, "<f2"),
    "BF16": (dtypes.bfloat16, "<u2"),
    "F32": (dtypes.float32, "<f4"),
    "F64": (dtypes.float64, "<f8"),
}
_LAYOUT = {dtype.name: layout for dtype, layout in _NAMES.values()}
_CHECKSUM = "sha256"
_HEADER_LENGTH = 8

Location = str | os.PathLike[str]


def save_file(
    tensors: Mapping[str, Tensor], path: Location, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors to a .safetensors file; the file is there whole or not at all.

    Args:
        tensors: name -> Tensor of any shape and dtype, such as `model.state_dict()`.
        path: where to; an existing file is replaced.
        metadata: text to keep in the header; the name "sha256" is taken.

    Raises:
        ArgumentError: `tensors` is no dict, or the metadata has a "sha256" of its own.
        FileError: the file cannot be written there.
        MissingExtra: the library `safetensors` is not installed.
    """
    if not isinstance(tensors, Mapping):
        raise ArgumentError(
            f"save_file needs a dict of tensors by name, got a {type(tensors).__name__}; of a "
            "model give model.state_dict()"
        )
    if metadata and _CHECKSUM in metadata:
        raise ArgumentError(f"save_file: the metadata name {_CHECKSUM!r} is taken")
    arrays = {name: (tensor.dtype, _stored(tensor)) for name, tensor in tensors.items()}
    library = _library()
    specifications = {
        name: library.TensorSpec(
            dtype=dtype.name,
            shape=list(array.shape),
            data_ptr=array.ctypes.data,
            data_len=array.nbytes,
        )
        for name, (dtype, array) in arrays.items()
    }
    header = {**(metadata or {}), _CHECKSUM: _checksum(arrays)}
    write_bytes(path, bytes(library.serialize(specifications, metadata=header)))


def load_file(path: Location) -> dict[str, Tensor]:
    """Reads the tensors of a .safetensors file.

    Args:
        path: a file written by Smelt, PyTorch or any other program.

    Returns:
        Name -> Tensor, each with memory of its own.

    Raises:
        FileError: the file is missing, truncated or altered, or has a dtype that Smelt has not.
        MissingExtra: the library `safetensors` is not installed.
    """
    content = _read(path)
    entries = _entries(path, content)
    arrays = {name: _array(path, name, entry) for name, entry in entries}
    promised = _metadata(content).get(_CHECKSUM)
    if promised is not None and promised != _checksum(arrays):
        raise FileError(
            f"{path}: the contents differ from their SHA-256 in the header: the file was altered "
            "or damaged after it was written; use another copy"
        )
    return {name: Tensor(array, dtype) for name, (dtype, array) in arrays.items()}


def read_metadata(path: Location) -> dict[str, str]:
    """Returns the text that the header of a .safetensors file keeps.

    Raises:
        FileError: the file is missing or not a valid .safetensors file.
        MissingExtra: the library `safetensors` is not installed.
    """
    content = _read(path)
    _entries(path, content)
    return _metadata(content)


def _library() -> Any:
    try:
        import safetensors
    except ImportError:
        raise MissingExtra("reading and writing .safetensors files", "files") from None
    return safetensors


def _read(path: Location) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})") from None


def _entries(path: Location, content: bytes) -> list[tuple[str, dict[str, Any]]]:
    library = _library()
    try:
        return library.deserialize(content)
    except library.SafetensorError as error:
        raise FileError(
            f"{path}: not a valid .safetensors file of {len(content)} bytes ({error}); it may be "
            "truncated or damaged, use another copy"
        ) from None


def _metadata(content: bytes) -> dict[str, str]:
    """Returns the metadata of a file that has been found valid."""
    length = int.from_bytes(content[:_HEADER_LENGTH], "little")
    header = json.loads(content[_HEADER_LENGTH : _HEADER_LENGTH + length])
    return header.get("__metadata__", {})


def _array(path: Location, name: str, entry: Mapping[str, Any]) -> tuple[DType, np.ndarray]:
    if entry["dtype"] not in _NAMES:
        raise FileError(
            f"{path}: tensor {name!r} has dtype {entry['dtype']}; Smelt reads {', '.join(_NAMES)}"
        )
    dtype, layout = _NAMES[entry["dtype"]]
    values = np.frombuffer(entry["data"], layout).reshape(entry["shape"])
    return dtype, values.astype(dtype.storage)  # a copy: the file's bytes are read-only


def _stored(tensor: Tensor) -> np.ndarray:
    bits = dtypes.encode(tensor.numpy(), tensor.dtype)
    return np.ascontiguousarray(bits, _LAYOUT[tensor.dtype.name]).reshape(tensor.shape)


def _checksum(arrays: Mapping[str, tuple[DType, np.ndarray]]) -> str:
    """Returns a SHA-256 over names, dtypes, shapes and contents, in order of names."""
    digest = hashlib.sha256()
    for name, (dtype, array) in sorted(arrays.items()):
        digest.update(json.dumps([name, dtype.name, list(array.shape)]).encode())
        digest.update(array.astype(_LAYOUT[dtype.name], copy=False).tobytes())
    return digest.hexdigest()
