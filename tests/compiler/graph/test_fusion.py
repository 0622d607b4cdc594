"""Fusion: how many kernels well-known steps become, and the texts of a few from graph to loops."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

import smelt
from smelt import nn, optim
from smelt.compiler.codegen.machine import host_cpu
from smelt.compiler.graph import fusion
from smelt.compiler.graph.fusion import MEMBER_LIMIT, Fused
from smelt.ir.graph import graph_text
from smelt.ir.show import program_text
from smelt.nn import functional as F
from smelt.tree import flatten
from tests.compiler.engines import Case


def random(*shape: int) -> smelt.Tensor:
    return smelt.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def groups_text(fused: Fused) -> str:
    """Returns a line per group: its strategy, its loops, its members."""
    lines = []
    for group in fused.groups:
        members = ", ".join(node.op.name for node in group.members)
        lines.append(f"{group.strategy.value} {list(group.iteration_space)}: {members}")
    return "\n".join(lines)


def texts(case: Case) -> str:
    """Returns graph, groups and kernels of a case, without the lines of this file."""
    stages = case.stages
    graph = re.sub(r"  # .*", "", graph_text(stages.packed))
    return "\n\n".join([graph, groups_text(stages.fused), program_text(stages.lowered)])


def case_of(function: Callable[..., smelt.Tensor], *arguments: smelt.Tensor) -> Case:
    return Case(lambda states, given: [function(*given)], [], list(arguments))


FORWARD = {
    "softmax": (lambda x: F.softmax(x, -1), 1),
    "log_softmax": (lambda x: F.log_softmax(x, -1), 1),
    "layer_norm": (lambda x: F.layer_norm(x, (100,)), 1),
    "gelu": (lambda x: F.gelu(x), 1),
    "linear_relu": (lambda x: F.relu(x @ smelt.ones(100, 8) + 1), 1),
    "variance": (lambda x: x.var(-1), 1),
    "two_sums": (lambda x: x.sum(-1) / (x * x).sum(-1), 1),
    "attention": (lambda x: F.softmax(x @ x.T, -1) @ x, 3),
}


@pytest.mark.parametrize("name", FORWARD)
def test_kernels_of_well_known_functions(name: str) -> None:
    function, budget = FORWARD[name]
    case = case_of(function, random(64, 100))
    assert len(case.stages.program.body) <= budget
    eager, native = case.eager(), case.native()
    np.testing.assert_allclose(native.outputs[0], eager.outputs[0], rtol=1e-4, atol=1e-5)


def test_what_finishes_a_product_is_materialized_in_its_place() -> None:
    def function(x: smelt.Tensor) -> smelt.Tensor:
        y = x @ smelt.ones(100, 8) + 1
        return y.sum(0) * (y * y).sum(-1).sum()

    stages = case_of(function, random(64, 100)).stages
    assert [node.op.name for node in stages.fused.groups[0].members] == ["matmul", "add"]
    assert not any(node.op.name == "matmul" for node in stages.planned.slots)


def test_a_product_of_one_column_takes_no_expensive_function_along() -> None:
    def members(function: Callable[[smelt.Tensor], smelt.Tensor]) -> list[str]:
        groups = case_of(function, random(64, 100)).stages.fused.groups
        return [node.op.name for node in groups[0].members]

    weight = smelt.ones(100, 1)
    assert members(lambda x: (x @ weight).exp()) == ["matmul"]
    assert members(lambda x: (x @ weight) * 2) == ["matmul", "mul"]


def test_an_axis_of_one_element_is_read_aligned() -> None:
    """A row vector's update is written in place, though broadcasting reads its axis at 0."""
    weight = smelt.ones(1, 100)

    def step(states: list[smelt.Tensor], given: list[smelt.Tensor]) -> list[smelt.Tensor]:
        states[0].copy_(states[0] - 0.1 * (given[0].T @ given[1]).T)
        return [states[0].sum()]

    case = Case(step, [weight], [random(64, 100), random(64, 1)])
    stages = case.stages
    assert not any(node.op.is_movement for group in stages.fused.groups for node in group.members)


@pytest.mark.parametrize("name", ["softmax", "layer_norm"])
def test_texts(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"fused_{name}", texts(case_of(FORWARD[name][0], random(4, 100))))


def mlp_step(optimizer: Callable[..., optim.Optimizer]) -> smelt.compiler.CompiledStep:
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = optimizer(model.parameters())

    @smelt.compile
    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step(random(64, 64), smelt.zeros(64, dtype=smelt.int64))
    return step


