"""Recurrent networks that say the next number of a sequence: RNN, LSTM and GRU of any size; Adam.

E7.2 and E7.8 are two of them, with 32 sequences of 8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt.bench.workload import (
    Library,
    Step,
    Weights,
    Workload,
    linear,
    loaded,
    steps_for,
    trained,
    uniform,
)

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


@dataclass(frozen=True)
class Size:
    """How many different numbers there are, units, turns of the recurrence, and sequences."""

    numbers: int
    hidden: int
    length: int
    batch: int


def recurrent(title: str, cell: str, size: Size, rate: float = 1e-3) -> Workload:
    """Returns the training step of a network with `nn.RNN`, `nn.LSTM` or `nn.GRU`."""
    V, H, gates = size.numbers, size.hidden, GATES[cell]
    products = 2.0 * size.batch * size.length * (gates * H * (2 * V + 3 * H) + 3 * H * V)
    return Workload(
        title,
        products,
        steps_for(products),
        lambda: _weights(gates, size),
        lambda: _arrays(size),
        _step_of(cell, size, rate),
        _jax_step_of(cell, size, rate),
    )


def _weights(gates: int, size: Size) -> Weights:
    """First values as PyTorch draws them."""
    V, H = size.numbers, size.hidden
    shapes = {"weight_ih_l0": (V,), "weight_hh_l0": (H,), "bias_ih_l0": (), "bias_hh_l0": ()}
    values = {
        f"cell.{name}": uniform((gates * H, *shape), H**-0.5, seed)
        for seed, (name, shape) in enumerate(shapes.items())
    }
    return values | linear("head", H, V, 9)


def _arrays(size: Size) -> tuple[np.ndarray, ...]:
    """Random numbers, one-hot, and the numbers that follow them."""
    numbers = np.random.default_rng(0).integers(0, size.numbers, (size.batch, size.length))
    return np.eye(size.numbers, dtype=np.float32)[numbers], (numbers + 1) % size.numbers


def _step_of(cell: str, size: Size, rate: float) -> Callable[[Library, Weights, bool], Step]:
    V, H = size.numbers, size.hidden

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


def _jax_step_of(cell: str, size: Size, rate: float) -> Callable[[Weights, bool], tuple[Step, Any]]:
    """Returns the same, as a scan over time."""

    def jax_step(weights: Weights, exact: bool) -> tuple[Step, Any]:
        import jax
        import jax.numpy as jnp

        from smelt.bench.jax_parts import adam_step, cross_entropy, linear

        def rnn(x: Any, h: Any, state: Any) -> Any:
            return (jnp.tanh(x + h),)

        def lstm(x: Any, h: Any, state: Any) -> Any:
            i, f, g, o = jnp.split(x + h, 4, -1)
            c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
            return jax.nn.sigmoid(o) * jnp.tanh(c), c

        def gru(x: Any, h: Any, state: Any) -> Any:
            (xr, xz, xn), (hr, hz, hn) = jnp.split(x, 3, -1), jnp.split(h, 3, -1)
            r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
            return ((1 - z) * jnp.tanh(xn + r * hn) + z * state[0],)

        turn = {"RNN": rnn, "LSTM": lstm, "GRU": gru}[cell]

        def loss_of(weights: Any, key: Any, x: Any, y: Any) -> Any:
            w, bias = weights["cell.weight_hh_l0"].T, weights["cell.bias_hh_l0"]
            x = x @ weights["cell.weight_ih_l0"].T + weights["cell.bias_ih_l0"]

            def body(state: Any, now: Any) -> Any:
                state = turn(now, state[0] @ w + bias, state)
                return state, state[0]

            start = (jnp.zeros((size.batch, size.hidden)),) * (2 if cell == "LSTM" else 1)
            _, states = jax.lax.scan(body, start, x.swapaxes(0, 1))
            return cross_entropy(linear(weights, "head", states.swapaxes(0, 1)), y)

        return adam_step(loss_of, weights, rate)

    return jax_step


RNN = recurrent("E7.2 RNN, 32 sequences of 8", "RNN", Size(6, 16, 8, 32), 3e-3)
LSTM = recurrent("E7.8 LSTM, 32 sequences of 8", "LSTM", Size(6, 16, 8, 32))
