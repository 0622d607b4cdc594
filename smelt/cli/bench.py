"""smelt bench: Smelt compared with PyTorch, JAX and NumPy on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from smelt import plot
from smelt.bench.report import figure, machine, markdown, terminal, write_json
from smelt.bench.run import chosen_cases, run
from smelt.limits import Within

__all__ = ["bench"]

DEFAULT = ("book",)


def bench(
    cases: list[str] | None = None,
    /,
    *,
    sides: list[str] | None = None,
    peers: Path | None = None,
    rounds: Annotated[int, Within(1)] = 7,
    threads: list[Annotated[int, Within(1)]] | None = None,
    json: Path | None = None,
    picture: Path | None = None,
) -> int:
    """Time Smelt, PyTorch, JAX and NumPy.

    Groups of cases: book (steps of nine networks), matmul (products of many sizes, of all four
    layouts), layers (single ones, forward and backward), and sweeps over sizes: mlp, convolution,
    lstm, gru, transformer. Each side runs in its own process, in turn with the others. The output
    has medians, half the interquartile range, and each side's time as a multiple of Smelt's best.
    "limit" is the time that the arithmetic of the products would take at this machine's peak speed
    of multiply-adds.

    Before anything is timed, the losses of the first steps of all sides are compared. A side whose
    library is missing is left out and named.

    Args:
        cases: groups, single cases such as char-gpt, or all (default: book)
        sides: which to run, of smelt, numpy, torch, torch.compile, jax (default: all)
        peers: the Python that has PyTorch and JAX (default: the one that runs this)
        rounds: measurements of each side
        threads: numbers of threads to try; the best counts (default: 1, and as many as there are
            cores)
        json: also write everything to this file
        picture: also draw a figure to this file
    """
    if picture is not None:
        plot.require()
    chosen = chosen_cases(cases or DEFAULT)
    counts = threads or sorted({1, os.cpu_count() or 1})
    print(machine(), flush=True)
    results = {}
    try:
        for name, measured in run(chosen, sides, str(peers or sys.executable), rounds, counts):
            results[name] = measured
            print("\n".join(terminal(name, measured)), flush=True)
    finally:  # what is measured is kept also when Ctrl-C ends it
        _keep(results, json, picture)
    return 0


def _keep(results: dict, json: Path | None, picture: Path | None) -> None:
    if not results:
        return
    print(f"\n{markdown(results)}")
    if json is not None:
        write_json(results, json)
    if picture is not None:
        plot.save(figure(results), picture)
