"""Every collective through every engine, both modes of differentiation, two orders, vmap."""

from __future__ import annotations

import numpy as np
import pytest
from notes import note

import smelt
from smelt import distributed as dist
from smelt.autodiff import jvp, vmap
from smelt.ir.interpret import run_program
from smelt.tensor.collectives import begin_all_reduce

dist.init_process_group()
RANK, SIZE = dist.get_rank(), dist.get_world_size()
RANDOM = np.random.default_rng(RANK)


def begun(x):
    return begin_all_reduce(x)()


FUNCTIONS = {
    "sum": lambda x: dist.all_reduce(x),
    "mean": lambda x: dist.all_reduce(x, "mean"),
    "prod": lambda x: dist.all_reduce(x, "prod"),
    "max": lambda x: dist.all_reduce(x, "max"),
    "min": lambda x: dist.all_reduce(x, "min"),
    "begun": begun,
    "gather": lambda x: dist.all_gather(x),
    "scatter": lambda x: dist.reduce_scatter(x),
    "scatter mean": lambda x: dist.reduce_scatter(x, "mean"),
    "exchange": lambda x: dist.all_to_all(x),
    "broadcast": lambda x: dist.broadcast(x, SIZE - 1),
}
EXPECTED = {
    "sum": lambda every: every.sum(0),
    "mean": lambda every: every.sum(0) / SIZE,
    "prod": lambda every: every.prod(0),
    "max": lambda every: every.max(0),
    "min": lambda every: every.min(0),
    "begun": lambda every: every.sum(0),
    "gather": lambda every: every,
    "scatter": lambda every: every.sum(0)[RANK],
    "scatter mean": lambda every: every.sum(0)[RANK] / SIZE,
    "exchange": lambda every: every[:, RANK],
    "broadcast": lambda every: every[SIZE - 1],
}


def everybody(x: np.ndarray) -> np.ndarray:
    return dist.all_gather(smelt.tensor(x)).numpy()


def drawn(*shape: int) -> np.ndarray:
    return RANDOM.uniform(0.5, 2.0, shape)


def total(x) -> float:
    """Returns a number added up over all ranks."""
    return float(dist.all_reduce(x.detach().sum()).item())


for name, function in FUNCTIONS.items():
    x = drawn(SIZE, 5)
    every = everybody(x)
    eager = function(smelt.tensor(x))
    assert eager.dtype is smelt.float64
    np.testing.assert_allclose(eager.numpy(), EXPECTED[name](every), rtol=1e-14, err_msg=name)

    compiled = smelt.compile(function)
    assert np.array_equal(compiled(smelt.tensor(x)).numpy(), eager.numpy()), name
    with smelt.settings(verify=True):
        again = smelt.compile(lambda x, function=function: function(x) * 1)
        assert np.array_equal(again(smelt.tensor(x)).numpy(), eager.numpy()), name
    repeated = compiled.repeat(3, smelt.tensor(x))
    assert np.array_equal(repeated.numpy(), np.stack([eager.numpy()] * 3)), name

    # the interpreter of the same program
    program = compiled.executables.most_used.stages.program
    places = {}
    for slot in program.slots:
        if slot.kind == "argument":
            places[slot] = x
        elif slot.kind != "arena":
            places[slot] = np.zeros(slot.shape, slot.dtype.storage)
    assert run_program(program, places) == 0
    (result,) = (array for slot, array in places.items() if slot.kind == "result")
    assert np.array_equal(result, eager.numpy()), name

    # <g, J t> of all ranks is <J' g, t> of all ranks; forward mode against differences
    t, g = smelt.tensor(drawn(SIZE, 5)), smelt.tensor(drawn(*eager.shape))
    given = smelt.tensor(x).requires_grad_()
    output = function(given)
    (gradient,) = smelt.autograd.grad(output, given, g)
    _, tangent = jvp(function, (smelt.tensor(x),), (t,))
    assert np.isclose(total(g * tangent), total(gradient * t), rtol=1e-12), name
    step = 1e-6
    higher, lower = (function(smelt.tensor(x) + sign * step * t) for sign in (1, -1))
    slope = (higher.numpy() - lower.numpy()) / (2 * step)
    np.testing.assert_allclose(tangent.numpy(), slope, rtol=1e-6, atol=1e-7, err_msg=name)

    # second order: the gradient of the gradient's square, eagerly and compiled, against differences
    def squared(x, function=function, g=g):
        inner = x if x.requires_grad else x.requires_grad_()
        (found,) = smelt.autograd.grad(function(inner**2), inner, g, create_graph=True)
        return (found**2).sum()

    def second(x, squared=squared):
        x = x.detach().requires_grad_()
        (found,) = smelt.autograd.grad(squared(x), x)
        return found

    exact = second(smelt.tensor(x))
    np.testing.assert_allclose(
        smelt.compile(second)(smelt.tensor(x)).numpy(), exact.numpy(), rtol=1e-12, err_msg=name
    )
    plus, minus = (total(squared(smelt.tensor(x) + sign * step * t)) for sign in (1, -1))
    assert np.isclose(total(exact * t), (plus - minus) / (2 * step), rtol=1e-4), name

    # vmap is a loop over the batch
    batch = drawn(3, SIZE, 5)
    batched = vmap(function)(smelt.tensor(batch)).numpy()
    looped = np.stack([function(smelt.tensor(one)).numpy() for one in batch])
    assert np.array_equal(batched, looped), name
    assert np.array_equal(smelt.compile(vmap(function))(smelt.tensor(batch)).numpy(), looped), name

for dtype in (smelt.float32, smelt.int32, smelt.int64):
    values = smelt.tensor(np.arange(4) + RANK, dtype=dtype)
    expected = np.arange(4) * SIZE + SIZE * (SIZE - 1) // 2
    assert dist.all_reduce(values).tolist() == expected.tolist()
    assert smelt.compile(dist.all_reduce)(values).tolist() == expected.tolist()
    assert dist.all_reduce(values).dtype is dtype

with pytest.raises(smelt.errors.DTypeError, match="bool"):
    dist.all_reduce(smelt.tensor([True]))


number = smelt.tensor(1.5)
assert [dist.all_reduce(number).shape, dist.all_gather(number).shape] == [(), (SIZE,)]
assert dist.broadcast(number).item() == 1.5


@smelt.compile
def with_barrier(x):
    dist.barrier()
    return x + 1


assert with_barrier(smelt.zeros(2)).tolist() == [1.0, 1.0]
assert "barrier" in str(with_barrier.explain("graph"))
note(done=True)
