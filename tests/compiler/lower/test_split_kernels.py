"""Kernels of several long nests: one for each nest, that threads share."""

from __future__ import annotations

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt.compiler.lower.split_kernels import split_kernels
from smelt.ir.loops import Loop
from smelt.tensor import as_tensor
from tests.compiler.engines import Case, agree

RANDOM = np.random.default_rng(8)


def convolved(samples: int, channels: int, width: int) -> Case:
    x = as_tensor(RANDOM.standard_normal((samples, channels, width, width)).astype(np.float32))
    w = as_tensor(RANDOM.standard_normal((channels, channels, 3, 3)).astype(np.float32))
    return Case(lambda states, given: [F.conv2d(*given, padding=1).relu()], [], [x, w])


def test_tiles_of_two_shapes_are_two_parallel_kernels() -> None:
    case = convolved(8, 32, 16)  # 16 rows of positions: tiles of some, and a lower one
    stages = case.stages
    (before,) = [kernel for kernel in stages.lowered.kernels if kernel.name.startswith("conv")]
    after = [kernel for kernel in stages.program.kernels if kernel.name.startswith("conv")]
    assert len(before.body) == len(after) == 2
    for kernel in after:
        assert isinstance(kernel.parallel, Loop)
        assert kernel.outputs == before.outputs
    agree(case, interpret=False)


def test_short_nests_stay_together() -> None:
    lowered = convolved(2, 4, 10).stages.lowered
    assert split_kernels(lowered).kernels == lowered.kernels


def test_results_are_those_of_one_thread() -> None:
    x, w = smelt.randn(8, 32, 16, 16), smelt.randn(32, 32, 3, 3)
    step = smelt.compile(lambda x: F.conv2d(x, w, padding=1))
    with smelt.settings(threads=1):
        alone = step(x).numpy().copy()
    with smelt.settings(threads=4):
        np.testing.assert_array_equal(step(x).numpy(), alone)
