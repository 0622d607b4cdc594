"""Library: a loaded step, which is called like the Python function that it was exported from."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from smelt_runtime.errors import CheckError, LibraryError
from smelt_runtime.library_file import LINE, LibraryFile, Parameter, TensorField, read
from smelt_runtime.processor import Code, check_processor
from smelt_runtime.structure import built

__all__ = ["Library", "load"]


def load(path: str | os.PathLike[str]) -> Library:
    """Loads a library that `smelt.export.to_library` wrote.

    It is machine code: load only what you would run as a program.

    Args:
        path: of the file.

    Returns:
        The step, with a state of its own.

    Raises:
        LibraryError: the file is missing, is no library, is damaged, or is for another processor.
    """
    shown = ascii(os.fsdecode(path))[1:-1]
    file = read(path)
    check_processor(file.machine, file.cpu, file.needs, shown)
    try:
        return Library(file)
    except MemoryError:
        raise LibraryError(f"{shown}: needs {file.state_bytes:,} bytes of memory") from None


class Library:
    """A step that was exported: call it with NumPy arrays.

    Arguments may be given by place or by name; shapes and dtypes must be those of the examples that
    it was exported with. The results are new arrays, in the structure that the Python function
    returned. What a step changes, its state, is kept here. Calls of several threads run one after
    the other.

    Attributes:
        name: of the step.
        arguments, results: the name, the dtype and the shape of each.
        checks: what data must fulfill; a call raises CheckError otherwise, and changes nothing.
    """

    def __init__(self, file: LibraryFile) -> None:
        self.name: str = file.name
        self.arguments: tuple[Parameter, ...] = file.arguments
        self.results: tuple[Parameter, ...] = file.results
        self.checks: tuple[str, ...] = file.checks
        self._structure = file.structure
        self._start = dict(zip(file.tensors, file.contents, strict=True))
        self._state = _aligned(file.state_bytes)
        self._tensors = {one.name: self._view(one) for one in file.tensors}
        self._code = Code(file.code, file.entry)
        self._addresses = np.zeros(1 + len(self.arguments) + len(self.results), np.uintp)
        self._addresses[0] = _address(self._state)
        self._lock = threading.Lock()
        self.reset()

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Runs one step.

        Args:
            arguments: arrays, in the order of `arguments`.
            named: more of them, by their names.

        Returns:
            What the Python function returned, with NumPy arrays for tensors.

        Raises:
            TypeError: an argument is missing, or has another dtype.
            ValueError: an argument has another shape.
            CheckError: the data fail a check.
        """
        arrays = [
            _fitting(one, value, self.name)
            for one, value in zip(self.arguments, self._bound(arguments, named), strict=True)
        ]
        results = [np.empty(one.shape, one.storage) for one in self.results]
        with self._lock:
            self._addresses[1:] = [_address(array) for array in (*arrays, *results)]
            code = self._code.run(_address(self._addresses))
        if code:
            known = 0 < code <= len(self.checks)
            what = self.checks[code - 1] if known else f"it returned {code}"
            raise CheckError(f"{self.name}: {what}", code)
        return built(self._structure, results)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Returns copies of parameters, buffers, moments and the generator's state, by name."""
        with self._lock:
            return {name: array.copy() for name, array in self._tensors.items()}

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Sets tensors of the state.

        Args:
            values: arrays by name; what is not named stays as it is.

        Raises:
            KeyError: there is no tensor of that name.
            TypeError: an array has another dtype.
            ValueError: an array has another shape.
        """
        wrong = [name for name in values if name not in self._tensors]
        if wrong:
            known = ", ".join(self._tensors)
            raise KeyError(f"{self.name}: has no tensor {wrong[0]!r}; it has {known or 'none'}")
        fields = {one.name: one.parameter for one in self._start}
        checked = {name: _fitting(fields[name], values[name], self.name) for name in values}
        with self._lock:
            for name, array in checked.items():
                self._tensors[name][...] = array

    def reset(self) -> None:
        """Sets the state to what it was when the step was exported."""
        with self._lock:
            for one, contents in self._start.items():
                flat = np.frombuffer(contents, one.parameter.storage)
                self._tensors[one.name][...] = flat.reshape(one.shape)

    def __repr__(self) -> str:
        given = ", ".join(_shown(one) for one in self.arguments)
        made = ", ".join(_shown(one) for one in self.results)
        return f"Library({self.name}: {given} -> {made})"

    def _view(self, one: TensorField) -> np.ndarray:
        end = one.offset + one.parameter.nbytes
        return self._state[one.offset : end].view(one.parameter.storage).reshape(one.shape)

    def _bound(self, given: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
        names = [one.name for one in self.arguments]
        if len(given) > len(names):
            raise TypeError(f"{self.name}: takes {len(names)} arguments, got {len(given)}")
        values = dict(zip(names, given, strict=False))
        for name in named:
            if name not in names or name in values:
                what = "is given twice" if name in values else "is no argument"
                raise TypeError(f"{self.name}: {name} {what}; arguments are {', '.join(names)}")
        values |= named
        missing = [name for name in names if name not in values]
        if missing:
            raise TypeError(f"{self.name}: {', '.join(missing)} missing")
        return [values[name] for name in names]


def _shown(one: Parameter) -> str:
    return f"{one.name}: {one.dtype}{list(one.shape) if one.shape else ''}"


def _fitting(wanted: Parameter, value: Any, name: str) -> np.ndarray:
    """Returns a value as an array that the code can read."""
    array = np.asarray(value)
    if array.dtype != wanted.storage:
        raise TypeError(
            f"{name}: {wanted.name} has dtype {array.dtype}, and should have {wanted.dtype}"
            + (" (its bits, as uint16)" if wanted.dtype == "bfloat16" else "")
        )
    if array.shape != wanted.shape:
        raise ValueError(
            f"{name}: {wanted.name} has shape {array.shape}, and should have {wanted.shape}"
        )
    return np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED"])


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def _aligned(nbytes: int) -> np.ndarray:
    """Returns zeros that begin on a cache line; the system gives memory when it is touched."""
    block = np.zeros(nbytes + LINE, np.uint8)
    start = -_address(block) % LINE
    return block[start : start + nbytes]
