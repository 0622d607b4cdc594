"""Runs a network in several ways and says what came out: hashes, and errors against float64."""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import smelt
from networks.network import SLOW_STEPS, STEPS, Network, Training
from smelt import Tensor, settings
from smelt.dtypes import float64

ROOT = Path(__file__).resolve().parent.parent.parent
SEED = 7
EXACT = "float64"  # the way of the reference: eager, or compiled where that is slow
WAYS: dict[str, dict[str, Any]] = {  # the settings of the others
    "1 thread": {"threads": 1},
    "2 threads": {"threads": 2},
    "eager": {"compile": False},
}
PARTS = ("losses", "parameters", "gradients")
SMALL = 1e-3  # of the largest element of all arrays: below it an array counts as noise

Values = dict[str, Any]  # by part: a list of arrays, or the text of an error


def record(network: Network) -> dict[str, Any]:
    """Returns everything that is known of a network after it ran in every way, as for JSON."""
    start = time.perf_counter()
    ways = [*WAYS, EXACT] if network.reference else list(WAYS)
    runs = {way: values(network, way) for way in ways}
    results: dict[str, Any] = {way: hashes(run) for way, run in runs.items()}
    results["errors"] = {way: errors(runs[way], runs.get(EXACT)) for way in WAYS}
    results["first and last loss"] = ends(runs["1 thread"])
    results["eager steps"] = steps_of(network, "eager")
    results["seconds"] = round(time.perf_counter() - start, 2)
    gc.collect()
    return results


def steps_of(network: Network, way: str) -> int:
    """Returns how many steps a network makes in a way."""
    return SLOW_STEPS if network.slow and way == "eager" else STEPS


def values(network: Network, way: str) -> Values:
    """Returns the losses, what training left behind, and the gradients before and after it."""
    with settings(**WAYS.get(way, {"compile": network.slow})):
        try:
            training = built(network, exact=way == EXACT)
            slopes = smelt.compile(gradients_of(training))
            results = {"gradients": attempt(lambda: arrays(slopes(*training.arguments)))}
            step, steps = smelt.compile(training.step), steps_of(network, way)
            losses = network.run(step, training.arguments, steps)
            results |= {"losses": arrays(losses), "parameters": arrays(state(training))}
        except Exception as problem:
            return dict.fromkeys(PARTS, error(problem))
        after = attempt(lambda: arrays(slopes(*training.arguments)))
    if not isinstance(results["gradients"], str):
        results["gradients"] = after if isinstance(after, str) else results["gradients"] + after
    return {kind: results[kind] for kind in PARTS}


def built(network: Network, exact: bool = False) -> Training:
    """Returns the training at its beginning; the random numbers start from the seed."""
    smelt.manual_seed(SEED)
    return network.build(float64 if exact else network.dtype)


def attempt(function: Callable[[], list[np.ndarray]]) -> list[np.ndarray] | str:
    """Returns the arrays that a function makes, or the text of its error."""
    try:
        return function()
    except Exception as problem:
        return error(problem)


def arrays(tensors: Any) -> list[np.ndarray]:
    """Returns copies of tensors."""
    return [np.array(x.numpy()) for x in tensors]


def state(training: Training) -> list[Tensor]:
    """Returns parameters and buffers, then the state of the optimizers and of the generator."""
    kept: list[Tensor] = [*training.model.parameters(), *training.model.buffers()]
    for optimizer in training.optimizers:
        kept += optimizer.state_dict().values()
    return [*kept, smelt.get_rng_state()]


def gradients_of(training: Training) -> Callable[..., list[Tensor]]:
    """Returns the step with the gradients as its result, and without any update by them."""

    def gradients(*arguments: Tensor) -> list[Tensor]:
        with collecting(training) as collected:
            training.step(*arguments)
        return collected

    return gradients


@contextmanager
def collecting(training: Training) -> Iterator[list[Tensor]]:
    """Within the block an optimizer's `step` only adds the gradients that it finds to a list."""
    gradients: list[Tensor] = []
    for optimizer in training.optimizers:
        parameters = [x for group in optimizer.param_groups for x in group["params"]]

        def collect(parameters: list[Tensor] = parameters) -> None:
            gradients.extend(x.grad for x in parameters if x.grad is not None)

        vars(optimizer)["step"] = collect
    try:
        yield gradients
    finally:
        for optimizer in training.optimizers:
            del vars(optimizer)["step"]


def error(problem: Exception) -> str:
    """Returns the first line of an error, without the folder that the project lies in."""
    first = str(problem).strip().split("\n")[0].replace(f"{ROOT}/", "")
    return f"error: {type(problem).__name__}: {first[:200]}"


# --- hashes and errors ----------------------------------------------------------------------------


def hashes(run: Values) -> dict[str, str]:
    """Returns the SHA-256 of each part: of shapes, number types and bytes."""
    return {
        kind: outcome if isinstance(outcome, str) else digest(outcome)
        for kind, outcome in run.items()
    }


def digest(arrays: list[np.ndarray]) -> str:
    """Returns the SHA-256 of some arrays in order."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.shape} {array.dtype}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def errors(run: Values, exact: Values | None) -> dict[str, float | None]:
    """Returns the largest relative difference of each part from the run in float64, if any.

    Of the gradients it is that of the ones before training, where all parameters are equal.
    """
    if exact is None or any(
        isinstance(either[kind], str) for either in (run, exact) for kind in PARTS
    ):
        return dict.fromkeys(PARTS)
    first = len(exact["gradients"]) // 2
    differences: dict[str, float | None] = {
        "losses": difference(run["losses"], exact["losses"]),
        "parameters": difference(run["parameters"], exact["parameters"]),
        "gradients": difference(run["gradients"][:first], exact["gradients"][:first]),
    }
    if len(run["losses"]) != len(exact["losses"]):  # fewer steps
        differences["losses"] = differences["parameters"] = None
    return differences


def difference(some: list[np.ndarray], exact: list[np.ndarray]) -> float:
    """Returns the largest difference of floats, relative to the largest element of its array.

    Where that is very small (a bias in front of a norm, whose gradient is 0), relative to SMALL
    times the largest of all.
    """
    pairs = [(a, b) for a, b in zip(some, exact, strict=False) if a.dtype == np.float32 and a.size]
    sizes = [float(np.abs(b).max()) for _, b in pairs]
    least = SMALL * max(sizes, default=0.0) or 1.0
    gaps = [float(np.abs(a.astype(np.float64) - b).max()) for a, b in pairs]
    return max((gap / max(size, least) for gap, size in zip(gaps, sizes, strict=True)), default=0.0)


def ends(run: Values) -> list[float] | None:
    """Returns the first and the last loss."""
    if isinstance(run["losses"], str):
        return None
    losses = np.concatenate([np.ravel(x) for x in run["losses"]])
    return [float(losses[0]), float(losses[-1])]
