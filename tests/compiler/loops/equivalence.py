"""A kernel before and after the loop optimizer, run by the interpreter: the results agree."""

from __future__ import annotations

import numpy as np

from smelt.compiler.cpu import AVX512, CPU
from smelt.compiler.loops.optimize import optimize
from smelt.ir.interpret import run_kernel
from smelt.ir.loops import Kernel
from smelt.ir.verify import verify
from tests.compiler import nests


def check(kernel: Kernel, exact: bool = False, cpu: CPU = AVX512, **options: int) -> Kernel:
    """Optimizes a kernel and runs it before and after on the same random arrays."""
    verify(kernel)
    optimized = optimize(kernel, cpu)
    verify(optimized)
    expected, result = (nests.arrays_for(kernel, **options) for _ in range(2))
    run_kernel(kernel, expected)
    run_kernel(optimized, result, backwards=True)
    for buffer, a, b in zip(kernel.buffers, expected, result, strict=True):
        if exact or buffer.dtype.kind != "float":
            np.testing.assert_array_equal(b, a, err_msg=buffer.name)
        else:
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5, err_msg=buffer.name)
    return optimized
