"""What several test files need: a gradient compared with differences."""

import numpy as np
import pytest

from smelt.autodiff.reverse import grad
from smelt.creation import tensor


def check_gradient(function, *arrays, step=1e-6):
    """Compares the gradient in a random direction with a central difference."""
    arrays = [np.asarray(array, np.float64) for array in arrays]
    direction = [np.random.default_rng(0).normal(size=array.shape) for array in arrays]
    moved = [
        function(*(tensor(x + sign * step * d) for x, d in zip(arrays, direction, strict=True)))
        for sign in (1, -1)
    ]
    expected = (moved[0].item() - moved[1].item()) / (2 * step)
    found = grad(function, tuple(range(len(arrays))))(*(tensor(x) for x in arrays))
    total = sum((g.numpy() * d).sum() for g, d in zip(found, direction, strict=True))
    assert total == pytest.approx(expected, rel=1e-6, abs=1e-8)
