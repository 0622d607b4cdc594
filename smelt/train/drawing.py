"""Random numbers of a fit, from its own seed, independent of the rest of the program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from smelt.locks import reentrant_lock
from smelt.random import get_rng_state, set_rng_state
from smelt.tensor import as_tensor

__all__ = ["drawing"]

_LOCK = reentrant_lock()  # the default generator is one for all threads, so they take turns


@contextmanager
def drawing(state: np.ndarray) -> Iterator[Callable[[], np.ndarray]]:
    """Within the block the default generator continues from a state; afterwards it is restored.

    Args:
        state: int64 (2,), seed and counter.

    Returns:
        A function that returns the current state.
    """
    with _LOCK:
        before = get_rng_state()
        set_rng_state(as_tensor(np.array(state)))
        try:
            yield lambda: get_rng_state().numpy().copy()
        finally:
            set_rng_state(before)