@pytest.mark.parametrize(
    ("optimizer", "budget"),
    [(lambda p: optim.SGD(p, lr=0.1), 13), (optim.Adam, 13), (optim.AdamW, 14)],
)
def test_kernels_of_a_training_step(optimizer, budget: int) -> None:
    program = mlp_step(optimizer).executables.newest.stages.program
    assert sum(hasattr(part, "kernel") for part in program.body) <= budget


def test_an_optimizer_is_fused_into_the_gradients_product() -> None:
    fused = mlp_step(optim.Adam).executables.newest.stages.fused
    products = [group for group in fused.groups if group.members[0].op.name == "matmul"]
    updating = [group for group in products if set(group.members) & set(fused.ordered.writes)]
    assert len(updating) == 2  # one for each weight
    for group in updating:
        assert sum(node in fused.ordered.writes for node in group.members) == 3  # and its moments


def test_an_optimizer_alone_is_one_kernel_a_parameter() -> None:
    weights = [random(30, 40).requires_grad_(), random(7).requires_grad_()]
    adam = optim.Adam(weights)

    @smelt.compile
    def step(g, h):
        weights[0].grad, weights[1].grad = g, h
        adam.step()
        adam.zero_grad()

    step(random(30, 40), random(7))
    groups = step.executables.newest.stages.fused.groups
    for weight in weights:
        writing = [one for one in groups if any(node.shape == weight.shape for node in one.members)]
        assert len(writing) == 1


def test_groups_respect_every_order_and_limit() -> None:
    fused = mlp_step(optim.AdamW).executables.newest.stages.fused
    index = {node: number for number, group in enumerate(fused.groups) for node in group.members}
    for node, before in fused.ordered.predecessors.items():
        assert all(index[one] <= index[node] for one in before)
    assert all(len(group.members) <= MEMBER_LIMIT for group in fused.groups)


# --- the search for a group -----------------------------------------------------------------------


def of_all_groups(groups, open_groups, first, node, ordered):
    """Returns what `_compatible_group` is to return, by looking at every group."""
    for index in range(first, len(groups)):
        loops = fusion._open_loops(groups[index], node)
        if loops is not None and fusion._can_fuse(loops, groups[index], node, ordered):
            return index
    return len(groups)


def many_steps(x: smelt.Tensor) -> smelt.Tensor:
    """A loop with rowwise, pointwise, summed and multiplied work in each step, and its loss."""
    h, loss = x[0], smelt.zeros(())
    for t in range(x.shape[0]):
        h = smelt.tanh(x[t] + h @ x[0, :8].T @ x[1, :8])
        loss = loss - F.log_softmax(h, -1)[:, 1].sum() + h.sum(0).exp().mean()
        loss = loss + (h * smelt.rand(1)).sum(1).max()
    return loss


SEARCHED = {
    "steps": (smelt.value_and_grad(many_steps), (12, 8, 30)),
    "long rows": (
        lambda x: x.sum(1) + x.exp().sum(1) + (x * 2).mean() + x.sum(0).sum(),
        (3, 40_000),
    ),
    "large": (lambda x: (x.exp().sum(0) + x.tanh().amax(1)[:300], x * 2, x + 1), (300, 300)),
    "small sums": (lambda x: [(x * n).sum() + x.sum(n % 2).exp().sum() for n in range(30)], (4, 4)),
    "full groups": (lambda x: [smelt.exp(x * n) + n for n in range(60)], (4, 4)),
}


@pytest.mark.parametrize("name", SEARCHED)
def test_the_first_group_that_fits_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, shape = SEARCHED[name]
    case = Case(lambda states, given: flatten(function(given[0]))[0], [], [random(*shape)])
    found = groups_text(case.stages.fused)
    monkeypatch.setattr(fusion, "_compatible_group", of_all_groups)
    assert groups_text(fusion.fuse(case.stages.packed, host_cpu())) == found


def test_groups_are_searched_in_proportion_to_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = 0
    shared_loops = fusion._shared_loops

    def counted(*arguments):
        nonlocal looked_at
        looked_at += 1
        return shared_loops(*arguments)

    def looks(steps: int) -> int:
        nonlocal looked_at
        looked_at = 0
        fusion.fuse(case_of(smelt.grad(many_steps), random(steps, 8, 30)).stages.packed, host_cpu())
        return looked_at

    monkeypatch.setattr(fusion, "_shared_loops", counted)
    few, some, many = looks(20), looks(40), looks(80)
    assert many - some <= 2.1 * (some - few)
