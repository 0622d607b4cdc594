"""A .safetensors file that is open: what its header says, and the arrays behind it.

The library `safetensors` decides whether a header is valid, so that Smelt and it accept the same
files. The arrays are read here, each straight into its place.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from typing import Any

import numpy as np

from smelt import dtypes
from smelt.atomic import open_error
from smelt.dtypes import DType
from smelt.errors import FileError, MissingExtra
from smelt.json_text import parsed

__all__ = [
    "KINDS",
    "KNOWN_BY",
    "LAYOUTS",
    "LENGTH",
    "LONGEST",
    "METADATA",
    "Entry",
    "SafetensorsFile",
    "begins_as_legacy",
    "begins_as_zip",
    "fill",
    "first_bytes",
    "of_numpy",
    "open_file",
    "opened",
    "require_library",
    "unknown_dtype",
]

Location = str | os.PathLike[str]

# the format's name of a dtype -> ours, and the NumPy array that holds its bytes
DTYPES: dict[str, tuple[DType, str]] = {
    "BOOL": (dtypes.bool_, "?"),
    "I8": (dtypes.int8, "<i1"),
    "I32": (dtypes.int32, "<i4"),
    "I64": (dtypes.int64, "<i8"),
    "F16": (dtypes.float16, "<f2"),
    "BF16": (dtypes.bfloat16, "<u2"),
    "F32": (dtypes.float32, "<f4"),
    "F64": (dtypes.float64, "<f8"),
}
# those of arrays that a checkpoint holds, and no tensor
ARRAYS = {"U8": "<u1", "I16": "<i2", "U16": "<u2", "U32": "<u4", "U64": "<u8"}
# the names of dtypes, ours or NumPy's -> the format's names, and the arrays that hold their bytes
KINDS = {dtype.name: kind for kind, (dtype, _) in DTYPES.items()}
KINDS |= {np.dtype(layout).name: kind for kind, layout in ARRAYS.items()}
LAYOUTS = {dtype.name: layout for dtype, layout in DTYPES.values()}
LAYOUTS |= {np.dtype(layout).name: layout for layout in ARRAYS.values()}
METADATA = "__metadata__"
ATTEMPTS = 20  # to open a file that others replace
LENGTH = 8  # bytes, in which the length of the header stands
PICKLE = b"\x80"  # the first byte of one
PICKLES = (b"\2", b"\3", b"\4", b"\5")  # versions of Python's, from the second byte on
LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number with which old files of PyTorch begin
KNOWN_BY = 32  # bytes of a file that say what it is
LONGEST = 100_000_000  # bytes of a header, which readers of the format take


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an array stands.

    Attributes:
        name: of the tensor.
        kind: the format's name of the dtype.
        dtype: ours; None where Smelt's tensors have none such.
        layout: of the array that holds its bytes.
        shape: its shape.
        start: the byte of the file with which it begins.
        size: its bytes.
    """

    name: str
    kind: str
    dtype: DType | None
    layout: str
    shape: tuple[int, ...]
    start: int
    size: int

    @property
    def dtype_name(self) -> str:
        """What Smelt, or else NumPy, calls the dtype."""
        return self.dtype.name if self.dtype else np.dtype(self.layout).name


@dataclass(slots=True)
class SafetensorsFile:
    """An open file with a valid header.

    Attributes:
        path: as the user gave it.
        file: open for reading.
        metadata: the text in the header.
        entries: name -> where the array stands, in the order of the arrays.
    """

    path: Location
    file: FileIO
    metadata: dict[str, str]
    entries: dict[str, Entry]
    _map: mmap.mmap | None = field(default=None, init=False)

    def read(self, entry: Entry) -> np.ndarray:
        """Returns an array with its own memory."""
        array = _empty(self.path, entry)
        if entry.size:
            self.file.seek(entry.start)
            fill(self.path, self.file, array)
        return _checked(self.path, entry, array)

    def mapped(self, entry: Entry) -> np.ndarray:
        """Returns an array whose memory is the file's, until something is written to it."""
        if not entry.size:
            return _empty(self.path, entry)
        if self._map is None:
            self._map = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_COPY)
        if entry.start + entry.size > len(self._map):
            raise _shortened(self.path)
        count = entry.size // np.dtype(entry.layout).itemsize
        flat = np.frombuffer(self._map, entry.layout, count, entry.start)
        array = _shaped(self.path, entry, flat if flat.flags.aligned else flat.copy())
        return _checked(self.path, entry, array)


