"""Divisions of index vectors by a number that is no power of two: a product and a shift."""

from __future__ import annotations

import numpy as np
import pytest

import smelt
from smelt.compiler.codegen import machine
from smelt.compiler.runtime import build

DIVISORS = (3, 5, 6, 7, 9, 10, 11, 100, 127, 1000, 12345, 99_999, 100_003, (1 << 29) - 3)


@pytest.mark.parametrize("divisor", DIVISORS)
@pytest.mark.parametrize("length", [17, 1000, 100_003])
def test_quotients_and_rests_are_exact(divisor: int, length: int) -> None:
    @smelt.compile
    def step() -> tuple[smelt.Tensor, smelt.Tensor]:
        index = smelt.arange(length)
        return index // divisor, (index + 1) % divisor

    quotient, rest = step()
    index = np.arange(length)
    np.testing.assert_array_equal(quotient.numpy(), index // divisor)
    np.testing.assert_array_equal(rest.numpy(), (index + 1) % divisor)


def test_lanes_are_not_divided_one_by_one() -> None:
    with smelt.settings(verify=True):
        step = smelt.compile(lambda: smelt.arange(1000) // 7)
        step()
    text = build.text(step.executables.newest.stages.program)
    assert "lshr <" in text
    assert "div <" not in text
    assert "mulx" not in machine.assembly(text)
