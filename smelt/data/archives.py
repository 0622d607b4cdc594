"""Arrays by name: NumPy's archives, and HDF5 files. Nothing in them is run."""

from __future__ import annotations

import difflib
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from smelt.atomic import read_bytes
from smelt.errors import ArgumentError, FileError, MissingExtra
from smelt.tensor.checked import checked

__all__ = ["read_hdf5", "read_npz"]

DAMAGED = (
    ValueError, OSError, EOFError, KeyError, MemoryError, NotImplementedError, OverflowError,
    RuntimeError, SyntaxError, TypeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@checked
def read_npz(
    source: str | os.PathLike[str] | bytes, names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Returns the arrays of a NumPy archive, as `numpy.savez` writes it.

    Args:
        source: a path, or the contents.
        names: which arrays, in this order; all when None. Others are not read.

    Raises:
        FileError: the file is missing, damaged, or not an archive, or an array holds Python
            objects: they are pickled, and a pickle can run any code.
        ArgumentError: there is no such array.
    """
    called = "NumPy archive" if isinstance(source, bytes) else os.fspath(source)
    content = source if isinstance(source, bytes) else read_bytes(source)
    try:
        archive = np.load(BytesIO(content), allow_pickle=False)
    except DAMAGED as error:
        raise FileError(f"{called}: cannot be read as a NumPy archive ({error})") from None
    if isinstance(archive, np.ndarray):
        raise FileError(f"{called}: is a single array, not an archive; read it by numpy.load")
    with archive:
        chosen = _checked_names(called, archive.files, names)
        return {name: _array(called, archive, name) for name in chosen}


@checked
def read_hdf5(
    path: str | os.PathLike[str], names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Returns the arrays of an HDF5 file.

    Args:
        path: the file.
        names: which arrays, as paths in the file such as "train/x"; all when None.

    Returns:
        Path in the file -> array; texts have a NumPy string type.

    Raises:
        FileError: the file is missing, damaged, or not an HDF5 file, or an array is in another
            file.
        ArgumentError: there is no such array.
        MissingExtra: h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise MissingExtra("reading HDF5 files", "hdf5") from None
    called = os.fspath(path)
    content = read_bytes(path)
    try:
        with h5py.File(BytesIO(content), "r") as file:
            found = dict(_datasets(h5py, file, ""))
            chosen = _checked_names(called, list(found), names)
            return {name: _values(called, name, found[name]) for name in chosen}
    except FileError:
        raise
    except ArgumentError:
        raise
    except DAMAGED as error:
        raise FileError(f"{called}: cannot be read as HDF5 ({error})") from None


def _checked_names(called: str, there: Sequence[str], names: Sequence[str] | None) -> Sequence[str]:
    for name in names or ():
        if name not in there:
            near = difflib.get_close_matches(str(name), there, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(there)}"
            raise ArgumentError(f"{called}: holds no array {name!r}; {hint}")
    return there if names is None else names


def _array(called: str, archive: Any, name: str) -> np.ndarray:
    try:
        array = archive[name]
    except DAMAGED as error:
        reason = "it holds Python objects" if "pickle" in str(error) else error
        raise FileError(f"{called}: array {name!r} cannot be read ({reason})") from None
    if not isinstance(array, np.ndarray):
        raise FileError(f"{called}: {name!r} is not an array")
    return array


def _datasets(h5py: Any, group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yields the arrays of a group and of those in it, but follows no links."""
    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            continue
        item = group[key]
        if isinstance(item, h5py.Dataset):
            yield path + key, item
        elif isinstance(item, h5py.Group):
            yield from _datasets(h5py, item, f"{path}{key}/")


def _values(called: str, name: str, dataset: Any) -> np.ndarray:
    if dataset.external or dataset.is_virtual:
        raise FileError(f"{called}: array {name!r} lies in another file, which is not read")
    if dataset.dtype.kind == "O":
        return np.asarray(dataset.asstr()[()]).astype(str)
    return np.asarray(dataset[()])
