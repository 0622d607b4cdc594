"""Compiles what `to_c` or `to_object` wrote, with a main function around it, and runs it on arrays.

The program reads the number of steps and each step's arguments from its standard input, and writes
each step's code and results, and at last its state, to its standard output.
"""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smelt.export import CExport, ObjectExport

Export = CExport | ObjectExport

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

_MAIN = """
#include <stdio.h>
#include <string.h>
#include "{name}.h"

static {name}_state state;
{arrays}

int main(void)
{{
    int32_t steps, step, code;
    if (fread(&steps, 4, 1, stdin) != 1)
        return 2;
    {name}_init(&state);
    for (step = 0; step < steps; step++) {{
{reads}
        code = {name}_step({parameters});
        fwrite(&code, 4, 1, stdout);
{writes}
    }}
    fwrite(&state, sizeof state, 1, stdout);
    return 0;
}}
"""


def main_text(export: Export) -> str:
    """Returns the main function around an exported step."""
    arrays, reads, writes, names = [], [], [], ["&state"]
    for kind, several in (("in", export.arguments), ("out", export.results)):
        for number, one in enumerate(several):
            name, size = f"{kind}{number}", max(1, math.prod(one.shape))
            names.append(name)
            arrays.append(f"static {_TYPES[one.dtype.name]} {name}[{size}];")
            nbytes = math.prod(one.shape) * one.dtype.itemsize
            if kind == "in" and nbytes:
                reads.append(f"        if (fread({name}, {nbytes}, 1, stdin) != 1) return 2;")
            elif nbytes:
                writes.append(f"        fwrite({name}, {nbytes}, 1, stdout);")
    return _MAIN.format(
        name=export.name,
        arrays="\n".join(arrays),
        reads="\n".join(reads),
        writes="\n".join(writes),
        parameters=", ".join(names),
    )


_TYPES = {
    "bool": "bool", "int8": "int8_t", "int32": "int32_t", "int64": "int64_t", "float16": "uint16_t",
    "bfloat16": "uint16_t", "float32": "float", "float64": "double",
}  # fmt: skip


class CProgram:
    """An exported step as a program."""

    def __init__(
        self,
        export: Export,
        compiler: str = "gcc",
        options: Sequence[str] = ("-O2",),
        runner: Sequence[str] = (),
        main_options: Sequence[str] = (),
    ) -> None:
        self.export, self.runner = export, list(runner)
        folder = Path(export.header).parent
        main, self.path = folder / f"{export.name}_main.c", folder / f"{export.name}_program"
        main.write_text(main_text(export))
        step = folder / f"{export.name}.o"
        if isinstance(export, CExport):
            command = [compiler, *STRICT, *options, "-c", export.source, "-o", str(step)]
            self._run(command)
        self._run([compiler, *options, str(main), str(step), "-o", str(self.path), *main_options])

    @staticmethod
    def _run(command: Sequence[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[:4000]}"

    def __call__(
        self, steps: Sequence[Sequence[np.ndarray]]
    ) -> tuple[list[int], list[list[np.ndarray]], dict[str, np.ndarray]]:
        """Runs steps; returns their codes and results, and the tensors of the state by name."""
        given = [np.int32(len(steps)).tobytes()]
        for arrays in steps:
            for array, one in zip(arrays, self.export.arguments, strict=True):
                given.append(np.ascontiguousarray(array, one.dtype.storage).tobytes())
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
        done = subprocess.run(
            [*self.runner, str(self.path)],
            input=b"".join(given),
            capture_output=True,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr.decode()[:4000]
        return self._parsed(done.stdout, len(steps))

    def _parsed(
        self, output: bytes, steps: int
    ) -> tuple[list[int], list[list[np.ndarray]], dict[str, np.ndarray]]:
        at, codes, results = 0, [], []

        def take(dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
            nonlocal at
            size = math.prod(shape) * dtype.itemsize
            array = np.frombuffer(output[at : at + size], dtype).reshape(shape)
            at += size
            return array

        for _ in range(steps):
            codes.append(int(take(np.dtype(np.int32), ())))
            results.append([take(one.dtype.storage, one.shape) for one in self.export.results])
        state = take(np.dtype(np.uint8), (self.export.state_bytes,))
        assert at == len(output)
        tensors = {}
        for one in self.export.fields:
            if one.tensor:
                size = math.prod(one.shape) * one.dtype.itemsize
                part = state[one.offset : one.offset + size]
                tensors[one.tensor] = part.view(one.dtype.storage).reshape(one.shape)
        return codes, results, tensors