def require_library() -> Any:
    """Returns the library `safetensors`.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import safetensors
    except ImportError:
        raise MissingExtra("reading and writing .safetensors files", "files") from None
    return safetensors


@contextmanager
def opened(path: Location) -> Iterator[SafetensorsFile]:
    """Opens a .safetensors file, and closes it at the end of the block.

    Raises:
        FileError: the file is missing, cannot be read, is not a valid .safetensors file, or has a
            tensor that Smelt cannot hold.
        MissingExtra: the library `safetensors` is not installed.
    """
    path = os.fsdecode(path)
    with _opened(require_library(), path) as file:
        header, length = _header(path, file)
        metadata = _metadata(path, header.pop(METADATA, {}))
        # one at a time: a header may name a million arrays
        found = [_entry(path, *header.popitem(), length) for _ in range(len(header))][::-1]
        found.sort(key=lambda entry: entry.start)
        yield SafetensorsFile(path, file, metadata, {entry.name: entry for entry in found})


def open_file(path: Location) -> FileIO:
    """Returns a file that is open for reading; a pipe or a device is not waited for.

    Raises:
        FileError: it is missing, or cannot be read.
    """
    try:
        return FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
    except (OSError, ValueError) as error:
        raise open_error(path, error) from None


def _opened(library: Any, path: Location) -> FileIO:
    """Returns an open file that the library finds valid.

    The library opens a path by itself. Where another file has taken the place in between, as each
    save puts one there, both are opened again.
    """
    for _ in range(ATTEMPTS):
        file = open_file(path)
        try:
            if _is_valid(library, path, os.fstat(file.fileno())):
                return file
        except BaseException:
            file.close()
            raise
        file.close()
    raise FileError(f"{path}: is being replaced repeatedly while it is opened; read it later")


def _is_valid(library: Any, path: Location, facts: os.stat_result) -> bool:
    """Raises what the library has against the file with these facts; returns whether it was that
    file.
    """
    if not stat.S_ISREG(facts.st_mode):
        raise FileError(f"{path}: is a folder, a pipe or a device, not a regular file")
    try:
        library.safe_open(path, "numpy")
    except library.SafetensorError as error:
        problem: FileError | None = _foreign(path) or _invalid(path, facts.st_size, str(error))
    except OSError as error:
        problem = open_error(path, error)
    else:
        problem = None
    is_same = _is_same(path, facts)
    if problem is not None and is_same:
        raise problem
    return is_same


def _is_same(path: Location, facts: os.stat_result) -> bool:
    """Returns whether the file with these facts stands at a path."""
    try:
        now = os.stat(path)
    except FileNotFoundError:
        return False
    return all(
        getattr(now, fact) == getattr(facts, fact) for fact in ("st_dev", "st_ino", "st_size")
    )


def _foreign(path: Location) -> FileError | None:
    """Returns the error for a file of another format that somebody may take for this one."""
    start = first_bytes(path)
    if begins_as_zip(start):
        import zipfile  # rarely needed, and slow to load

        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if any(name.endswith(".npy") for name in archive.namelist()):
                    return of_numpy(path)
        return _of_pytorch(path)
    if begins_as_legacy(start):
        return _of_pytorch(path)
    if start[:4] == b"\x93NUM":
        return of_numpy(path)
    return _of_pickle(path) if start[:1] == PICKLE and start[1:2] in PICKLES else None


def first_bytes(path: Location) -> bytes:
    """Returns the bytes by which a kind of file is known.

    Raises:
        FileError: the file is missing, or cannot be read.
    """
    with open_file(path) as file:
        try:
            return file.read(KNOWN_BY) or b""
        except OSError as error:
            raise open_error(path, error) from None


def begins_as_zip(start: bytes) -> bool:
    """Returns whether a zip archive begins so, and no .safetensors file of that length."""
    return start[:4] == b"PK\3\4" and start[LENGTH : LENGTH + 1] != b"{"


def begins_as_legacy(start: bytes) -> bool:
    """Returns whether a file of torch.save from before its zip archives begins so."""
    return start[:1] == PICKLE and LEGACY in start


def _of_pytorch(path: Location) -> FileError:
    return FileError(
        f"{path}: is a torch.save file, not a .safetensors file; smelt.load(path) reads it"
    )


def _of_pickle(path: Location) -> FileError:
    return FileError(
        f"{path}: is a pickle, but not one of torch.save; Smelt does not read pickles, since that "
        "would run code in them. Where the program that wrote it is installed, save its tensors "
        "again: smelt.save(value, path), torch.save(state_dict, path) or safetensors"
    )


def of_numpy(path: Location) -> FileError:
    """Returns the error for a file of NumPy's."""
    return FileError(f"{path}: was written by NumPy; read it with numpy.load(path)")


