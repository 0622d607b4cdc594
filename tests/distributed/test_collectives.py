import numpy as np
import pytest

import smelt
from smelt import distributed as dist
from smelt.errors import ArgumentError, ShapeError
from tests.distributed.launcher import LONG, run


@pytest.mark.parametrize("count", [2, 3] if LONG else [2])
def test_collectives_through_every_engine_and_order(count, tmp_path):
    outcome = run(count, "collectives", folder=tmp_path)
    assert outcome.ranks == [{"done": True}] * count


@pytest.mark.parametrize("count", [2, 3] if LONG else [2])
def test_collectives_in_loops_and_branches(count, tmp_path):
    outcome = run(count, "loops", folder=tmp_path)
    assert outcome.ranks == [{"done": True}] * count


def test_alone_a_collective_is_its_operand():
    dist.init_process_group()
    x = smelt.tensor([[1.0, 2.0]])
    try:
        assert (dist.get_rank(), dist.get_world_size(), dist.is_initialized()) == (0, 1, True)
        for op in ("sum", "mean", "prod", "max", "min"):
            assert dist.all_reduce(x, op).tolist() == [[1.0, 2.0]]
        assert dist.all_gather(x).shape == (1, 1, 2)
        assert dist.reduce_scatter(x).tolist() == [1.0, 2.0]
        assert dist.all_to_all(x).tolist() == dist.broadcast(x).tolist() == [[1.0, 2.0]]
        dist.barrier()
    finally:
        dist.destroy_process_group()
    assert not dist.is_initialized()


def test_alone_gradients_flow_through_collectives():
    x = smelt.tensor([[2.0]]).requires_grad_()
    (dist.all_reduce(x) * dist.all_gather(x)[0] * dist.reduce_scatter(x)).sum().backward()
    assert x.grad.item() == pytest.approx(3 * 2.0**2)


def test_what_is_no_collective_is_said():
    x = smelt.ones(2, 3)
    with pytest.raises(ArgumentError, match="op must be one of 'sum'"):
        dist.all_reduce(x, "median")
    with pytest.raises(ArgumentError, match="op must be 'sum' or 'mean'"):
        dist.reduce_scatter(x, "max")
    with pytest.raises(ShapeError, match="one row for each of the 1 ranks"):
        dist.reduce_scatter(x)
    with pytest.raises(ShapeError, match="one row for each"):
        dist.all_to_all(x)
    with pytest.raises(ArgumentError, match="src must be a rank, from 0 to 0, got 1"):
        dist.broadcast(x, 1)


def test_alone_a_compiled_step_has_no_collective():
    step = smelt.compile(lambda x: dist.all_reduce(x * 2))
    assert np.array_equal(step(smelt.ones(3)).numpy(), [2, 2, 2])
    assert "all_reduce" not in str(step.explain("graph"))
