"""Tracing: what becomes an argument, a state, a constant, an update, a check."""

from __future__ import annotations

import time

import numpy as np
import pytest

import smelt
from smelt.compiler.frontend.tracer import MANY_NODES, Accumulates, Traced, trace
from smelt.compiler.pipeline import run_pipeline
from smelt.errors import TraceError
from smelt.ir.graph import CONSTANT, STATE, graph_text
from smelt.tracing.engine import context
from tests.compiler.engines import Case


def traced(function, *arguments: smelt.Tensor) -> Traced:
    def run(recorder):
        given = [recorder.placeholder(x.shape, x.dtype, x.requires_grad) for x in arguments]
        return list(function(*given)), None

    return trace(run)


def test_concrete_tensors_are_captured_once_in_the_order_of_their_use() -> None:
    a, b = smelt.ones(3), smelt.zeros(3)
    result = traced(lambda x: [x + b + a + b], smelt.ones(3))
    assert [id(state) for state in result.states] == [id(b), id(a)]
    assert [node.attributes["number"] for node in result.graph.states] == [0, 1]
    assert result.graph.updates == ()


def test_copy_becomes_an_update_and_later_reads_see_it() -> None:
    a = smelt.zeros(3)

    def function(x):
        a.copy_(x)
        return [a * 2]

    graph = traced(function, smelt.ones(3)).graph
    ((old, new),) = graph.updates
    assert old.op is STATE
    assert new is graph.arguments[0]
    assert graph.outputs[0].inputs[0] is new
    np.testing.assert_array_equal(a.numpy(), 0)


def test_numbers_become_shared_constants_and_arrays_are_copied() -> None:
    table = np.arange(3.0, dtype=np.float32)
    graph = traced(lambda x: [x * 2 + 2.0, x * table], smelt.ones(3)).graph
    table[:] = 7
    constants = [node.attributes["array"] for node in graph.nodes() if node.op is CONSTANT]
    assert len(constants) == 2
    np.testing.assert_array_equal(constants[-1], [0, 1, 2])


def test_nodes_know_the_users_line_and_the_module() -> None:
    layer = smelt.nn.Sequential(smelt.nn.Linear(3, 3), smelt.nn.ReLU())
    graph = traced(lambda x: [layer(x)], smelt.ones(2, 3)).graph
    text = graph_text(graph)
    assert "test_tracer.py" in text
    assert any(node.origin.module.endswith("1") for node in graph.nodes() if node.op.name == "relu")


def test_gradients_that_outlive_the_step_are_asked_for() -> None:
    w = smelt.ones(3).requires_grad_()

    def function():
        w.sum().backward()
        return []

    with pytest.raises(Accumulates) as caught:
        traced(function)
    assert caught.value.tensors == [w]
    assert w.grad is None


def test_the_engine_is_put_back_after_an_error() -> None:
    before = context.engine
    with pytest.raises(ZeroDivisionError):
        traced(lambda: 1 / 0)
    assert context.engine is before


def test_a_tensor_of_another_trace_is_refused() -> None:
    kept = []
    traced(lambda x: [kept.append(x * 2) or x], smelt.ones(3))
    with pytest.raises(TraceError, match="was used outside its compiled step"):
        traced(lambda x: [x + kept[0]], smelt.ones(3))


def test_a_chain_of_50000_operations_compiles_in_kernels_and_says_that_it_is_long() -> None:
    def function(states, given):
        (x,) = given
        for number in range(50_000):
            x = x + 0.5 if number % 2 else x * 0.75
        return [x]

    case = Case(function, [], [smelt.ones(100)])
    start = time.perf_counter()
    with pytest.warns(UserWarning, match="smelt.scan is traced once") as caught:
        graph = case.traced.graph
    assert len(caught) == 1
    stages = run_pipeline(graph, "chain", {})
    assert time.perf_counter() - start < 60
    assert len(graph.nodes()) > 50_000 > MANY_NODES
    assert len(stages.program.body) < 500
    (got,) = case.native().outputs
    np.testing.assert_allclose(got, np.full(100, 2.0), rtol=0.2)
    np.testing.assert_allclose(got, case.eager().outputs[0], rtol=1e-6)
