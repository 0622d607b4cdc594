"""Random whole training steps: three steps run natively agree with three run eagerly.

`random_steps.py` draws them, one program for each seed. All kernels are verified. Compared are the
losses, parameters, buffers, the optimizer's and the schedule's state and the random generator.

In float64 arrays agree to 1e-9 of their largest number. In float32 compiled arrays are as near to
the eager result in float64 as NumPy's float32 is, within a factor of 8. Where a program itself is
not that well defined (a relu or a maximum at a tie, a division by nearly 0), it is let off: eager
results move as much when data and parameters move by some roundings.

`SMELT_STEPS=3000` runs seeds 0 to 2999, `SMELT_STEPS=41:43` seeds 41 and 42.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from smelt.dtypes import DType, float32, float64
from tests.compiler.random_steps import Arrays, RandomStep

SEEDS = os.environ.get("SMELT_STEPS", "40")
FIRST, LAST = (int(part) for part in (SEEDS if ":" in SEEDS else f"0:{SEEDS}").split(":"))
ROUNDING = {float64: 1e-9, float32: 128 * 2.0**-24}  # of the largest number of an array
NUDGE = {float64: 1e-13, float32: 2.0**-23}
Errors = dict[str, float]


@pytest.mark.parametrize("seed", range(FIRST, LAST))
def test_float64_steps_agree(seed: int) -> None:
    expected = RandomStep(seed).results(compiled=False)
    compare(seed, float64, expected, dict.fromkeys(expected, 0.0))


@pytest.mark.parametrize("seed", range(FIRST, LAST, 4))
def test_float32_steps_are_as_exact_as_numpy(seed: int) -> None:
    expected = RandomStep(seed).results(compiled=False)
    errors = differences(RandomStep(seed, float32).results(compiled=False), expected)
    compare(seed, float32, expected, {name: 8 * error for name, error in errors.items()})


def compare(seed: int, dtype: DType, expected: Arrays, allowed: Errors) -> None:
    """Runs a step natively and compares what it left with `wanted`."""
    step = RandomStep(seed, dtype)
    try:
        result = differences(step.results(compiled=True), expected)
    except Exception as error:
        error.add_note(repr(step))
        raise
    far = [name for name in result if result[name] > allowed[name] + ROUNDING[dtype]]
    if far:
        moved = sensitivity(seed, dtype, expected)
        far = [name for name in far if result[name] > allowed[name] + 100 * moved[name]]
    assert not far, f"differences: { {name: result[name] for name in far} }\n{step!r}"


def sensitivity(seed: int, dtype: DType, expected: Arrays) -> Errors:
    """Returns how far eager results move when parameters and data move by some roundings."""
    nudges = NUDGE[dtype], -NUDGE[dtype]
    moved = [RandomStep(seed, float64, nudge).results(compiled=False) for nudge in nudges]
    errors = [differences(one, expected) for one in moved]
    return {name: max(one[name] for one in errors) for name in expected}


def differences(got: Arrays, expected: Arrays) -> Errors:
    """Returns how far arrays are apart, as a share of the largest number of each."""
    assert got.keys() == expected.keys()
    return {name: difference(got[name], expected[name]) for name in expected}


def difference(got: np.ndarray, expected: np.ndarray) -> float:
    """Returns the largest difference beside the largest number; inf where other ones are nan."""
    assert got.shape == expected.shape
    known = np.isfinite(expected)
    if not np.array_equal(got[~known], expected[~known].astype(got.dtype), equal_nan=True):
        return np.inf
    if got.dtype.kind != "f":
        return 0.0 if np.array_equal(got, expected) else np.inf
    if not np.isfinite(got[known]).all():
        return np.inf
    largest = np.abs(expected).max(initial=0.0, where=known)
    apart = np.abs(got.astype(np.float64) - expected).max(initial=0.0, where=known)
    return float(apart / max(largest, 1e-3))
