"""Instructions of one step of exported C on a Cortex-M4F, counted by QEMU.

    python benchmarks/cortex_m.py [--peers PYTHON] [NETWORK ...]

The networks are those of `flash.py`, compiled with -Os, -O2 and -O3. QEMU lets each instruction
take a nanosecond (-icount shift=0), and the program reads the processor's timer, which ticks at 25
MHz: so numbers are right within 40 instructions. A real Cortex-M4 takes more than a cycle for some
of them. PYTHON has emlearn and scikit-learn, for the same perceptron.

The last lines are one layer, 128 inputs and 64 outputs: Smelt's C, and a loop over outputs with dot
products in the order of `arm_dot_prod_f32` of CMSIS-DSP, four products an iteration and one sum:
with products rounded before they are added, as in Smelt's C, and with fused multiply-add.

The tools are Debian's: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import flash
import numpy as np

import smelt
from smelt import export, nn

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.export.c_targets import TARGETS

LEVELS = ("-Os", "-O2", "-O3")
INPUTS, OUTPUTS = 128, 64  # of the layer
TICK = 40  # instructions

MAIN = """
#include <stdint.h>
#include <stdio.h>
#define TIMER ((volatile uint32_t *)0xE000E010u) /* SysTick: control, first, current value */
{declared}
int main(void)
{{
    uint32_t start;
    TIMER[1] = 0xFFFFFFu;
    TIMER[2] = 0;
    TIMER[0] = 5;
    {prepared}
    {call}
    start = TIMER[2];
    {call}
    printf("%lu\\n", (unsigned long)((start - TIMER[2]) & 0xFFFFFFu));
    return 0;
}}
"""

LAYER = """
void layer(const float *w, const float *b, const float *x, float *y, int inputs, int outputs)
{
    int i, k;
    for (i = 0; i < outputs; i++, w += inputs) {
        const float *left = w, *right = x;
        float sum = 0.0f;
        for (k = inputs / 4; k > 0; k--, left += 4, right += 4) {
            sum += left[0] * right[0];
            sum += left[1] * right[1];
            sum += left[2] * right[2];
            sum += left[3] * right[3];
        }
        for (k = 0; k < inputs % 4; k++)
            sum += left[k] * right[k];
        y[i] = sum + b[i];
    }
}
"""


def instructions(sources: Sequence[Path], main: str, level: str, *options: str) -> int:
    """Returns the instructions between two readings of the timer in a program's main function."""
    target = TARGETS["thumbv7em"]
    folder = sources[0].parent
    (folder / "count_main.c").write_text(main)
    program = folder / "count.elf"
    given = ["-std=gnu99", level, *flash.CPU, *options, *sources, folder / "count_main.c"]
    flash.run(target.compiler, *given, "-o", program, *target.main_options, "-lm")
    command = [*target.runner[:-1], "-icount", "shift=0", "-kernel", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return TICK * int(done.stdout.split()[-1])


def of_c(made: export.CExport, level: str) -> int:
    """Returns the instructions of one step of exported C."""
    name = made.name
    sizes = [int(np.prod(one.shape)) for one in (*made.arguments, *made.results)]
    arrays = "".join(f"static float a{k}[{size}];\n" for k, size in enumerate(sizes))
    given = ", ".join(["&state", *[f"a{k}" for k in range(len(sizes))]])
    main = MAIN.format(
        declared=f'#include "{name}.h"\nstatic {name}_state state;\n{arrays}',
        prepared=f"{name}_init(&state);",
        call=f"{name}_step({given});",
    )
    return instructions([Path(made.source)], main, level)


def of_emlearn(folder: Path, peers: str, network: flash.Network, level: str) -> int:
    """Returns the instructions of emlearn's C for the same perceptron."""
    source, include, _ = flash.emlearn_files(folder, peers, network)
    main = MAIN.format(
        declared="int32_t net_predict(const float *, int32_t);\nstatic float x[64];",
        prepared="",
        call="net_predict(x, 64);",
    )
    return instructions([source], main, level, f"-I{include}")


def row(name: str, kind: str, counts: Sequence[int], products: int) -> None:
    cells = "".join(f"{count:>14,}{count / products:>8.2f}" for count in counts)
    print(f"{name:<10}{kind:<26}{cells}", flush=True)


def networks(names: Sequence[str], folder: Path, peers: str | None) -> None:
    for name in names:
        smelt.manual_seed(0)
        network = flash.NETWORKS[name]()
        models = {"float32": network.model}
        if name in flash.HAS_INT8:
            models["int8"] = export.quantize(network.model, network.calibration)
        products = 1
        for kind, model in models.items():
            made = export.to_c(model, folder, network.sample, name=f"count_{kind}")
            products = made.flops // 2 if kind == "float32" else products
            row(name, kind, [of_c(made, level) for level in LEVELS], products)
        if peers and name == "digits":
            counts = [of_emlearn(folder, peers, network, level) for level in LEVELS]
            row(name, "emlearn", counts, products)


def layer(folder: Path) -> None:
    smelt.manual_seed(0)
    x = np.zeros((1, INPUTS), np.float32)
    made = export.to_c(nn.Linear(INPUTS, OUTPUTS), folder, x, name="linear")
    products = INPUTS * OUTPUTS
    row("layer", "Smelt's C", [of_c(made, level) for level in LEVELS], products)
    source = folder / "layer.c"
    source.write_text(LAYER)
    main = MAIN.format(
        declared="void layer(const float *, const float *, const float *, float *, int, int);\n"
        f"static float w[{products}] = {{1}}, b[{OUTPUTS}], x[{INPUTS}], y[{OUTPUTS}];",
        prepared="",
        call=f"layer(w, b, x, y, {INPUTS}, {OUTPUTS});",
    )
    for kind, contracted in (("as CMSIS-DSP", "off"), ("as CMSIS-DSP, fused", "fast")):
        option = f"-ffp-contract={contracted}"
        counts = [instructions([source], main, level, option) for level in LEVELS]
        row("layer", kind, counts, products)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", help="a Python that has emlearn and scikit-learn")
    parser.add_argument("networks", nargs="*", help=f"some of {', '.join(flash.NETWORKS)}")
    given = parser.parse_args()
    heads = "".join(f"{level:>14}{'each':>8}" for level in LEVELS)
    print(f"{'instructions, and each per multiply-add':<36}\n{'':<36}{heads}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        networks(given.networks or list(flash.NETWORKS), Path(folder), given.peers)
        layer(Path(folder))


if __name__ == "__main__":
    main()
