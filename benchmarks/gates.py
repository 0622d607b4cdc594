"""What gates within the product of an LSTM could save: their kernel beside its arithmetic alone.

    python benchmarks/gates.py [--rows 16] [--width 128]

A loop over time runs for chunks of the batch's rows, so what the product of a step writes is in the
L1 cache when the gates are computed. The first kernel reads all of it and writes the gates that the
backward pass needs; the second has the same functions, with hardly anything to read or write. The
difference is what the loads and stores take, and all that gates in registers would save.
"""

from __future__ import annotations

import argparse

import smelt
from smelt.compiler.report.explain import measure

ROUNDS = 5


def gates(z: smelt.Tensor, c: smelt.Tensor) -> tuple[smelt.Tensor, ...]:
    """Returns what one step of an LSTM keeps and hands on; z: (R, 4 H), c: (R, H)."""
    i, f, g, o = z.chunk(4, -1)  # (R, H) each
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c = f * c + i * g
    return i, f, g, o, c, o * c.tanh()


def arithmetic(z: smelt.Tensor, c: smelt.Tensor) -> smelt.Tensor:
    """Returns the same from one array (R, H): three sigmoids and two tanh of each element."""
    c = (z + 1).sigmoid() * c + z.sigmoid() * (z + 2).tanh()
    return (z + 3).sigmoid() * c.tanh()


def microseconds(function: object, *arguments: smelt.Tensor) -> float:
    """Returns the microseconds of a function's kernels, of the quickest of some rounds."""
    step = smelt.compile(function)
    step(*arguments)
    times = [sum(row.seconds for row in measure(step.executables.newest)) for _ in range(ROUNDS)]
    return 1e6 * min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--width", type=int, default=128)
    options = parser.parse_args()
    rows, width = options.rows, options.width
    z, c = smelt.randn(rows, 4 * width), smelt.randn(rows, width)
    with smelt.settings(threads=1):
        all_of_it = microseconds(gates, z, c)
        alone = microseconds(arithmetic, smelt.randn(rows, width), c)
    print(
        f"{rows} x {width}: gates {all_of_it:.2f} us, their arithmetic {alone:.2f} us; "
        f"loads and stores are {1 - alone / all_of_it:.0%}"
    )


if __name__ == "__main__":
    main()
