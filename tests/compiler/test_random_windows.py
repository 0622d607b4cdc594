"""Random convolutions, pooling and stencils: compiled and eager agree, and every kernel verifies.

`SMELT_WINDOWS=3000` tries as many seeds; one alone: `check(seed)`.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

import smelt
from smelt.dtypes import float32, float64
from tests.compiler.random_windows import draw

SEEDS = int(os.environ.get("SMELT_WINDOWS", "80"))
GROUP = 40  # seeds of one test


def check(seed: int) -> None:
    """Compares float64 closely; float32 with NumPy's own error in float32, against float64."""
    windows = draw(seed)
    dtype = float32 if seed % 4 == 3 else float64
    with smelt.settings(verify=True):
        compiled = smelt.compile(windows)(*windows.arguments(dtype))
    with smelt.settings(compile=False):
        exact = windows(*windows.arguments(float64))
        eager = windows(*windows.arguments(dtype))
    for have, near, reference in zip(compiled, eager, exact, strict=True):
        scale = max(1.0, float(np.abs(reference.numpy()).max(initial=0)))
        rounding = float(np.abs(near.numpy() - reference.numpy()).max(initial=0)) / scale
        allowed = 1e-10 if dtype is float64 else 16 * rounding + 1e-5
        error = float(np.abs(have.numpy() - reference.numpy()).max(initial=0)) / scale
        assert error <= allowed, f"{error:.3g} of {scale:.3g}, allowed {allowed:.3g}; {windows}"


@pytest.mark.filterwarnings("ignore:.*no derivative flows:UserWarning")
@pytest.mark.parametrize("first", range(0, SEEDS, GROUP))
def test_compiled_windows_are_eager_windows(first: int) -> None:
    for seed in range(first, min(first + GROUP, SEEDS)):
        try:
            check(seed)
        except Exception as problem:
            problem.add_note(f"reproduce: test_random_windows.check({seed}): {draw(seed)}")
            raise
