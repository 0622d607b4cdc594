"""What `explain` prints of decisions: groups with reasons, plans with what was considered."""

from __future__ import annotations

from typing import Any

import pytest

import smelt
from smelt.compiler.cpu import AVX2, AVX512, CPU
from smelt.compiler.loops import optimize
from smelt.compiler.loops.plan import Plan, make_plan
from smelt.compiler.report.decisions import _plan_text, plans_text
from smelt.ir.loops import Loop
from smelt.nn import functional as F
from tests.compiler.engines import Case


def perceptron(x: smelt.Tensor, w: smelt.Tensor, b: smelt.Tensor) -> smelt.Tensor:
    return F.softmax(F.relu(x @ w + b), -1)


def test_groups_say_why_each_value_is_stored() -> None:
    step = smelt.compile(perceptron)
    step(smelt.zeros(64, 64), smelt.zeros(64, 128), smelt.zeros(128))
    assert step.explain("groups").split("\n\n")[1:] == [
        "1: gemm, loops 64x128\n"
        "    matmul float32[64, 128]  because it has loops of its own\n"
        "    relu float32[64, 128]    because it finishes a product, and takes its place\n"
        "    inlined: add float32[64, 128]",
        "2: rowwise, loops 64\n"
        "    max float32[64]       because it has loops of its own\n"
        "    exp float32[64, 128]  because 2 read it, and an element costs 13\n"
        "    sum float32[64]       because it has loops of its own\n"
        "    div float32[64, 128]  because the step delivers it\n"
        "    inlined: sub float32[64, 128], 2 x reshape float32[64, 1]",
    ]


def test_plans_say_why_a_product_is_tiled_as_it_is() -> None:
    arguments = [smelt.zeros(64, 64), smelt.zeros(64, 128), smelt.zeros(128)]
    stages = Case(lambda states, given: [perceptron(*given)], [], arguments).stages
    product = plans_text(stages, AVX2).split("\n\n")[1]
    assert product == (
        "matmul_relu:\n"
        "    loops i1 64, i2 128\n"
        "               802,816  these loops as they are, and a plan for each one inside\n"
        "     ->        109,696  vectors of 8 along i2, rows along i1\n"
        "               146,944  vectors of 8 along i1, rows along i2, argument0 packed 64 deep\n"
        "        tile 6 x 2 vectors of 8, 1 to a sum: of 64 rows x 16 vectors, in 16 registers, "
        "1 for each sum, at most 24 sums\n"
        "        by the model of time: 6 x 2 takes 1,213.9, 4 x 3 takes 1,227.6, "
        "5 x 2 takes 1,228.6, 13 x 1 takes 1,231.8, 11 x 1 takes 1,255.4"
    )


def test_a_blocked_product_shows_its_blocks() -> None:
    step = smelt.compile(lambda x, w: F.conv2d(x, w, padding=1))
    step(smelt.zeros(4, 32, 28, 28), smelt.zeros(64, 32, 3, 3))
    groups = step.explain("groups")
    assert "1: blocked gemm, loops 4x64x28x28\n    packed: the left one, or the patches;" in groups
    assert "inlined: pad float32[4, 32, 30, 30]" in groups


def test_loops_and_branches_show_the_groups_of_their_bodies() -> None:
    step = smelt.compile(lambda x: smelt.scan(lambda h, row: (h + row, h * row), x[0], x))
    step(smelt.ones(3, 4))
    assert "because the step delivers it" in step.explain("groups")
    assert "vectors of" in step.explain("plans")


def layer(x: smelt.Tensor, w: smelt.Tensor) -> smelt.Tensor:
    return F.softmax(x @ w, -1)


def rows(x: smelt.Tensor, w: smelt.Tensor) -> smelt.Tensor:
    return (x * x).sum(-1) + w.sum()


@pytest.mark.parametrize("function", [layer, rows])
@pytest.mark.parametrize("cpu", [AVX2, AVX512])
@pytest.mark.parametrize("extents", [(3, 7, 10), (17, 20, 33), (64, 64, 128), (100, 9, 12)])
def test_the_plan_that_is_marked_is_the_one_that_is_taken(
    function: Any, cpu: CPU, extents: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    def noting(loop: Loop, cpu: CPU) -> Plan:
        plan = make_plan(loop, cpu)
        taken.append(_plan_text(plan))
        return plan

    n, k, m = extents
    arguments = [smelt.zeros(n, k), smelt.zeros(k, m)]
    stages = Case(lambda states, given: [function(*given)], [], arguments).stages
    monkeypatch.setattr(optimize, "make_plan", noting)
    for kernel in stages.lowered.kernels:
        optimize.optimize(kernel, cpu)
    lines = plans_text(stages, cpu).splitlines()
    outer = [line for line in lines if line.startswith("     -> ")]
    assert taken
    assert [line[24:].strip() for line in outer] == taken


@pytest.mark.parametrize("lengths", [(9, 10), (40, 41)])
def test_a_version_for_any_length_marks_the_plan_of_its_size_class(
    lengths: tuple[int, int],
) -> None:
    step = smelt.compile(lambda x, w: (x @ w).sum(0), dynamic={"x": {0: "length"}})
    step(smelt.ones(lengths[0], 16), smelt.ones(16, 24))
    before = step.explain("plans")
    step(smelt.ones(lengths[1], 16), smelt.ones(16, 24))
    assert step.traces == 1
    assert step.explain("plans") == before
    assert before.count("->") >= 1
