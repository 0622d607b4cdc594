"""E8.g: a GAN of two small networks on two clouds of points; one step trains D, then G."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.bench.workload import Library, Step, Weights, Workload, linear, loaded, normal

BATCH, NOISE, HIDDEN, RATE = 128, 8, 64, 2e-4
CENTERS = np.repeat(np.array([[-2, 0], [2, 0]], np.float32), BATCH // 2, axis=0)


def weights() -> Weights:
    """Those of G, then those of D."""
    return (
        linear("0.0", NOISE, HIDDEN, 0)
        | linear("0.2", HIDDEN, 2, 2)
        | linear("1.0", 2, HIDDEN, 4)
        | linear("1.2", HIDDEN, 1, 6)
    )


def arrays() -> tuple[np.ndarray, ...]:
    """The centers that the real points lie around."""
    return (CENTERS,)


def step(lib: Library, weights: Weights, exact: bool) -> Step:
    """The book's step; points and noise are drawn within it, or stand still when `exact`."""
    nn, F = lib.nn, lib.F
    generator = nn.Sequential(nn.Linear(NOISE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2))
    judge = nn.Sequential(nn.Linear(2, HIDDEN), nn.LeakyReLU(0.01), nn.Linear(HIDDEN, 1))
    loaded(lib, nn.ModuleList([generator, judge]), weights)
    for_judge = lib.optim.Adam(judge.parameters(), lr=RATE)
    for_generator = lib.optim.Adam(generator.parameters(), lr=RATE)
    fixed = [
        lib.tensor(normal((BATCH, width), seed)) for seed, width in enumerate((2, NOISE, NOISE))
    ]

    def draw(which: int, width: int) -> Any:
        return fixed[which] if exact else lib.randn(BATCH, width)

    def judged(centers: Any) -> Any:
        real = judge(centers + 0.5 * draw(0, 2))
        fake = judge(generator(draw(1, NOISE)).detach())
        return -F.logsigmoid(real).mean() - F.logsigmoid(-fake).mean()

    def fooled() -> Any:
        return -F.logsigmoid(judge(generator(draw(2, NOISE)))).mean()

    judged, fooled = lib.compile(judged), lib.compile(fooled)

    def step(centers: Any) -> Any:
        loss = judged(centers)
        for_judge.zero_grad()
        loss.backward()
        for_judge.step()
        cheat = fooled()
        for_generator.zero_grad()
        cheat.backward()
        for_generator.step()
        return loss + cheat

    return step


def jax_step(weights: Weights, exact: bool) -> tuple[Step, Any]:
    """The same."""
    import jax
    import jax.numpy as jnp

    from smelt.bench.jax_parts import adam, linear, moments

    fixed = [
        jnp.asarray(normal((BATCH, width), seed)) for seed, width in enumerate((2, NOISE, NOISE))
    ]

    def draw(which: int, key: Any) -> Any:
        return fixed[which] if exact else jax.random.normal(key, fixed[which].shape)

    def generated(weights: Any, z: Any) -> Any:
        return linear(weights, "0.2", jax.nn.relu(linear(weights, "0.0", z)))

    def judge(weights: Any, x: Any) -> Any:
        return linear(weights, "1.2", jax.nn.leaky_relu(linear(weights, "1.0", x), 0.01))

    def judged(judging: Any, making: Any, centers: Any, keys: Any) -> Any:
        real = judge(judging, centers + 0.5 * draw(0, keys[0]))
        fake = judge(judging, generated(making, draw(1, keys[1])))
        return -jax.nn.log_sigmoid(real).mean() - jax.nn.log_sigmoid(-fake).mean()

    def fooled(making: Any, judging: Any, key: Any) -> Any:
        return -jax.nn.log_sigmoid(judge(judging, generated(making, draw(2, key)))).mean()

    def step(state: Any, centers: Any) -> Any:
        (making, judging), (making_moments, judging_moments), key = state
        key, *keys = jax.random.split(key, 4)
        loss, gradients = jax.value_and_grad(judged)(judging, making, centers, keys)
        judging, judging_moments = adam(judging, gradients, judging_moments, RATE)
        cheat, gradients = jax.value_and_grad(fooled)(making, judging, keys[2])
        making, making_moments = adam(making, gradients, making_moments, RATE)
        return ((making, judging), (making_moments, judging_moments), key), loss + cheat

    networks = [
        {name: jnp.asarray(value) for name, value in weights.items() if name.startswith(prefix)}
        for prefix in ("0.", "1.")
    ]
    return step, (tuple(networks), tuple(map(moments, networks)), jax.random.key(0))


def _products() -> float:
    making, judging = NOISE * HIDDEN + HIDDEN * 2, 2 * HIDDEN + HIDDEN
    for_judge = making + 2 * (3 * judging - 2 * HIDDEN)  # D's own inputs need no gradient
    for_generator = 3 * making - NOISE * HIDDEN + 2 * judging
    return 2.0 * BATCH * (for_judge + for_generator)


WORKLOAD = Workload(
    "E8.g GAN, D and G, batch 128", _products(), 300, weights, arrays, step, jax_step
)
