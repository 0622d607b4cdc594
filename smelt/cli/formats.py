"""The formats of `smelt export`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smelt import export
from smelt.export.inference import Inference

__all__ = ["FORMATS", "OPTIONS", "Job", "sizes"]

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

    def path(self, ending: str) -> Path:
        """Returns the path of a file with an ending."""
        return self.folder / f"{self.name}{ending}"

    def chosen(self, *names: str) -> dict[str, Any]:
        """Returns those of some options that were given."""
        return {name: self.options[name] for name in names if name in self.options}

    @property
    def what(self) -> tuple[Any, list[Any]]:
        """The module, and example arguments."""
        return self.inference.module, self.inference.arguments(self.rows)


def _to_c(job: Job) -> export.CExport:
    module, inputs = job.what
    return export.to_c(module, job.folder, *inputs, name=job.name)


def _to_object(job: Job) -> export.ObjectExport:
    module, inputs = job.what
    chosen = job.chosen("target", "cpu", "features")
    return export.to_object(module, job.path(".o"), *inputs, name=job.name, **chosen)


def _to_library(job: Job) -> export.LibraryExport:
    module, inputs = job.what
    chosen = job.chosen("machine", "cpu")
    return export.to_library(module, job.path(".smeltlib"), *inputs, **chosen)


def _to_onnx(job: Job) -> export.OnnxExport:
    module, inputs = job.what
    return export.save_onnx(
        module,
        job.path(".onnx"),
        *inputs,
        dynamic_axes={one.name: {0: "rows"} for one in job.inference.inputs},
        metadata={METADATA: json.dumps(job.inference.description())},
    )


#: name -> what writes the files of a format and returns what it wrote
FORMATS: Mapping[str, Callable[[Job], Any]] = {
    "c": _to_c,
    "library": _to_library,
    "object": _to_object,
    "onnx": _to_onnx,
}
#: option -> the formats that it is for
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "target": ("object",),
    "cpu": ("object", "library"),
    "features": ("object",),
    "machine": ("library",),
}


def sizes(made: Any, nbytes: int) -> str:
    """Returns how much memory an export needs, as text.

    Args:
        made: what a function of `FORMATS` returned.
        nbytes: of all its files.
    """
    if isinstance(made, export.OnnxExport):
        return f"{nbytes:,} bytes, for any number of rows"
    if isinstance(made, export.LibraryExport):
        code = f"code with its constants {made.code_bytes:,} bytes"
        return f"{code}, RAM {made.state_bytes:,} bytes, for {made.machine} with {made.cpu}"
    flash = f"flash {sum(made.flash.values()):,} bytes"
    flash += "" if "code" in made.flash else " beside the code"
    target = getattr(made, "target", "")
    return f"{flash}, RAM {made.state_bytes:,} bytes{f', for {target}' if target else ''}"
