"""The measured peak: its kernels compute what they say, and its numbers are plausible."""

from __future__ import annotations

import numpy as np
import pytest

from smelt.compiler.report import roofline
from smelt.compiler.report.roofline import multiply_adds
from tests.compiler.handmade import Bound, step_of


def test_peak_kernels_compute_what_they_say() -> None:
    total, ones = np.zeros((3, 8), np.float32), np.ones(2, np.float32)
    assert Bound(step_of(multiply_adds(3, 8, parallel=False)), [total, ones]).run() == 0
    assert (total == roofline.CHAINS * roofline.ROUNDS).all()


def test_peak_is_plausible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "LINES", 64)  # fits a cache: quick, and no statement about memory
    monkeypatch.setattr(roofline, "REPEATS", 2)
    roofline._measure.cache_clear()
    peak = roofline.measured_peak(parallel=False)
    roofline._measure.cache_clear()
    assert peak.threads == 1
    assert 0.1 < peak.gflops < 10_000
    assert 0.1 < peak.gbytes < 10_000
