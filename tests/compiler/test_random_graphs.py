"""Random graphs: eager, interpreted (as lowered and as optimized) and compiled agree.

Hypothesis draws programs (`random_graphs.py`). To spare compiler runs an example is a group of
ten, traced as one step: 88 examples in each dtype are 1,760 small graphs, which every engine
runs; 24 groups of five are 240 small ones with loops, branches, convolutions and windows; and 2 x
10 are 80 large ones, which reach vectors, tiles and threads and run natively only. All kernels are
verified.

In float64 results agree to 1e-12 of the largest intermediate. In float32 compiled results are as
near to the float64 result as NumPy's float32 is, within a factor of 4. Values that only exactly
rounded operations made agree to the bit, also inf, nan, -0 and what has no elements.

The draws are the same on every run. `SMELT_GRAPHS=50` draws 50 times as many, others each time.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import given as examples
from hypothesis import strategies as st

from smelt.dtypes import DType, float32, float64
from smelt.tracing.engine import using
from tests.compiler.engines import Arrays, Case, Ran
from tests.compiler.random_graphs import Leaf, Measuring, Program, case_of

GROUP, EXAMPLES, LARGE_GROUP, LARGE_EXAMPLES = 10, 88, 4, 10
STRUCTURED_GROUP, STRUCTURED_EXAMPLES = 5, 24
TIMES = int(os.environ.get("SMELT_GRAPHS", "1"))
Close = Callable[[np.ndarray, np.ndarray, np.ndarray], None]

small = st.integers(0, 999)
leaves = st.builds(Leaf, role=st.integers(0, 2), shape=st.integers(0, 50), seed=small)
instructions = st.lists(st.tuples(small, small, small, small), min_size=1, max_size=12).map(tuple)


def programs(
    count: int, large: bool = False, structured: bool = False
) -> st.SearchStrategy[list[Program]]:
    """Draws groups of programs."""
    some_leaves = st.lists(leaves, min_size=1, max_size=4).map(tuple)
    kind = st.just(large), st.just(structured)
    program = st.builds(Program, some_leaves, instructions, *kind)
    return st.lists(program, min_size=count, max_size=count)


def campaign(count: int) -> settings:
    """Returns how Hypothesis runs: the same way each time, unless more is asked for."""
    return settings(
        max_examples=count * TIMES,
        derandomize=TIMES == 1,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[
            Phase.generate
        ],  # to shrink a program takes minutes; the note reproduces it as it is
    )


@pytest.mark.parametrize("dtype", [float64, float32], ids=lambda dtype: dtype.name)
def test_small_graphs_agree(dtype: DType) -> None:
    @campaign(EXAMPLES)
    @examples(programs(GROUP))
    def run(group: list[Program]) -> None:
        note(f"reproduce: test_random_graphs.check({group}, {dtype.name})")
        check(group, dtype)

    run()


# a drawn function may leave out what it is differentiated by, or use it only where no derivative
# passes: its gradient is zero, with a warning
@pytest.mark.filterwarnings("ignore:.* is unused. the function computes nothing:UserWarning")
@pytest.mark.filterwarnings("ignore:.* no derivative flows:UserWarning")
@pytest.mark.parametrize("dtype", [float64, float32], ids=lambda dtype: dtype.name)
def test_structured_graphs_agree(dtype: DType) -> None:
    @campaign(STRUCTURED_EXAMPLES)
    @examples(programs(STRUCTURED_GROUP, structured=True))
    def run(group: list[Program]) -> None:
        note(f"reproduce: test_random_graphs.check({group}, {dtype.name})")
        check(group, dtype)

    run()


@pytest.mark.parametrize("dtype", [float64, float32], ids=lambda dtype: dtype.name)
def test_large_graphs_agree(dtype: DType) -> None:
    @campaign(LARGE_EXAMPLES)
    @examples(programs(LARGE_GROUP, large=True))
    def run(group: list[Program]) -> None:
        note(f"reproduce: test_random_graphs.check({group}, {dtype.name})")
        check(group, dtype)

    run()


def check(group: list[Program], dtype: DType) -> None:
    """Runs programs in `dtype` with every engine and compares what comes out."""
    case, returned = case_of(group, dtype)
    expected, largest = measured(case)
    exact = [value.exact for value in returned]
    truth = expected

    def close(got: np.ndarray, reference: np.ndarray, true: np.ndarray) -> None:
        close_in_float64(got, reference, largest)

    if dtype is float32:
        truth, largest = measured(case_of(group, float64)[0])

        def close(got: np.ndarray, reference: np.ndarray, true: np.ndarray) -> None:
            close_in_float32(got, reference, true, largest)

    for ran in every_run(case, interpreted=not group[0].large):
        assert ran.code == 0
        compare(ran.outputs, expected.outputs, truth.outputs, exact, close)
        inexact = [False] * len(ran.states)
        compare(ran.states, expected.states, truth.states, inexact, close)


def measured(case: Case) -> tuple[Ran, float]:
    """Runs a case eagerly; also returns the largest number that came up."""
    measuring = Measuring()
    with using(measuring):
        return case.eager(), measuring.largest


def every_run(case: Case, interpreted: bool) -> list[Ran]:
    """Runs a case by all engines but the eager one."""
    runs = [case.native()]
    if interpreted:
        runs += [case.interpreted(case.stages.lowered), case.interpreted(case.stages.program)]
    return runs


def compare(gots: Arrays, wants: Arrays, truths: Arrays, exact: list[bool], close: Close) -> None:
    """Compares results one by one: whole numbers and exact ones to the bit, the others by
    `close`.
    """
    for got, reference, true, is_exact in zip(gots, wants, truths, exact, strict=True):
        assert got.shape == reference.shape
        assert got.dtype == reference.dtype
        if is_exact or got.dtype.kind != "f":
            same_bits(got, reference)
        else:
            close(got, reference, true)


def same_bits(got: np.ndarray, reference: np.ndarray) -> None:
    np.testing.assert_array_equal(got, reference)
    if got.dtype.kind == "f":
        known = ~np.isnan(reference)
        np.testing.assert_array_equal(np.signbit(got[known]), np.signbit(reference[known]))


def close_in_float64(got: np.ndarray, reference: np.ndarray, largest: float) -> None:
    np.testing.assert_allclose(got, reference, rtol=1e-12, atol=1e-12 * largest)


def close_in_float32(
    got: np.ndarray, reference: np.ndarray, true: np.ndarray, largest: float
) -> None:
    """`got` may be 4 times as far from the truth as `reference`, and a few roundings more."""
    with np.errstate(all="ignore"):
        known = np.isfinite(true) & np.isfinite(reference)
        theirs = np.abs(reference - true).max(initial=0.0, where=known)
    allowed = 4 * theirs + 64 * 2.0**-24 * largest
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(reference))
    np.testing.assert_allclose(got[known], true[known], rtol=0, atol=allowed)
    np.testing.assert_array_equal(got[~np.isfinite(reference)], reference[~np.isfinite(reference)])
