"""The page that `explain()` prints: columns that stay apart, messages that end at a word."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest

import smelt
import smelt.functional as F
from smelt import nn
from smelt.compiler.cpu import SSE
from smelt.compiler.report import roofline
from smelt.compiler.report.explain import HEAD, aligned
from smelt.ir.show import kernel_text


def test_columns_are_as_wide_as_what_they_hold() -> None:
    small = ("1", "matmul_relu", "64x128", "1,065.0", "82,432", "5.38", "12%", "197.9", "86%")
    large = (
        "1000", "convolution_relu_window_argmax x 1,000,000", "64x64x12x12x12x12", "6,422,441.5",
        "12,845,248,000", "683226.21", "100%", "1,645.1", "100%",
    )  # fmt: skip
    alone = aligned([*HEAD, small])
    assert alone[2] == (
        "  1  matmul_relu                     64x128             1,065.0    82,432    5.38"
        "      12%    197.9    86%"
    )
    both = aligned([*HEAD, small, large])
    assert both[2].split() == list(small)
    assert both[3].split() == " ".join(large).split()
    assert len(both[2]) == len(both[3])


def test_a_check_is_shortened_at_a_word() -> None:
    step = smelt.compile(lambda x, y: F.cross_entropy(x, y))
    step(smelt.zeros(4, 10), smelt.zeros(4).long())
    text = step.explain()
    assert "check: a label lies outside the 10 classes 0..9; labels to be ...   <- " in text


def test_kernels_of_a_gradient_name_the_line_that_is_differentiated() -> None:
    layer = nn.Linear(64, 64)

    @smelt.compile
    def step(x: smelt.Tensor) -> None:
        outputs = layer(x).tanh()
        outputs.sum().backward()

    step(smelt.ones(64, 64))
    origins = step.explain().partition("the slowest first:\n")[2]
    number = inspect.getsourcelines(step.function)[1]
    wanted = f"backward of linear test_explain.py:{number + 2} (test_explain.py:{number + 3})"
    assert wanted in origins
    places = [int(line.split()[0]) for line in origins.partition("\n\n")[0].splitlines()]
    assert sorted(places) == list(range(1, len(places) + 1))


@pytest.mark.parametrize("has_fma", [True, False])
def test_the_peak_is_measured_as_programs_compute(
    has_fma: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roofline, "host_cpu", lambda: replace(SSE, has_fma=has_fma))
    for kernel in (roofline.multiply_adds(8, 4, False), roofline.triad(4, False)):
        text = kernel_text(kernel)
        assert ("fma(" in text) == has_fma
