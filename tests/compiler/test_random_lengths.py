"""Random training steps for any length: the bits of a version for exactly that length.

The steps are those of `random_steps.py`, on as many rows as come; `SMELT_LENGTHS=300` runs seeds 0
to 299, `SMELT_LENGTHS=41:43` seeds 41 and 42.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

import smelt
from smelt.dtypes import float32
from smelt.errors import SmeltError
from tests.compiler.random_steps import Arrays, RandomStep

SEEDS = os.environ.get("SMELT_LENGTHS", "12")
FIRST, LAST = (int(part) for part in (SEEDS if ":" in SEEDS else f"0:{SEEDS}").split(":"))
LENGTHS = (9, 12, 2, 33, 15, 70, 40)


def results(seed: int, is_dynamic: bool) -> tuple[Arrays, int]:
    """Makes a step on batches of all lengths; returns what it left, and the versions it had."""
    drawn = RandomStep(seed, float32)
    step = smelt.compile(drawn.run, dynamic={"parts": {0: "rows"}} if is_dynamic else False)
    losses: Arrays = {}
    with smelt.settings(verify=True, threads=drawn.threads):
        for number, length in enumerate(LENGTHS):
            batch = drawn.batches[number % len(drawn.batches)]
            loss = step(*(with_rows(part, length) for part in batch))
            first = loss[0] if isinstance(loss, tuple) else loss
            losses[f"loss {number}"] = np.array(first.numpy())
    return losses | drawn._state(), step.traces


def with_rows(part: smelt.Tensor, count: int) -> smelt.Tensor:
    """Returns a batch with `count` rows, made of those that it has."""
    rows = part.numpy()
    return smelt.tensor(np.resize(rows, (count, *rows.shape[1:])))


@pytest.mark.filterwarnings("ignore:.*is compiled once more:UserWarning")
@pytest.mark.parametrize("seed", range(FIRST, LAST))
def test_bits_are_those_of_exact_versions(seed: int) -> None:
    try:
        expected, exact = results(seed, is_dynamic=False)
    except SmeltError as error:
        pytest.skip(f"the step wants its own number of rows: {error}")
    got, versions = results(seed, is_dynamic=True)
    assert versions <= exact
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
