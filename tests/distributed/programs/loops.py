"""Collectives within loops and branches: eagerly, compiled, interpreted, and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from notes import FOLDER, note

import smelt
from smelt import distributed as dist
from smelt import export
from smelt.autodiff import jvp, vmap
from smelt.ir.interpret import run_program
from smelt.ir.program import collectives

dist.init_process_group()
RANK, SIZE = dist.get_rank(), dist.get_world_size()
RANDOM = np.random.default_rng(RANK)


def drawn(*shape: int):
    return smelt.tensor(RANDOM.uniform(0.5, 1.0, shape))


def every_kind(x):
    """One of each in every turn, and some before and after the loop."""

    def turn(carry, row):
        total = dist.all_reduce(row * carry, "mean")
        gathered = dist.all_gather(total * row)
        own = dist.reduce_scatter(gathered * carry)
        changed = dist.all_to_all(gathered + own)
        return carry * 0.5 + dist.broadcast(changed[0], SIZE - 1), changed.sum(0) + total

    first = dist.all_reduce(x[0])
    last, rows = smelt.scan(turn, first, x)
    return dist.all_reduce(last * x[-1]) + dist.all_reduce(rows.sum(0), "max")


def backwards(x):
    """A loop from the last row to the first."""
    return smelt.scan(lambda c, row: (c + dist.all_reduce(row * c), c), x[0], x, reverse=True)[0]


def nested(x):
    """A loop within a loop, and collectives in both."""

    def inner(carry, number):
        return dist.all_reduce(carry * number, "mean"), None

    def outer(carry, row):
        carry = smelt.scan(inner, carry + dist.all_reduce(row), row)[0]
        return carry + row, dist.all_gather(carry).sum(0)

    last, rows = smelt.scan(outer, x[0] * 0, x)
    return last + rows.sum(0)


def of_weights(x):
    """What is the same in every turn is gathered once, before the loop; so is its gradient."""
    own = x[0]

    def turn(carry, row):
        total = dist.all_reduce(row, "mean")
        gathered = dist.all_gather(own).sum(0)
        return dist.all_reduce(carry * total, "max") + gathered, None

    return smelt.scan(turn, x[1], x)[0]


def chosen(x):
    """A branch by what is the same on all ranks."""
    total = dist.all_reduce(x.sum())

    def turn(carry, row):
        return smelt.cond(
            carry.sum() > total,
            lambda carry: carry + dist.all_reduce(row),
            lambda carry: dist.all_reduce(carry * row) - carry,
            carry,
        ), None

    return smelt.scan(turn, dist.all_reduce(x[0], "mean"), x)[0]


def limited(x):
    """As long as a sum over all ranks is small, but no more turns than planned."""
    start = dist.all_reduce(x[0])
    return smelt.while_loop(
        lambda c: c.sum() < 40.0,
        lambda c: c + dist.all_reduce(c * x[1], "mean"),
        start,
        max_steps=12,
    )


def unlimited(x):
    """As long as the condition holds, which has a collective itself."""
    return smelt.while_loop(
        lambda c: dist.all_reduce(c.sum()) < 60.0, lambda c: c * 1.25 + x[1].sum(), x[0]
    )


def together(x):
    """A state that the loop changes, and a barrier in each turn."""
    kept = smelt.zeros(x.shape[1], dtype=smelt.float64)

    def turn(carry, row):
        dist.barrier()
        kept.copy_(kept * 0.5 + dist.all_reduce(row))
        return carry + kept, None

    return smelt.scan(turn, x[0], x)[0] + kept


def total(x) -> float:
    """Returns a number added up over all ranks."""
    return float(dist.all_reduce(x.detach().sum()).item())


def interpreted(step, x):
    """Returns what the plain loops of a compiled step mean."""
    program = step.executables.most_used.stages.program
    places = {}
    for slot in program.slots:
        if slot.kind == "argument":
            places[slot] = x.numpy()
        elif slot.kind == "constant":
            places[slot] = step.executables.most_used.stages.planned.constants[slot.number]
        elif slot.kind != "arena":
            places[slot] = np.zeros(slot.shape, slot.dtype.storage)
    assert run_program(program, places) == 0
    (result,) = (array for slot, array in places.items() if slot.kind == "result")
    return result


FUNCTIONS = [every_kind, backwards, nested, of_weights, chosen, limited, unlimited, together]
for function in FUNCTIONS:
    name = function.__name__
    x = drawn(3, 3)
    eager = function(x)
    step = smelt.compile(function)
    with smelt.settings(verify=True):
        found = step(x).numpy()
    np.testing.assert_allclose(found, eager.numpy(), rtol=1e-13, err_msg=name)
    if function is not together:  # whose state is a slot besides
        np.testing.assert_allclose(interpreted(step, x), found, rtol=1e-13, err_msg=name)
    assert np.array_equal(step.repeat(3, x).numpy(), np.stack([found] * 3)), name
    if function is together:
        continue
    # <g, J t> of all ranks is <J' g, t> of all ranks; forward mode against differences
    t, g = drawn(3, 3) - 0.75, drawn(*eager.shape)

    def tangent(x, t, function=function):
        return jvp(function, (x,), (t,))[1]

    moved = smelt.compile(tangent)(x, t)
    np.testing.assert_allclose(moved.numpy(), tangent(x, t).numpy(), rtol=1e-12, err_msg=name)
    size = 1e-6
    higher, lower = (function(x + sign * size * t) for sign in (1, -1))
    slope = (higher.numpy() - lower.numpy()) / (2 * size)
    np.testing.assert_allclose(moved.numpy(), slope, rtol=1e-6, atol=1e-8, err_msg=name)
    if function is unlimited:
        continue

    def pulled(x, g, function=function):
        x = x.detach().requires_grad_()
        return smelt.autograd.grad(function(x), x, g)[0]

    gradient = smelt.compile(pulled)(x, g)
    np.testing.assert_allclose(gradient.numpy(), pulled(x, g).numpy(), rtol=1e-11, err_msg=name)
    assert np.isclose(total(g * moved), total(gradient * t), rtol=1e-11), name

    # second order, through the gradient of the gradient
    def second(x, g, function=function):
        x = x.detach().requires_grad_()
        (found,) = smelt.autograd.grad(function(x), x, g, create_graph=True)
        return smelt.autograd.grad((found**2).sum(), x)[0]

    exact = second(x, g).numpy()
    np.testing.assert_allclose(
        smelt.compile(second)(x, g).numpy(), exact, rtol=1e-9, atol=1e-12, err_msg=name
    )
    # vmap is a loop over the batch
    batch = drawn(2, 3, 3)
    looped = np.stack([function(one).numpy() for one in batch])
    batched = smelt.compile(vmap(function))(batch).numpy()
    np.testing.assert_allclose(batched, looped, rtol=1e-12, err_msg=name)

# where a collective runs: what is the same in every turn once, a barrier in each
outside = smelt.compile(of_weights)
outside(drawn(3, 3))
graph = str(outside.explain("graph"))
assert "\n    " in graph, graph
turns = [line for line in graph.splitlines() if line.startswith("    ")]
assert sum("all_reduce(" in line for line in turns) == 2, graph
assert not any("all_gather" in line for line in turns), graph
inside = smelt.compile(together)
inside(drawn(3, 3))
lines = str(inside.explain("graph")).splitlines()
assert any("barrier" in line for line in lines if line.startswith("    ")), lines
assert len(collectives(inside.executables.most_used.stages.program)) == 2

# a file is for one process
for write, place in ((export.to_c, FOLDER / "c"), (export.save_onnx, FOLDER / "file.onnx")):
    with pytest.raises(smelt.errors.ArgumentError, match="the function has a collective"):
        write(of_weights, place, drawn(3, 3))
    assert not place.exists()

# lengths that change: a version for each, since all ranks must make as many turns
dynamic = smelt.compile(every_kind)
for length in (2, 3, 4, 5, 6):
    x = drawn(length, 3)
    np.testing.assert_allclose(dynamic(x).numpy(), every_kind(x).numpy(), rtol=1e-13)

# an empty loop has none
empty = smelt.compile(
    lambda x: smelt.scan(lambda c, row: (c + dist.all_reduce(row), None), x.sum(0), x)[0]
)
assert empty(smelt.zeros(0, 3)).tolist() == [0.0] * 3
note(done=True)
