"""Kernels as C, compiled by the C compilers of this machine, and run on arrays."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from smelt.compiler.c.kernel import Source, kernel_text
from smelt.compiler.c.support import PRELUDE
from smelt.compiler.c.text import Names
from smelt.ir.interpret import run_kernel
from smelt.ir.loops import Kernel
from tests.compiler.handmade import bits

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
# with instructions for what the support functions compute, and in three ways without
WAYS = {
    "instructions": ("-O2", "-march=native", "-fno-math-errno"),
    "doubles": ("-O2", "-mno-fma"),
    "integers": ("-O2", "-mno-fma", "-U__SSE2__"),
    "sanitized": ("-O1", "-U__SSE2__", "-fsanitize=undefined", "-fno-sanitize-recover=all"),
}

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc here")


def c_functions(
    kernels: Sequence[Kernel], options: Sequence[str], compiler: str = "gcc"
) -> list[ctypes._NamedFuncPointer]:
    """Returns kernels as functions of pointers, in the order of their buffers."""
    source, names = Source(), Names()
    called = [names.fresh(f"run_{kernel.name}") for kernel in kernels]
    texts = [kernel_text(source, k, name) for k, name in zip(kernels, called, strict=True)]
    exported = [text.replace("static void run_", "void run_", 1) for text in texts]
    heads = [text[text.index("void run_") : text.index(")\n{") + 1] + ";" for text in exported]
    includes = "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n"
    parts = [includes, PRELUDE, *heads, *source.support.values(), *exported]
    folder = Path(tempfile.mkdtemp())
    file, library = folder / "kernels.c", folder / "kernels.so"
    file.write_text("\n\n".join(parts) + "\n")
    command = [compiler, *STRICT, *options, "-shared", "-fPIC", str(file), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    loaded = ctypes.CDLL(str(library))
    shutil.rmtree(folder)
    return [getattr(loaded, name) for name in called]


def check_c(
    kernels: list[Kernel],
    given: list[np.ndarray],
    loose: tuple[str, ...] = (),
    ways: Iterable[Sequence[str]] = WAYS.values(),
) -> None:
    """Asserts that C, compiled in several ways, and the interpreter agree to the bit.

    The kernels have one output each; of those named in `loose` zeros are alike.
    """
    expected = []
    for kernel in kernels:
        expected.append(np.zeros(kernel.outputs[0].shape, kernel.outputs[0].dtype.storage))
        run_kernel(kernel, [expected[-1], *_inputs(kernel, given)])
    for options in ways:
        functions = c_functions(kernels, options)
        for kernel, function, wanted in zip(kernels, functions, expected, strict=True):
            results, inputs = np.zeros_like(wanted), _inputs(kernel, given)
            run_c(function, [results, *inputs])
            dtype, signed = kernel.outputs[0].dtype, kernel.name not in loose
            wrong = np.flatnonzero(bits(results, dtype, signed) != bits(wanted, dtype, signed))
            shown = [(*(x[n] for x in inputs), results[n], wanted[n]) for n in wrong[:5]]
            assert not wrong.size, f"{kernel.name}, {options}: (operands, C, interpreted) {shown}"


def _inputs(kernel: Kernel, given: list[np.ndarray]) -> list[np.ndarray]:
    return [np.ascontiguousarray(array) for array in given[: len(kernel.inputs)]]


def run_c(function: ctypes._NamedFuncPointer, arrays: Sequence[np.ndarray]) -> None:
    """Calls a kernel on arrays in the order of its buffers."""
    function(*[array.ctypes.data_as(ctypes.c_void_p) for array in arrays])
