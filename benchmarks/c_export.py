"""What `to_c` and `to_object` write beside Smelt's own machine code: seconds a step, one thread.

    python benchmarks/c_export.py [--inference] [NETWORK ...]

For each network of the tests' zoo, inference and training step (without --inference): Smelt's time;
that of the C compiled by gcc -O3 for any x86-64, and for this CPU, with the two options that let
gcc make vectors of more loops; that of the object file for AVX2, and of one for AVX-512 where this
CPU has it;
then, for inference, that of onnxruntime on what `save_onnx` writes, if it is installed (the extra
`test`). It gets one thread, and its inputs and outputs are bound beforehand. It is called from
Python, which the others are not: the first line says what a call takes that computes next to
nothing.

All sides run in turn within one process, so a busy machine changes seconds, and ratios little. The
median of the rounds counts.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

try:
    import onnxruntime
except ImportError:
    onnxruntime = None

import smelt
from smelt import export

sys.path.insert(0, str(Path(__file__).parent.parent))

from smelt_runtime.processor import features
from tests.export.c_zoo import ZOO, training_step

OPTIONS = {
    "C -O3": ("-O3",),
    "C for this CPU": ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math"),
}
LEVELS = {"avx2": "x86-64-v3", "avx512vl": "x86-64-v4"}
OBJECTS = [cpu for needed, cpu in LEVELS.items() if needed in features()]
ROUNDS, SECONDS = 7, 0.03


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inference", action="store_true", help="no training steps")
    parser.add_argument("networks", nargs="*", help=f"some of {', '.join(ZOO)}; all without")
    given = parser.parse_args()
    with smelt.settings(threads=1):
        if onnxruntime is not None:
            print(f"a call of onnxruntime that adds 1 to a number: {call_seconds() * 1e6:.1f} us")
        table(given.networks or list(ZOO), given.inference)


def table(names: list[str], only_inference: bool) -> None:
    titles = ("LLVM us", *OPTIONS, *OBJECTS, "onnxruntime", "code bytes")
    heads = "".join(f"{head:>16}" for head in titles)
    print(f"{'network':<18}{'step':<10}{heads}")
    for name in names:
        network = ZOO[name]
        smelt.manual_seed(1)
        model = network.make()
        batch = network.batch(np.random.default_rng(2))
        cases: list[tuple[str, Any, Any]] = []
        if network.inputs:
            cases.append(("inference", smelt.compile(model.eval()), batch[: network.inputs]))
        for kind, step, arrays in cases:
            measure(name, kind, step, arrays)
        if not only_inference:
            model.train()
            measure(name, "training", smelt.compile(training_step(network, model)), batch)


def measure(name: str, kind: str, step: Any, arrays: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = export.to_c(step, folder, *arrays)
        sides = [lambda count: step.repeat(count, *arrays)]
        sides += [side(made, options) for options in OPTIONS.values()]
        for cpu in OBJECTS:
            file = Path(folder) / f"{cpu}.o"
            sides.append(side(export.to_object(step, file, *arrays, cpu=cpu, name="net"), ()))
        if kind == "inference" and onnxruntime is not None:
            sides.append(in_onnxruntime(step, Path(folder) / "net.onnx", arrays))
        counts = [count_of(run) for run in sides]
        seconds: list[list[float]] = [[] for _ in sides]
        for _ in range(ROUNDS):
            for times, run, count in zip(seconds, sides, counts, strict=True):
                start = time.perf_counter()
                run(count)
                times.append((time.perf_counter() - start) / count)
        first, *others = map(statistics.median, seconds)
        ratios = "".join(f"{other / first:>15.2f}x" for other in others)
        ratios = f"{ratios:<{16 * (len(OPTIONS) + len(OBJECTS) + 1)}}"
        print(
            f"{name:<18}{kind:<10}{1e6 * first:>16.1f}{ratios}{code_bytes(made):>16,}", flush=True
        )


def side(
    made: export.CExport | export.ObjectExport, options: tuple[str, ...]
) -> Callable[[int], None]:
    """Returns what runs steps of exported code."""
    is_c = isinstance(made, export.CExport)
    loop = Path(made.header).with_name("loop.c")
    header = Path(made.header).name
    parameters = [f"arrays[{k}]" for k in range(len(made.arguments) + len(made.results))]
    calls = ", ".join(["(void *)state", *parameters])
    loop.write_text(
        f'#include "{header}"\n'
        f"int repeat(void *state, void **arrays, int count)\n{{\n    int code = 0;\n"
        f"    while (count-- > 0)\n        code |= {made.name}_step({calls});\n"
        f"    return code;\n}}\n"
    )
    code_file = made.source if is_c else made.object_file
    library = Path(f"{code_file}.{len(options)}.so")
    command = ["gcc", "-std=c99", *options, "-shared", "-fPIC", code_file, str(loop)]
    subprocess.run([*command, "-o", str(library)], check=True)
    code = ctypes.CDLL(str(library))
    state = np.zeros(made.state_bytes + 64, np.uint8)
    random = np.random.default_rng(2)
    arrays = [
        random.normal(size=one.shape).astype(one.dtype.storage)
        if one.dtype.is_float
        else random.integers(0, 3, one.shape).astype(one.dtype.storage)
        for one in (*made.arguments, *made.results)
    ]
    pointers = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
    start = state.ctypes.data + -state.ctypes.data % 64
    getattr(code, f"{made.name}_init")(ctypes.c_void_p(start))

    def run(count: int, _kept: object = (state, arrays)) -> None:
        failed = code.repeat(ctypes.c_void_p(start), pointers, count)
        assert failed == 0, failed

    return run


def in_onnxruntime(step: Any, path: Path, arrays: Any) -> Callable[[int], None]:
    """Returns what runs a function in onnxruntime, on one thread."""
    export.save_onnx(step, path, *arrays)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    bound = session.io_binding()
    for one, array in zip(session.get_inputs(), arrays, strict=True):
        bound.bind_cpu_input(one.name, np.ascontiguousarray(array))
    for one in session.get_outputs():
        bound.bind_output(one.name)

    def run(count: int) -> None:
        for _ in range(count):
            session.run_with_iobinding(bound)

    return run


def call_seconds() -> float:
    """Returns the seconds of a call of onnxruntime that computes next to nothing."""
    with tempfile.TemporaryDirectory() as folder:
        one = np.zeros(1, np.float32)
        run = in_onnxruntime(lambda x: x + 1.0, Path(folder) / "one.onnx", (one,))
        count, times = count_of(run), []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            run(count)
            times.append((time.perf_counter() - start) / count)
    return statistics.median(times)


def count_of(run: Callable[[int], Any]) -> int:
    """Returns how many steps take about SECONDS."""
    run(2)
    start = time.perf_counter()
    run(5)
    return max(5, int(5 * SECONDS / (time.perf_counter() - start)))


def code_bytes(made: export.CExport) -> int:
    """Returns the bytes of the code, compiled to be small."""
    source = Path(made.source)
    small = source.with_suffix(".small.o")
    subprocess.run(["gcc", "-std=c99", "-Os", "-c", str(source), "-o", str(small)], check=True)
    listed = subprocess.run(
        ["size", "-A", str(small)], capture_output=True, text=True, check=True
    ).stdout
    sections = [line.split() for line in listed.splitlines() if line.startswith(".text")]
    return sum(int(section[1]) for section in sections)


if __name__ == "__main__":
    main()