def _invalid(path: Location, size: int, reason: str) -> FileError:
    return FileError(
        f"{path}: not a valid .safetensors file of {size} bytes ({reason}); it may be truncated "
        "or damaged, use another copy"
    )


def _header(path: Location, file: FileIO) -> tuple[dict[str, Any], int]:
    """Returns the header of a file that has been found valid, and where the arrays begin."""
    try:
        length = int.from_bytes(file.read(LENGTH), "little")
        return parsed(file.read(length)), LENGTH + length
    except (ValueError, RecursionError) as error:  # names given twice, say
        raise _invalid(path, os.fstat(file.fileno()).st_size, str(error)) from None


def _metadata(path: Location, given: Any) -> dict[str, str]:
    if given is None:
        raise FileError(
            f'{path}: its "{METADATA}" is null; the format requires a map of text, or no such key'
        )
    return given


def _entry(path: Location, name: str, given: Any, length: int) -> Entry:
    """Returns what the header says of an array; the library takes a list of its parts as well."""
    parts = (given["dtype"], given["shape"], given["data_offsets"]) if _is_map(given) else given
    kind, shape, (start, end) = parts
    if kind not in DTYPES and kind not in ARRAYS:
        raise unknown_dtype(path, name, kind)
    dtype, layout = DTYPES[kind] if kind in DTYPES else (None, ARRAYS[kind])
    return Entry(name, kind, dtype, layout, tuple(shape), length + start, end - start)


def unknown_dtype(path: Location, name: str, kind: str) -> FileError:
    """Returns the error for a tensor of a dtype that Smelt's have not."""
    return FileError(f"{path}: tensor {name!r} has dtype {kind}; Smelt reads {', '.join(DTYPES)}")


def _is_map(given: Any) -> bool:
    return isinstance(given, Mapping)


def _empty(path: Location, entry: Entry) -> np.ndarray:
    try:
        return np.empty(entry.shape, entry.layout)
    except (ValueError, OverflowError, MemoryError) as error:
        raise _too_large(path, entry, error) from None


def _shaped(path: Location, entry: Entry, flat: np.ndarray) -> np.ndarray:
    try:
        return flat.reshape(entry.shape)
    except (ValueError, OverflowError) as error:
        raise _too_large(path, entry, error) from None


def _too_large(path: Location, entry: Entry, error: Exception) -> FileError:
    return FileError(
        f"{path}: tensor {entry.name!r} of {len(entry.shape)} axes, {_short(entry.shape)}, is "
        f"larger than an array can be ({error})"
    )


def _short(shape: tuple[int, ...]) -> str:
    return str(shape) if len(shape) < 9 else f"({', '.join(map(str, shape[:8]))}, ...)"


def fill(path: Location, file: FileIO, array: np.ndarray) -> None:
    """Reads the bytes of an array from where the file stands.

    Raises:
        FileError: there are fewer, or they cannot be read.
    """
    left = array.reshape(-1).view(np.uint8).data
    while left:
        try:
            count = file.readinto(left)
        except OSError as error:
            raise open_error(path, error) from None
        if not count:
            raise _shortened(path)
        left = left[count:]


def _shortened(path: Location) -> FileError:
    return FileError(f"{path}: was truncated while it was read; read it again")


def _checked(path: Location, entry: Entry, array: np.ndarray) -> np.ndarray:
    if entry.dtype is dtypes.bool_ and array.view(np.uint8).max(initial=0) > 1:
        raise FileError(
            f"{path}: the bool tensor {entry.name!r} has bytes other than 0 and 1; the file is "
            "damaged, use another copy"
        )
    return array
