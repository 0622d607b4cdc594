"""One training step of the digits network: 64-128-64-10, batch 64, Adam; Smelt, PyTorch and JAX.

python benchmarks/digits.py --peers /path/to/python/with/torch/and/jax
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator

import numpy as np

from smelt.bench import harness

WIDTHS = (64, 128, 64, 10)
BATCH = 64
STEPS = 500
ROWS = 1437


def data() -> tuple[np.ndarray, np.ndarray]:
    """Returns random images and labels: the arithmetic does not depend on what they show."""
    generator = np.random.default_rng(0)
    images = generator.random((ROWS, WIDTHS[0]), dtype=np.float32)
    return images, generator.integers(0, WIDTHS[-1], ROWS)


def per_step(run: Callable[[], object], steps: int) -> float:
    """Returns the seconds that one of `steps` steps takes."""
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) / steps


def smelt_side() -> Iterator[dict[str, float]]:
    """A call a step; `repeat`; `over` whole epochs."""
    import smelt
    import smelt.nn.functional as F
    from smelt import nn, optim

    smelt.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    @smelt.compile
    def step(x, y):  # type: ignore[no-untyped-def]
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    images, labels = data()
    x, y = smelt.tensor(images[:BATCH]), smelt.tensor(labels[:BATCH])

    def calls() -> None:
        for _ in range(STEPS):
            step(x, y)

    def epochs() -> None:
        step.over(images, labels, batch_size=BATCH, shuffle=True, epochs=20, drop_last=True)

    calls()
    step.repeat(STEPS, x, y)
    epochs()
    yield {}
    while True:
        yield {
            "call": per_step(calls, STEPS),
            "repeat": per_step(lambda: step.repeat(STEPS, x, y), STEPS),
            "over": per_step(epochs, 20 * (ROWS // BATCH)),
        }


def torch_side(compiled: bool) -> Iterator[dict[str, float]]:
    """A call a step, eagerly or through torch.compile."""
    import torch
    from torch import nn

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loss_of(x, y):  # type: ignore[no-untyped-def]
        return nn.functional.cross_entropy(model(x), y)

    forward = torch.compile(loss_of) if compiled else loss_of

    def step(x, y):  # type: ignore[no-untyped-def]
        loss = forward(x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    images, labels = data()
    x, y = torch.tensor(images[:BATCH]), torch.tensor(labels[:BATCH])

    def calls() -> None:
        for _ in range(STEPS):
            step(x, y)

    calls()
    yield {}
    while True:
        yield {"call": per_step(calls, STEPS)}


def jax_side() -> Iterator[dict[str, float]]:
    """A jitted call a step, and a scan over all steps."""
    import jax
    import jax.numpy as jnp

    generator = np.random.default_rng(0)
    parameters = [
        (
            jnp.asarray(generator.normal(0, n**-0.5, (n, m)).astype(np.float32)),
            jnp.zeros(m, jnp.float32),
        )
        for n, m in itertools.pairwise(WIDTHS)
    ]

    def loss_of(parameters, x, y):  # type: ignore[no-untyped-def]
        for weight, bias in parameters[:-1]:
            x = jax.nn.relu(x @ weight + bias)
        weight, bias = parameters[-1]
        logits = jax.nn.log_softmax(x @ weight + bias)
        return -jnp.take_along_axis(logits, y[:, None], 1).mean()

    def update(state, x, y):  # type: ignore[no-untyped-def]
        parameters, m, v, count = state
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
        count = count + 1
        m = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * g, m, gradients)
        v = jax.tree.map(lambda a, g: 0.999 * a + 0.001 * g * g, v, gradients)
        first, second = 1 - 0.9**count, 1 - 0.999**count
        parameters = jax.tree.map(
            lambda p, a, b: p - 1e-3 * (a / first) / (jnp.sqrt(b / second) + 1e-8), parameters, m, v
        )
        return (parameters, m, v, count), loss

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, zeros, zeros, jnp.float32(0))
    images, labels = data()
    x, y = jnp.asarray(images[:BATCH]), jnp.asarray(labels[:BATCH])
    step = jax.jit(update, donate_argnums=0)

    @jax.jit
    def scan(state):  # type: ignore[no-untyped-def]
        return jax.lax.scan(lambda carry, _: update(carry, x, y), state, None, length=STEPS)

    kept = {"state": jax.tree.map(jnp.array, state)}

    def calls() -> None:
        for _ in range(STEPS):
            kept["state"], loss = step(kept["state"], x, y)
        loss.block_until_ready()

    def scanned() -> None:
        scan(state)[1].block_until_ready()

    calls()
    scanned()
    yield {}
    while True:
        yield {"call": per_step(calls, STEPS), "scan": per_step(scanned, STEPS)}


if __name__ == "__main__":
    harness.main(
        "digits step (64-128-64-10, batch 64, Adam)",
        {
            "smelt": smelt_side,
            "torch": lambda: torch_side(compiled=False),
            "torch.compile": lambda: torch_side(compiled=True),
            "jax": jax_side,
        },
    )
