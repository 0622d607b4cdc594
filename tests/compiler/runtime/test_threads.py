"""`smelt.settings(threads=...)` says how many threads work, and changes no result."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
from smelt.compiler.runtime import threads as runtime

pytestmark = pytest.mark.skipif(not runtime.available, reason="no POSIX threads here")


def running() -> int:
    return 1 + (len(runtime._pool.workers) if runtime._pool is not None else 0)


def test_workers_follow_the_setting_and_come_back() -> None:
    @smelt.compile
    def product(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        return x @ y

    draw = np.random.default_rng(0)
    x, y = (draw.normal(size=(512, 512)).astype(np.float32) for _ in range(2))
    usual, start = product(x, y).numpy(), running()
    for count in (1, 3):
        with smelt.settings(threads=count):
            assert runtime.threads() == count
            assert (product(x, y).numpy() == usual).all()
            assert running() == count
    assert (product(x, y).numpy() == usual).all()
    assert running() == start == runtime.threads()
