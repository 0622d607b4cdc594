"""E7.2 and E7.8: an RNN and an LSTM that say the next number; 32 sequences of 8; Adam."""

from __future__ import annotations

from typing import Any

import numpy as np

from steps.workload import Library, Step, Weights, Workload, linear, loaded, trained, uniform

V, H, T, BATCH = 6, 16, 8, 32
BOUND = H**-0.5


def weights(gates: int) -> Weights:
    """First values as PyTorch draws them; an LSTM has four gates."""
    shapes = {"weight_ih_l0": (V,), "weight_hh_l0": (H,), "bias_ih_l0": (), "bias_hh_l0": ()}
    values = {
        f"cell.{name}": uniform((gates * H, *shape), BOUND, seed)
        for seed, (name, shape) in enumerate(shapes.items())
    }
    return values | linear("head", H, V, 9)


def arrays() -> tuple[np.ndarray, ...]:
    """Random numbers, one-hot, and the numbers that follow them."""
    numbers = np.random.default_rng(0).integers(0, V, (BATCH, T))
    return np.eye(V, dtype=np.float32)[numbers], (numbers + 1) % V


def step_of(cell: str, rate: float) -> Any:
    """Returns the step of a network with `nn.RNN` or `nn.LSTM`."""

    def step(lib: Library, weights: Weights, exact: bool) -> Step:
        nn, F = lib.nn, lib.F
        layer = getattr(nn, cell)(V, H, batch_first=True)
        model = nn.ModuleDict({"cell": layer, "head": nn.Linear(H, V)})
        loaded(lib, model, weights)
        optimizer = lib.optim.Adam(model.parameters(), lr=rate)

        def loss_of(x: Any, y: Any) -> Any:
            states, _ = model["cell"](x)
            return F.cross_entropy(model["head"](states).reshape(-1, V), y.reshape(-1))

        return trained(lib, model, optimizer, loss_of)

    return step


def jax_step_of(cell: str, rate: float) -> Any:
    """Returns the same, as a scan over time."""

    def jax_step(weights: Weights, exact: bool) -> tuple[Step, Any]:
        import jax
        import jax.numpy as jnp

        from steps.jax_parts import adam_step, cross_entropy, linear

        def rnn(weights: Any, state: Any, x: Any) -> Any:
            (h,) = state
            h = jnp.tanh(gates(weights, h, x))
            return (h,), h

        def lstm(weights: Any, state: Any, x: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(gates(weights, h, x), 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        def gates(weights: Any, h: Any, x: Any) -> Any:
            bias = weights["cell.bias_ih_l0"] + weights["cell.bias_hh_l0"]
            return x @ weights["cell.weight_ih_l0"].T + h @ weights["cell.weight_hh_l0"].T + bias

        def loss_of(weights: Any, key: Any, x: Any, y: Any) -> Any:
            step_of_cell = rnn if cell == "RNN" else lstm
            start = (jnp.zeros((BATCH, H)),) * (1 if cell == "RNN" else 2)
            _, states = jax.lax.scan(
                lambda state, now: step_of_cell(weights, state, now), start, x.swapaxes(0, 1)
            )
            return cross_entropy(linear(weights, "head", states.swapaxes(0, 1)), y)

        return adam_step(loss_of, weights, rate)

    return jax_step


def _workload(title: str, cell: str, gates: int, rate: float) -> Workload:
    positions = BATCH * T
    products = 2.0 * positions * (gates * H * (2 * V + 3 * H) + 3 * H * V)
    return Workload(
        title,
        products,
        200,
        lambda: weights(gates),
        arrays,
        step_of(cell, rate),
        jax_step_of(cell, rate),
    )


RNN = _workload("E7.2 RNN, 32 sequences of 8", "RNN", 1, 3e-3)
LSTM = _workload("E7.8 LSTM, 32 sequences of 8", "LSTM", 4, 1e-3)
