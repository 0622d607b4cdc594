"""The sides of a workload: Smelt, PyTorch (eager or compiled) and JAX, each ready to be timed.

A side first yields the losses of its first steps without random numbers, to be compared with the
other sides', how long its first step took, and its memory; then the seconds of a step, again and
again.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from smelt.bench.workload import Library, Step, Workload

COMPARED = 5  # steps whose losses are compared
SHORTEST = 0.02  # seconds of a measurement


def smelt_library() -> Library:
    """Returns what a workload's step uses of Smelt."""
    import smelt
    import smelt.nn.functional as F
    from smelt import nn, optim

    return Library(nn, F, optim, smelt.tensor, smelt.randn, smelt.cat, lambda function: function)


def smelt_side(workload: Workload) -> Iterator[dict[str, Any]]:
    """A call a step, and `repeat`."""
    import smelt

    lib = smelt_library()
    arrays = tuple([smelt.tensor(array) for array in workload.arrays()])
    exact = smelt.compile(workload.step(lib, workload.weights(), True))
    first, losses = _first_steps(exact, arrays)
    step = smelt.compile(workload.step(lib, workload.weights(), False))

    def repeated(count: int) -> None:
        step.repeat(count, *arrays)

    yield from _timed(workload.steps, first, losses, call=_calls(step, arrays), repeat=repeated)


def torch_side(workload: Workload, compiled: bool = False) -> Iterator[dict[str, Any]]:
    """A call a step; compiled, the forward and the backward pass are, as is usual."""
    import torch
    from torch import nn, optim
    from torch.nn import functional as F

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    compiler = torch.compile if compiled else lambda function: function
    lib = Library(nn, F, optim, torch.tensor, torch.randn, torch.cat, compiler)
    arrays = tuple([torch.tensor(array) for array in workload.arrays()])
    first, losses = _first_steps(workload.step(lib, workload.weights(), True), arrays)
    step = workload.step(lib, workload.weights(), False)
    yield from _timed(workload.steps, first, losses, call=_calls(step, arrays))


def jax_side(workload: Workload) -> Iterator[dict[str, Any]]:
    """A jitted call a step, and a scan over steps."""
    import jax
    import jax.numpy as jnp

    arrays = tuple([jnp.asarray(array) for array in workload.arrays()])
    exact, state = workload.jax_step(workload.weights(), True)
    exact = jax.jit(exact)

    def exact_step(*arrays: Any) -> Any:
        nonlocal state
        state, loss = exact(state, *arrays)
        return loss

    first, losses = _first_steps(exact_step, arrays)
    update, start = workload.jax_step(workload.weights(), False)
    step = jax.jit(update, donate_argnums=0)
    kept = {"state": jax.tree.map(jnp.array, start)}

    def called(count: int) -> None:
        for _ in range(count):
            kept["state"], loss = step(kept["state"], *arrays)
        loss.block_until_ready()

    def scan(state: Any, *arrays: Any) -> Any:
        def body(carry: Any, _: None) -> Any:
            return update(carry, *arrays)

        return jax.lax.scan(body, state, None, length=workload.steps)

    scan = jax.jit(scan)
    start = jax.tree.map(jnp.asarray, start)

    def scanned(count: int) -> None:
        scan(start, *arrays)[1].block_until_ready()

    yield from _timed(workload.steps, first, losses, call=called, scan=scanned)


def timed_steps(step: Step, arrays: tuple[Any, ...], count: int) -> Iterator[dict[str, Any]]:
    """A call a step, so many in one measurement; the values of the first ones are compared."""
    first, losses = _first_steps(step, arrays)
    yield from _timed(count, first, losses, call=_calls(step, arrays))


def limit_side(operations: float) -> Iterator[dict[str, Any]]:
    """What so many operations would take at the speed of nothing but multiply-adds; the peak is
    measured in its turn, when the other sides rest.
    """
    from smelt.compiler.report.roofline import measured_peak

    yield {}
    peak = measured_peak(parallel=int(os.environ["SMELT_THREADS"]) > 1)
    while True:
        yield {"limit": operations / (peak.gflops * 1e9)}


def memory() -> float:
    """Returns the most memory that this process has had so far, in MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _first_steps(step: Step, arrays: tuple[Any, ...]) -> tuple[float, list[float]]:
    """Returns how long the first step took, and the losses of the first."""
    start = time.perf_counter()
    losses = [step(*arrays).item()]
    first = time.perf_counter() - start
    return first, losses + [step(*arrays).item() for _ in range(COMPARED - 1)]


def _calls(step: Step, arrays: tuple[Any, ...]) -> Callable[[int], None]:
    def called(count: int) -> None:
        for _ in range(count):
            step(*arrays)

    return called


def _timed(
    steps: int, first: float, losses: list[float], **ways: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    for way in ways.values():
        way(steps)
    yield {"losses": losses, "first": first, "memory": memory()}
    while True:
        yield {name: _seconds(way, steps) for name, way in ways.items()}


def _seconds(way: Callable[[int], None], steps: int) -> float:
    """Returns the seconds of one step.

    What is short is run for `SHORTEST` at least, and once before that, since caches and clocks are
    cold after the turns of the others.
    """
    start = time.perf_counter()
    way(steps)
    seconds = time.perf_counter() - start
    runs = math.ceil(SHORTEST / seconds)
    if runs > 1:
        start = time.perf_counter()
        for _ in range(runs):
            way(steps)
        seconds = (time.perf_counter() - start) / runs
    return seconds / steps
