"""Runs what `to_wasm` wrote on arrays, in wasmtime."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smelt import export
from smelt.export import WasmExport


@dataclass(frozen=True)
class WasmTarget:
    """One of the modules that `to_wasm` writes, as a target like those of C."""

    has_simd: bool
    needs: str = ""

    @property
    def missing(self) -> str:
        """The tool that is not there, or ""."""
        return "" if importlib.util.find_spec("wasmtime") else "wasmtime"

    @property
    def remedy(self) -> str:
        """The command that installs what is missing."""
        return "pip install wasmtime"

    def export(
        self, step: Callable[..., Any], folder: str | Path, *inputs: Any, name: str
    ) -> WasmExport:
        """Exports a step."""
        return export.to_wasm(step, folder, *inputs, name=name)

    def program(self, made: WasmExport) -> WasmProgram:
        """Loads an exported step."""
        return WasmProgram(made, made.module if self.has_simd else made.scalar_module)


MODULES = {"wasm with SIMD": WasmTarget(True), "wasm": WasmTarget(False)}


class WasmProgram:
    """A module in wasmtime; where things lie in its memory is read in the script beside it."""

    def __init__(self, made: WasmExport, module: str) -> None:
        import wasmtime

        self.store = wasmtime.Store()
        code = wasmtime.Module(self.store.engine, Path(module).read_bytes())
        assert not code.imports
        exports = wasmtime.Instance(self.store, code, []).exports(self.store)
        self.memory, self.function = exports["memory"], exports[f"{made.name}_step"]
        self.state = exports[f"{made.name}_state"].value(self.store)
        self.free = exports["__heap_base"].value(self.store)
        self.described = described(made)
        self.export = made

    def __call__(
        self, steps: Sequence[Sequence[np.ndarray]]
    ) -> tuple[list[int], list[list[np.ndarray]], dict[str, np.ndarray]]:
        """Runs steps; returns their codes and results, and the tensors of the state by name."""
        codes, results = [], []
        given, made = self.described["args"], self.described["results"]
        for arrays in steps:
            for one, array in zip(given, arrays, strict=True):
                where = self.free + one["offset"]
                self.memory.write(self.store, self._array(array, one).tobytes(), where)
            places = [self.free + one["offset"] for one in (*given, *made)]
            codes.append(self.function(self.store, self.state, *places))
            results.append([self._read(one, self.free) for one in made])
        tensors = self.described["tensors"]
        return codes, results, {one["name"]: self._read(one, self.state) for one in tensors}

    def _array(self, array: np.ndarray, one: dict[str, Any]) -> np.ndarray:
        array = np.asarray(array)
        return array.view(np.uint16) if array.dtype == np.float16 else array.astype(storage(one))

    def _read(self, one: dict[str, Any], base: int) -> np.ndarray:
        start = base + one["offset"]
        data = self.memory.read(self.store, start, start + one["length"] * storage(one).itemsize)
        return np.frombuffer(bytes(data), storage(one)).reshape(one["shape"])


def storage(one: dict[str, Any]) -> np.dtype:
    """Returns the NumPy dtype of something that a script describes."""
    names = {"float16": "uint16", "bfloat16": "uint16"}
    return np.dtype(names.get(one["dtype"], one["dtype"]))


def described(made: WasmExport) -> dict[str, Any]:
    """Returns what the script says of the step."""
    found = re.search(r"^const STEP = (\{.*?^\});", Path(made.script).read_text(), re.M | re.S)
    assert found is not None
    return json.loads(found[1])
