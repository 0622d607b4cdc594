"""Code that is dropped is freed: hundreds of shapes compiled and dropped leave memory at a
plateau.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import warnings
import weakref
from pathlib import Path

import smelt
from smelt import nn

ROOT = Path(__file__).parents[3]
SHAPES = 500
PROGRAM = """
import gc, sys
import smelt

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

seen = []
for number in range(int(sys.argv[1])):
    @smelt.compile
    def step(x):
        return (x * 2 + 1).softmax(-1) @ x.mT
    step(smelt.ones(2, 3 + number))
    del step
    if number % 50 == 49:
        gc.collect()
        seen.append(resident())
print(*seen)
"""


def test_dropped_versions_are_freed(tmp_path: Path) -> None:
    environment = {**os.environ, "SMELT_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, str(SHAPES)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    seen = [int(part) for part in done.stdout.split()]
    middle, end = seen[len(seen) // 2], seen[-1]
    assert end - middle < 4 << 20, [part >> 20 for part in seen]  # under 16 KB a version


def test_a_dropped_step_frees_its_model_and_its_code() -> None:
    model = nn.Linear(4, 4)
    step = smelt.compile(model.forward)
    step(smelt.ones(2, 4))
    native = weakref.ref(step.executables.newest.native)
    weight = weakref.ref(model.weight)
    del step, model
    gc.collect()
    assert native() is None
    assert weight() is None


def test_a_trace_leaves_nothing_behind() -> None:
    made = []

    def function(x):
        y = x * 2
        made.append(weakref.ref(y))
        return y + 1

    step = smelt.compile(function)
    step(smelt.ones(3))
    gc.collect()
    assert made[0]() is None


def test_versions_beyond_the_limit_are_dropped() -> None:
    step = smelt.compile(lambda x: x + 1, dynamic=False)
    natives = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for length in range(1, 41):
            step(smelt.ones(length))
            natives.append(weakref.ref(step.executables.newest.native))
        assert step(smelt.ones(1)).item() == 2  # made anew
    gc.collect()
    assert len(step.executables) == 32
    assert sum(native() is not None for native in natives) <= 33  # and the last call's
