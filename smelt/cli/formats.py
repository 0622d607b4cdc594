"""The formats of `smelt export`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from smelt import export
from smelt.export.inference import Inference

__all__ = ["FORMATS", "OPTIONS", "Format", "Job"]

METADATA = "smelt.inference"  # what the description is called in an ONNX file


@dataclass(frozen=True)
class Job:
    """What is exported, and where to.

    Attributes:
        inference: the model.
        folder: for the files.
        name: of files and functions.
        rows: that a call takes.
        options: those of `OPTIONS` that were given, by name.
    """

    inference: Inference
    folder: Path
    name: str
    rows: int
    options: Mapping[str, str]

    @property
    def module(self) -> Any:
        """What is exported."""
        return self.inference.module

    @property
    def inputs(self) -> list[Any]:
        """Example arguments of the module."""
        return self.inference.arguments(self.rows)

    def path(self, ending: str) -> Path:
        """Returns the path of a file with an ending."""
        return self.folder / f"{self.name}{ending}"

    def chosen(self, *names: str) -> dict[str, Any]:
        """Returns those of some options that were given."""
        return {name: self.options[name] for name in names if name in self.options}


class Format(NamedTuple):
    """How to write a format.

    Attributes:
        write: writes the files into the folder of a job, and returns what was written.
        sizes: says how much memory that takes.
    """

    write: Callable[[Job], Any]
    sizes: Callable[[Any], str]


def _to_c(job: Job) -> export.CExport:
    return export.to_c(job.module, job.folder, *job.inputs, name=job.name)


def _of_c(made: export.CExport) -> str:
    flash = sum(made.flash.values())
    return f"flash {flash:,} bytes beside the code, RAM {made.state_bytes:,} bytes"


def _to_object(job: Job) -> export.ObjectExport:
    chosen = job.chosen("target", "cpu", "features")
    return export.to_object(job.module, job.path(".o"), *job.inputs, name=job.name, **chosen)


def _of_object(made: export.ObjectExport) -> str:
    flash = sum(made.flash.values())
    target = f"{made.target}, {made.cpu}"
    return f"flash {flash:,} bytes, RAM {made.state_bytes:,} bytes; for {target}"


def _to_library(job: Job) -> export.LibraryExport:
    chosen = job.chosen("machine", "cpu")
    return export.to_library(job.module, job.path(".smeltlib"), *job.inputs, **chosen)


def _of_library(made: export.LibraryExport) -> str:
    code = f"code {made.code_bytes:,} bytes"
    return f"{code}, RAM {made.state_bytes:,} bytes; for {made.machine}, {made.cpu}"


def _to_wasm(job: Job) -> export.WasmExport:
    return export.to_wasm(job.module, job.folder, *job.inputs, name=job.name)


def _of_wasm(made: export.WasmExport) -> str:
    return f"code {made.code_bytes:,} bytes, memory {made.memory_bytes:,} bytes"


def _to_onnx(job: Job) -> export.OnnxExport:
    return export.save_onnx(
        job.module,
        job.path(".onnx"),
        *job.inputs,
        dynamic_axes={one.name: {0: "rows"} for one in job.inference.inputs},
        metadata={METADATA: json.dumps(job.inference.description())},
    )


def _of_onnx(made: export.OnnxExport) -> str:
    return f"{Path(made.path).stat().st_size:,} bytes; for any number of rows"


#: the formats by name
FORMATS: Mapping[str, Format] = {
    "c": Format(_to_c, _of_c),
    "object": Format(_to_object, _of_object),
    "library": Format(_to_library, _of_library),
    "wasm": Format(_to_wasm, _of_wasm),
    "onnx": Format(_to_onnx, _of_onnx),
}
#: option -> the formats that it is for
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "target": ("object",),
    "cpu": ("object", "library"),
    "features": ("object",),
    "machine": ("library",),
}
