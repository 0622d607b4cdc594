"""Runs a `Case` of the compiler's tests as C: in place of its machine code."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from smelt.compiler.c.interface import Array, Step
from smelt.compiler.c.schedule import schedule
from smelt.compiler.c.step import Files, emit
from smelt.compiler.pipeline import run_portable
from smelt.ir.program import with_kernels
from smelt.ir.verify import verify_program
from tests.compiler.c.compiled import STRICT
from tests.compiler.engines import Case, Ran

OPTIONS = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")


def c_files(case: Case) -> Files:
    """Returns the C files of a case; its kernels are verified."""
    graph = case.traced.graph
    pairs = zip(graph.states, case.traced.states, strict=True)
    contents = {node: np.array(tensor.stored, order="C") for node, tensor in pairs}
    planned, plain = run_portable(graph, "step", {}, contents)
    verify_program(plain)
    program = with_kernels(plain, {kernel: schedule(kernel) for kernel in plain.kernels})
    verify_program(program)
    updated = {old for old, _ in graph.updates}
    states = [
        Array(f"s{number}", np.array(tensor.stored, order="C"), tensor.dtype, node in updated, "")
        for number, (node, tensor) in enumerate(zip(graph.states, case.traced.states, strict=True))
    ]
    arguments = [(f"x{number}", x.dtype, x.shape) for number, x in enumerate(graph.arguments)]
    results = [(f"y{number}", x.dtype, x.shape) for number, x in enumerate(graph.outputs)]
    messages = [check.message for check in graph.assertions]
    return emit(Step("step", program, states, planned.constants, arguments, results, messages, {}))


def run_in_c(case: Case) -> Ran:
    """Runs the case once, as C that is compiled with checks of undefined behavior."""
    files = c_files(case)
    folder = Path(tempfile.mkdtemp())
    (folder / "step.h").write_text(files.header)
    (folder / "step.c").write_text(files.source)
    library = folder / "step.so"
    command = ["gcc", *STRICT, *OPTIONS, "-shared", "-fPIC", str(folder / "step.c")]
    done = subprocess.run([*command, "-o", str(library)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    code = ctypes.CDLL(str(library))
    shutil.rmtree(folder)
    traced = case.traced
    given = [np.ascontiguousarray(x.stored) for x in case.arguments]
    outputs = [np.zeros(x.shape, x.dtype.storage) for x in traced.graph.outputs]
    state = np.full(files.sizes.state + 64, 0xFF, np.uint8)
    first = -state.ctypes.data % 64
    own = state[first : first + files.sizes.state]

    def pointer(array: np.ndarray) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    code.step_init(pointer(own))
    number = code.step_step(pointer(own), *map(pointer, given), *map(pointer, outputs))
    after = {id(tensor): np.array(tensor.stored) for tensor in traced.states}
    for field in files.fields:
        if field.tensor:
            tensor = traced.states[int(field.tensor.removeprefix("s"))]
            nbytes = tensor.stored.nbytes
            part = own[field.offset : field.offset + nbytes].view(field.dtype.storage)
            after[id(tensor)] = part.reshape(field.shape)
    states = [after.get(id(tensor), tensor.stored) for tensor in case.states]
    return Ran(outputs, states, number)
