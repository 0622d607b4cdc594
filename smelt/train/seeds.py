"""One seed for all random numbers."""

from __future__ import annotations

import random

import numpy as np

from smelt.errors import ArgumentError
from smelt.ops.op import is_whole_number
from smelt.random import Generator, manual_seed

__all__ = ["seed_everything"]


def seed_everything(seed: int) -> Generator:
    """Seeds Smelt's default generator, and those of Python and NumPy for code that draws from them.

    Smelt draws only from its own generator, for which `manual_seed` is enough.

    Args:
        seed: 0 to 2^32 - 1, which is what NumPy takes.

    Returns:
        Smelt's default generator.

    Raises:
        ArgumentError: the seed is out of range.
    """
    if not is_whole_number(seed) or not 0 <= seed < 1 << 32:
        raise ArgumentError(f"seed_everything: seed={seed!r} must lie between 0 and 2^32 - 1")
    random.seed(int(seed))
    np.random.seed(int(seed))
    return manual_seed(seed)
