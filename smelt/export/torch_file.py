"""Files of `torch.save`: their tensors and containers, and nothing that could run.

Since PyTorch 1.6 such a file is a zip archive, uncompressed:

    model/data.pkl      a pickle of all but the numbers (see `pickle_machine`)
    model/data/0, 1...  the numbers, one member per storage (see `torch_storages`)
    model/byteorder     "little" or "big"
    model/version       of the format

Older ones, and those that are written with `_use_new_zipfile_serialization=False`, are pickles one
behind the other: a number by which they are known, the version, facts about the machine, all but
the numbers, the keys of the storages. Then come the storages, each behind its count.

https://github.com/pytorch/pytorch/blob/v2.5.0/torch/serialization.py
"""

from __future__ import annotations

import sys
from typing import Any

from smelt.errors import FileError
from smelt.export.bounded_file import BoundedFile, bounded
from smelt.export.header import (
    KNOWN_BY,
    Location,
    begins_as_legacy,
    begins_as_zip,
    first_bytes,
    of_numpy,
)
from smelt.export.pickle_machine import PickleMachine
from smelt.export.torch_storages import Storage, Storages
from smelt.export.torch_values import TorchValues
from smelt.export.zip_members import Member, members, place

__all__ = ["is_torch_file", "load_torch_file"]

NEWEST = 10  # version of the zip format, as PyTorch reads it; it writes 3
LEGACY_VERSION = 1001
VERSIONS = ("version", ".data/version")
COUNT = 8  # bytes, in which the count of a storage stands in an old file


def is_torch_file(path: Location) -> bool:
    """Returns whether a file begins as those of `torch.save` do; it may be a zip archive of
    another kind.

    Raises:
        FileError: the file is missing, or cannot be read.
    """
    return begins_as_zip(start := first_bytes(path)) or begins_as_legacy(start)


def load_torch_file(path: Location, mmap: bool = False) -> Any:
    """Reads what `torch.save` wrote; nothing in the file is run, whatever it says.

    Args:
        path: of the file.
        mmap: whether tensors are a view of the file, where they can be: not in the format of before
            1.6, in the other order of bytes, or of a dtype that Smelt has not.

    Returns:
        Tensors, Parameters, numbers, text and bytes within dicts, OrderedDicts, lists and tuples.
        Tensors of one storage share its memory. Those of uint8 and int16 are int32.

    Raises:
        FileError: the file is missing, truncated or damaged; or it has anything else in it, such
            as a whole module.
    """
    with bounded(path, BoundedFile) as file:
        if begins_as_zip(file.read(0, min(file.size, KNOWN_BY))):
            return _of_zip(file, mmap)
        return _of_legacy(file)


def _of_zip(file: BoundedFile, mmap: bool) -> Any:
    """Reads the format of PyTorch 1.6 and later."""
    found = members(file)
    root = _root(file, found)
    version = next(
        (_word(file, found[name]) for at in VERSIONS if (name := root + at) in found), b""
    )
    if not version.isdigit() or not 1 <= int(version) <= NEWEST:
        raise file.damaged(f"it has version {version!r}, but Smelt reads 1 to {NEWEST}")

    def locate(storage: Storage) -> None:
        member = found.get(f"{root}data/{storage.key}")
        if member is None or member.size != storage.nbytes:
            there = f"{member.size} bytes" if member else "no bytes"
            raise file.damaged(
                f"storage {storage.key[:60]!r} needs {storage.nbytes} bytes, but has {there}"
            )
        storage.start, storage.checksum = place(file, member), member.checksum

    storages = Storages(file, locate, _is_swapped(file, found, root), mmap)
    pickle = found[f"{root}data.pkl"]
    start = place(file, pickle)
    file.check(start, pickle.size, pickle.checksum)
    values = TorchValues(file, storages)
    with file.stream(start) as stream:
        machine = PickleMachine(file, values.find, values.persistent)
        value = machine.value(stream, start + pickle.size)
    storages.fill()
    return value


def _root(file: BoundedFile, found: dict[str, Member]) -> str:
    """Returns the folder of an archive in which all stands, with a slash."""
    roots = [name[: -len("data.pkl")] for name in found if name.endswith("/data.pkl")]
    if not roots:
        if any(name.endswith(".npy") for name in found):
            raise of_numpy(file.path)
        raise FileError(
            f"{file.path}: is a zip archive, but not one of torch.save: it has no data.pkl"
        )
    if len(roots) > 1:
        raise file.damaged("it has several members data.pkl")
    if f"{roots[0]}constants.pkl" in found:
        raise FileError(
            f"{file.path}: was written by torch.jit.save and contains a program; where PyTorch is "
            "installed, write torch.save(torch.jit.load(path).state_dict(), new_path)"
        )
    return roots[0]


def _word(file: BoundedFile, member: Member) -> bytes:
    """Returns a member of a single word."""
    if member.size > 20:
        raise file.damaged(f"member {member.name[:60]!r} has {member.size} bytes")
    start = place(file, member)
    file.check(start, member.size, member.checksum)
    return file.read(start, member.size).strip()


def _is_swapped(file: BoundedFile, found: dict[str, Member], root: str) -> bool:
    """Returns whether the bytes of numbers stand in the other order than this machine's."""
    member = found.get(f"{root}byteorder")
    order = _word(file, member) if member else b"little"  # before PyTorch 2.1 there was none
    if order not in (b"little", b"big"):
        raise file.damaged(f"its byte order is {order!r}")
    return order.decode() != sys.byteorder


def _of_legacy(file: BoundedFile) -> Any:
    """Reads the format of before PyTorch 1.6, whose numbers are little-endian everywhere."""
    storages = Storages(file, None, sys.byteorder != "little")
    values = TorchValues(file, storages)
    with file.stream(0) as stream:
        parts = [
            PickleMachine(file, values.find, values.persistent).value(stream, file.size)
            for _ in range(5)
        ]
        start = stream.tell()
    _, version, _, value, keys = parts
    if version != LEGACY_VERSION:
        raise file.damaged(f"its format does not have version {LEGACY_VERSION}")
    if type(keys) is not list or len(keys) != len(storages.by_key):
        raise file.damaged("its storages are not those that its tensors use")
    for key in keys:
        storage = storages.by_key.pop(key, None) if isinstance(key, str) else None
        if storage is None:
            raise file.damaged("it has a storage that no tensor uses")
        if int.from_bytes(file.read(start, COUNT), "little") != storage.count:
            raise file.damaged(f"storage {key[:60]!r} differs in size from what its tensors say")
        storage.start = start + COUNT
        start = storage.start + storage.nbytes
        storages.by_key[key] = storage
    storages.fill()
    return value
