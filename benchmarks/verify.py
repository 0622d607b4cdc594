"""What the verifier costs of the first compilation of each workload, in processor time.

python benchmarks/verify.py

Every kernel is verified before it is compiled for the first time; what the object cache has is not.
So the cache is a new folder here.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

from smelt.bench.sides import smelt_side
from smelt.bench.workloads import WORKLOADS
from smelt.compiler.frontend.specialization_cache import SpecializationCache
from smelt.compiler.runtime import build


class Clock:
    """Adds up the processor time of a function that it stands in for."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.seconds = 0.0

    def __call__(self, *arguments: Any) -> Any:
        start = time.process_time()
        try:
            return self.function(*arguments)
        finally:
            self.seconds += time.process_time() - start


def main() -> None:
    """Prints one line a workload."""
    verifying, making = Clock(build.verify_program), Clock(SpecializationCache._make)
    build.verify_program = verifying
    SpecializationCache._make = lambda cache, call: making(cache, call)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SMELT_CACHE"] = folder
        next(iter(smelt_side(WORKLOADS["max-of-three"])))  # imports, and LLVM's start
        for name, workload in WORKLOADS.items():
            verifying.seconds = making.seconds = 0.0
            with tempfile.TemporaryDirectory() as fresh:
                os.environ["SMELT_CACHE"] = fresh
                next(iter(smelt_side(workload)))
            share = verifying.seconds / making.seconds
            print(
                f"{name:14} {1e3 * verifying.seconds:6.1f} of {1e3 * making.seconds:7.1f} ms, "
                f"{100 * share:.1f} %"
            )


if __name__ == "__main__":
    main()
