"""`save` and `load`: tensors within dicts, lists and tuples as one file without code.

The file is a .safetensors file. Its arrays are the tensors, with names that give their path
(`model.0.weight`), so that other programs can read them too; the structure, and everything that is
not an array, is a table in the header (see `structure`).
"""

from __future__ import annotations

import json
import os
from typing import Any

from smelt.errors import ArgumentTypeError, FileError
from smelt.export.header import SafetensorsFile, opened
from smelt.export.restored import Reader
from smelt.export.safetensors import (
    STRUCTURE,
    copied,
    read_arrays,
    read_tensors,
    write_arrays,
)
from smelt.export.structure import written
from smelt.export.torch_file import is_torch_file, load_torch_file
from smelt.json_text import parsed
from smelt.tensor.checked import described
from smelt.tensor.device import check_device

__all__ = ["load", "save"]

Location = str | os.PathLike[str]
VERSION = 1


def save(obj: Any, f: Location) -> None:
    """Writes tensors, state_dicts or a whole checkpoint to a file, which `load` reads.

    Supported values are Tensors and Parameters of any dtype, NumPy arrays and numbers (also complex
    ones and others that no Tensor has), None, bools, ints of any size, floats, text, bytes, dtypes,
    and dicts, lists, tuples and sets of these. An object that occurs several times is loaded as one
    object, and tensors that share memory share it again. A tensor's gradient and history are not
    written.

    The file is written completely or not at all; any program that reads .safetensors files can read
    it. Tensors are copied first, so each is consistent even if a step in another thread changes it
    meanwhile.

    Args:
        obj: what to write, such as `{"model": model.state_dict(), "epoch": 3}`.
        f: the path; an existing file is replaced.

    Raises:
        ArgumentError: a value that cannot be written; the error gives its path, and says what to
            save instead.
        FileError: the file cannot be written there.
        MissingExtra: the library `safetensors` is not installed.

    Example:
        >>> import smelt, tempfile
        >>> path = f"{tempfile.mkdtemp()}/checkpoint.safetensors"
        >>> smelt.save({"weights": [smelt.ones(2)], "epoch": 3}, path)
        >>> smelt.load(path)
        {'weights': [tensor([1., 1.])], 'epoch': 3}
    """
    _check_path("save", f)
    result = written(obj)
    arrays = {name: copied(*stored) for name, stored in result.arrays.items()}
    structure = json.dumps({"version": VERSION, "rows": result.rows}, separators=(",", ":"))
    write_arrays(arrays, f, {STRUCTURE: structure})


def load(
    f: Location, map_location: Any = None, *, weights_only: bool = True, mmap: bool = False
) -> Any:
    """Reads what `save` wrote; from any other .safetensors file, its tensors by name; from a file
    of `torch.save`, its tensors and plain values.

    Nothing in a file is run. A file of `torch.save` is a pickle, which is read without importing or
    calling what it names: it may hold a state_dict; a whole module is an error that names it.

    Args:
        f: the path of the file.
        map_location: None or "cpu": where tensors are.
        weights_only: without effect, since no code in a file is ever run; PyTorch has it.
        mmap: whether arrays are views of the file, as in `smelt.export.load_file`.

    Returns:
        The value, equal to what was saved, with the same dtypes and the same order. PyTorch's
        tensors of uint8 and int16 are int32.

    Raises:
        ArgumentError: a `map_location` other than the CPU.
        FileError: the file is missing, truncated, altered, or of another kind; it holds something
            else, such as a module of PyTorch's; or a newer version of Smelt wrote it.
        MissingExtra: the library `safetensors` is not installed, and the file is not PyTorch's.
    """
    _check_path("load", f)
    check_device(map_location)
    if is_torch_file(f):
        return load_torch_file(f, mmap)
    with opened(f) as file:
        if STRUCTURE in file.metadata:
            arrays = read_arrays(file, mmap)
            return Reader(f, file.entries, arrays).value(_rows(file))
        return read_tensors(file, mmap)


def _rows(file: SafetensorsFile) -> Any:
    """Returns the rows of the table in the header."""
    try:
        table = parsed(file.metadata[STRUCTURE])
        version, rows = table["version"], table["rows"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileError(
            f"{file.path}: the description of its structure is damaged ({error}); use another copy"
        ) from None
    if version != VERSION:
        raise FileError(
            f"{file.path}: has a structure of version {version!r}, but this Smelt reads version "
            f"{VERSION}; read it with the Smelt that wrote it"
        )
    return rows


def _check_path(name: str, path: Any) -> None:
    if not isinstance(path, (str, os.PathLike)):
        wanted = "save(value, path)" if name == "save" else "load(path)"
        raise ArgumentTypeError(
            f"{name} needs a path, as in smelt.{wanted}, got {described(path)}; open files are not "
            "supported"
        )
