"""What the JAX sides share: layers as functions of a dictionary of weights, and updates."""

from __future__ import annotations

from typing import Any


def linear(weights: Any, name: str, x: Any) -> Any:
    """Returns x W^T + b."""
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def layer_norm(weights: Any, name: str, x: Any) -> Any:
    """Returns x normalized over its last axis, scaled and shifted."""
    import jax

    centered = x - x.mean(-1, keepdims=True)
    y = centered * jax.lax.rsqrt((centered**2).mean(-1, keepdims=True) + 1e-5)
    return y * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Returns the mean of -log softmax at the labels, over all leading axes."""
    import jax
    import jax.numpy as jnp

    logs = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(logs, labels[..., None], -1).mean()


def dropout(x: Any, p: float, key: Any) -> Any:
    """Returns x with each element 0 with probability p, the others scaled."""
    import jax
    import jax.numpy as jnp

    return jnp.where(jax.random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0) if p else x


def moments(weights: Any) -> Any:
    """Returns what Adam remembers: m, v, and the number of steps."""
    import jax
    import jax.numpy as jnp

    return jax.tree.map(jnp.zeros_like, weights), jax.tree.map(jnp.zeros_like, weights), 0.0


def adam(weights: Any, gradients: Any, state: Any, rate: float, decay: float = 0.0) -> Any:
    """Returns new weights and moments by Adam, or AdamW with `decay`."""
    import jax
    import jax.numpy as jnp

    m, v, count = state
    count = count + 1
    m = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * g, m, gradients)
    v = jax.tree.map(lambda a, g: 0.999 * a + 0.001 * g * g, v, gradients)
    first, second = 1 - 0.9**count, 1 - 0.999**count

    def moved(x: Any, a: Any, b: Any) -> Any:
        return x * (1 - rate * decay) - rate * (a / first) / (jnp.sqrt(b / second) + 1e-8)

    return jax.tree.map(moved, weights, m, v), (m, v, count)


def adam_step(loss_of: Any, weights: Any, rate: float, decay: float = 0.0) -> Any:
    """Returns a step by Adam on loss_of(weights, key, *arrays), and its first state."""
    import jax
    import jax.numpy as jnp

    def step(state: Any, *arrays: Any) -> Any:
        weights, remembered, key = state
        key, drawn = jax.random.split(key)
        loss, gradients = jax.value_and_grad(loss_of)(weights, drawn, *arrays)
        return (*adam(weights, gradients, remembered, rate, decay), key), loss

    weights = jax.tree.map(jnp.asarray, weights)
    return step, (weights, moments(weights), jax.random.key(0))


def conv2d(weights: Any, name: str, x: Any) -> Any:
    """Returns the cross-correlation of images (N, C, H, W) with filters, without padding."""
    import jax

    y = jax.lax.conv_general_dilated(x, weights[f"{name}.weight"], (1, 1), "VALID")
    bias = weights.get(f"{name}.bias")
    return y if bias is None else y + bias[:, None, None]


def max_pool2(x: Any) -> Any:
    """Returns the largest of each 2 x 2 elements of images (N, C, H, W)."""
    import jax
    import jax.numpy as jnp

    size = (1, 1, 2, 2)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, size, size, "VALID")
