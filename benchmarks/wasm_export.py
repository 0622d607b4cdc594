"""What `to_wasm` writes: its size, and the time of a step in Node, beside Smelt's own machine code.

    python benchmarks/wasm_export.py [NETWORK ...]

For each network of the tests' zoo, inference and training step: bytes of the code, of the module
with SIMD with all its tensors, and of that module as gzip sends it; then microseconds of a step: of
Smelt on one thread, and in Node, with SIMD and without. Each is the least of several rounds, after
half a second in which Node optimizes its code.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import smelt
from smelt import export

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.export.c_zoo import ZOO, training_step

NAMES = ("digits", "lenet", "lstm", "transformer", "words")
ROUNDS, SECONDS = 15, 0.03
PROGRAM = """
import { load } from "./net.js";
const given = JSON.parse(process.argv[2]);
const number = (kind) => (kind === "BigInt64Array" ? BigInt : Number);
const arrays = given.map(([kind, values]) => globalThis[kind].from(values, number(kind)));
const found = [];
for (const file of ["net.wasm", "net.scalar.wasm"]) {
  const net = await load(file);
  const run = (count) => {
    const start = performance.now();
    for (let step = 0; step < count; step += 1) net.step(...arrays);
    return (performance.now() - start) / count / 1e3;
  };
  for (const end = performance.now() + 500; performance.now() < end; ) run(10);
  const count = Math.max(1, Math.ceil(SECONDS / run(20)));
  found.push(Math.min(...Array.from({ length: ROUNDS }, () => run(count))));
}
console.log(JSON.stringify(found));
"""
KINDS = {"float32": "Float32Array", "int64": "BigInt64Array"}


def main(names: list[str]) -> None:
    heads = ("code", "module", "gzip", "Smelt", "SIMD", "scalar")
    print(f"{'network':<14}{'step':<11}" + "".join(f"{head:>10}" for head in heads))
    for name in names or NAMES:
        network = ZOO[name]
        smelt.manual_seed(1)
        model = network.make()
        batch = network.batch(np.random.default_rng(2))
        if network.inputs:
            measure(name, "inference", smelt.compile(model.eval()), batch[: network.inputs])
        model.train()
        measure(name, "training", smelt.compile(training_step(network, model)), batch)


def measure(name: str, kind: str, step: Any, arrays: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = export.to_wasm(step, folder, *arrays)
        module = Path(made.module).read_bytes()
        times = [seconds(step, arrays), *in_node(Path(folder), arrays)]
    sizes = (made.code_bytes, len(module), len(gzip.compress(module)))
    shown = "".join(f"{size:>10,}" for size in sizes)
    shown += "".join(f"{1e6 * one:>10.1f}" for one in times)
    print(f"{name:<14}{kind:<11}{shown}", flush=True)


def seconds(step: Any, arrays: Any) -> float:
    """Returns the seconds of a step of Smelt's, the least of several rounds."""
    with smelt.settings(threads=1):
        step.repeat(10, *arrays)
        count = 10
        least = float("inf")
        for _ in range(ROUNDS):
            start = time.perf_counter()
            step.repeat(count, *arrays)
            least = min(least, (time.perf_counter() - start) / count)
            count = max(1, int(SECONDS / least))
    return least


def in_node(folder: Path, arrays: Any) -> list[float]:
    """Returns the seconds of a step in Node, with SIMD and without."""
    constants = f"const ROUNDS = {ROUNDS}, SECONDS = {SECONDS};\n"
    (folder / "time.mjs").write_text(PROGRAM.replace("\nconst given", f"\n{constants}const given"))
    given = json.dumps([[KINDS[x.dtype.name], x.ravel().tolist()] for x in arrays])
    command = ["node", str(folder / "time.mjs"), given]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
