"""Random graphs: eager, interpreted and compiled agree."""

from __future__ import annotations

import numpy as np

from smelt.dtypes import DType, float32, float64
from smelt.engine import using
from tests.compiler.engines import Ran, numbers
from tests.compiler.random_graphs import Measuring, Program, Value, case_of


def check(programs: list[Program], dtype: DType, native: bool = True) -> None:
    """Runs programs in `dtype` with every engine and compares what comes out."""
    case, returned = case_of(programs, dtype)
    measuring = Measuring()
    with using(measuring):
        wanted = case.eager()
    exact = [value.exact for value in returned]
    runs = [case.interpreted(case.stages.lowered), case.interpreted(case.stages.program)]
    if native:
        runs.append(case.native())
    for ran in runs:
        assert ran.code == 0
        if dtype is float64:
            close = lambda got, want, _: close_in_float64(got, want, measuring.largest)
            compare(case, ran, wanted, exact, close)
    if dtype is float32:
        case64, _ = case_of(programs, float64)
        measuring = Measuring()
        with using(measuring):
            truth = case64.eager()
        for ran in runs:
            close = lambda got, want, true: close_in_float32(got, want, true, measuring.largest)
            compare(case, ran, wanted, exact, close, truth)


def compare(case, ran: Ran, wanted: Ran, exact: list[bool], close, truth: Ran | None = None) -> None:
    truth = truth or wanted
    parts = zip(ran.outputs, wanted.outputs, truth.outputs, exact, strict=True)
    for number, (got, want, true, is_exact) in enumerate(parts):
        where = f"output {number}"
        assert got.shape == want.shape, where
        assert got.dtype == want.dtype, where
        if is_exact:
            same_bits(got, want, where)
        else:
            close(got, want, true)
    for number, (got, want, true) in enumerate(zip(ran.states, wanted.states, truth.states, strict=True)):
        if got.dtype.kind == "i":
            same_bits(got, want, f"state {number}")
        else:
            close(got, want, true)


def same_bits(got: np.ndarray, want: np.ndarray, where: str) -> None:
    np.testing.assert_array_equal(got, want, where)
    if got.dtype.kind == "f":
        numbers = ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(want[numbers]), where)


def close_in_float64(got: np.ndarray, want: np.ndarray, largest: float) -> None:
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12 * largest)


def close_in_float32(got, want, true, largest: float) -> None:
    with np.errstate(all="ignore"):
        true = np.asarray(true, np.float64)
        theirs = np.abs(want - true).max(initial=0.0, where=np.isfinite(true) & np.isfinite(want))
    allowed = 4 * theirs + 64 * 2.0**-24 * largest
    np.testing.assert_allclose(got, want, rtol=0, atol=allowed + theirs)
