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
from smelt.compiler.report.by_line import SHOWN
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
    text = step.explain()
    origins = text.partition("the slowest first (us):\n")[2]
    number = inspect.getsourcelines(step.function)[1]
    wanted = f"backward of linear test_explain.py:{number + 2} (test_explain.py:{number + 3})"
    assert wanted in origins
    places = [int(line.split()[0]) for line in origins.partition("\n\n")[0].splitlines()]
    assert sorted(places) == list(range(1, len(places) + 1))


def test_times_are_summed_by_line_and_module() -> None:
    layer = nn.Linear(64, 64)

    @smelt.compile
    def step(x: smelt.Tensor) -> None:
        outputs = layer(x).tanh()
        outputs.sum().backward()

    step(smelt.ones(64, 64))
    text = step.explain()
    number = inspect.getsourcelines(step.function)[1]
    table = text.partition("Where the time goes in your code")[2].partition("\n\n")[0]
    rows = [line.split() for line in table.splitlines()[2:]]
    assert rows[0][:2] == ["linear", f"test_explain.py:{number + 2}"]
    assert {row[0] for row in rows[1:]} <= {f"test_explain.py:{number + k}" for k in (2, 3)}
    times = [[float(cell) for cell in row[-4:] if "%" not in cell] for row in rows]
    for both, forward, derivative in times:
        assert both == pytest.approx(forward + derivative, abs=0.02)
    assert min(times[0]) > 0  # the product has a forward and a backward pass
    whole = next(line for line in text.splitlines() if "all kernels" in line).split()[4]
    assert sum(row[0] for row in times) == pytest.approx(float(whole), abs=0.1)


def test_many_lines_are_summed_up_and_lengths_may_be_symbolic() -> None:
    def step(x: smelt.Tensor) -> smelt.Tensor:
        for name in dir(Many):
            x = getattr(Many, name)(x) if name.startswith("layer") else x
        return x

    compiled = smelt.compile(step, dynamic={"x": {0: "length"}})
    compiled(smelt.ones(33, 8))
    table = compiled.explain().partition("Where the time goes in your code")[2]
    rows = table.partition("\n\n")[0].splitlines()[2:]
    assert len(rows) == SHOWN + 1
    assert " other lines " in rows[-1]


class Many:
    """Functions, each with a line of its own."""

    layer00 = staticmethod(lambda x: x.sin())
    layer01 = staticmethod(lambda x: x.cos())
    layer02 = staticmethod(lambda x: x.tanh())
    layer03 = staticmethod(lambda x: x.exp())
    layer04 = staticmethod(lambda x: x.sin())
    layer05 = staticmethod(lambda x: x.cos())
    layer06 = staticmethod(lambda x: x.tanh())
    layer07 = staticmethod(lambda x: x.sin())
    layer08 = staticmethod(lambda x: x.cos())
    layer09 = staticmethod(lambda x: x.tanh())
    layer10 = staticmethod(lambda x: x.sin())
    layer11 = staticmethod(lambda x: x.cos())
    layer12 = staticmethod(lambda x: x.tanh())
    layer13 = staticmethod(lambda x: x.sin())


@pytest.mark.parametrize("has_fma", [True, False])
def test_the_peak_is_measured_as_programs_compute(
    has_fma: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roofline, "host_cpu", lambda: replace(SSE, has_fma=has_fma))
    for kernel in (roofline.multiply_adds(8, 4, False), roofline.triad(4, False)):
        text = kernel_text(kernel)
        assert ("fma(" in text) == has_fma
