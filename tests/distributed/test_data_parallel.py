"""DistributedDataParallel and its parts on one rank; on several see test_networks.py."""

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import distributed as dist
from smelt import nn, optim
from smelt.distributed.exchange import buckets, flat, sum_of_pairs, unflat
from smelt.errors import ArgumentError, ShapeError, StateError


def batch():
    smelt.manual_seed(0)
    return smelt.randn(8, 3), smelt.randint(0, 2, (8,))


def trained(model, backward):
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    x, y = batch()

    @smelt.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = backward(model, x, y)
        optimizer.step()
        return loss

    return step.repeat(5, x, y).numpy(), [p.numpy().copy() for p in model.parameters()]


def plainly(model, x, y):
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    return loss


def by_function(model, x, y):
    return model.backward(lambda x, y: F.cross_entropy(model(x), y), x, y)


def network():
    smelt.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


@pytest.mark.parametrize("backward", [plainly, by_function])
def test_alone_it_is_the_module(backward):
    losses, weights = trained(network(), plainly)
    own, found = trained(dist.DistributedDataParallel(network()), backward)
    assert np.array_equal(own, losses)
    assert all(map(np.array_equal, found, weights))


def test_alone_shards_give_the_same_but_for_rounding():
    losses, weights = trained(network(), plainly)
    model = dist.DistributedDataParallel(network(), deterministic=True, shards=4)
    own, found = trained(model, by_function)
    np.testing.assert_allclose(own, losses, rtol=1e-6)
    for a, b in zip(found, weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_shards_eagerly_and_compiled_are_alike():
    results = []
    for compiled in (True, False):
        model = dist.DistributedDataParallel(network(), deterministic=True, shards=2)
        with smelt.settings(compile=compiled):
            results.append(trained(model, by_function))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)


def test_buffers_after_shards_are_the_mean_of_what_they_left():
    model = dist.DistributedDataParallel(nn.BatchNorm1d(2), deterministic=True, shards=2)
    x = smelt.tensor(np.arange(16).reshape(8, 2), dtype=smelt.float32)
    model.backward(lambda x: (model(x) ** 2).mean(), x)
    means = [x[:4].mean(0), x[4:].mean(0)]
    expected = 0.1 * (means[0] + means[1]) / 2
    np.testing.assert_allclose(model.module.running_mean.numpy(), expected.numpy(), rtol=1e-6)
    assert model.module.num_batches_tracked.item() == 1


def test_deterministic_gradients_come_from_its_own_backward():
    model = dist.DistributedDataParallel(network(), deterministic=True)
    x, y = batch()
    with pytest.raises(ArgumentError, match=r"write model\.backward\(function, \*batch\)"):
        F.cross_entropy(model(x), y).backward()
    with pytest.raises(ShapeError, match="6 samples on a rank cannot be split into 4 equal shards"):
        by_function(model, x[:6], y[:6])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3,), "must be a module"),
        ((nn.ReLU(),), "no parameter requires a gradient"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        dist.DistributedDataParallel(*arguments)


@pytest.mark.parametrize("shards", [0, 3, 2.0])
def test_shards_are_a_power_of_two(shards):
    with pytest.raises(ArgumentError, match=f"got shards={shards!r} and 1 ranks"):
        dist.DistributedDataParallel(network(), deterministic=True, shards=shards)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ArgumentError, match="bucket_cap_mb must be positive, got 0"):
        dist.DistributedDataParallel(network(), bucket_cap_mb=0)
    model = nn.Sequential(nn.Linear(3, 2), nn.SyncBatchNorm(2))
    with pytest.raises(ArgumentError, match="SyncBatchNorm needs the whole batch"):
        dist.DistributedDataParallel(model, deterministic=True)


def test_buckets_hold_one_dtype_and_no_more_than_they_may():
    tensors = [smelt.zeros(n) for n in (100, 200, 300)] + [smelt.zeros(5, dtype=smelt.float64)]
    assert list(buckets(tensors, 1300)) == [[0, 1], [2], [3]]
    assert list(buckets(tensors, 1)) == [[0], [1], [2], [3]]
    large = [smelt.zeros(1 << 18), smelt.zeros(1 << 18), smelt.zeros(1 << 18)]  # a mebibyte each
    assert list(buckets(large, 2 << 20)) == [[0], [1, 2]], "the first bucket is small"


def test_rows_and_trees_of_pairs():
    tensors = [smelt.randn(2, 3), smelt.randn(()), smelt.randn(4)]
    again = unflat(flat(tensors), [x.shape for x in tensors])
    assert [x.tolist() for x in again] == [x.tolist() for x in tensors]
    parts = [smelt.tensor(np.float32(x)) for x in (1e8, 1.0, -1e8, 1.0, 3.0)]
    expected = np.float32(np.float32(1e8) + np.float32(1)) + np.float32(np.float32(-1e8) + 1)
    assert sum_of_pairs(parts).item() == expected + 3


def test_batch_normalization_of_all_ranks_is_that_of_one_alone():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Sequential(nn.BatchNorm1d(4)))
    x = smelt.randn(8, 3)
    model[1].weight.detach().copy_(smelt.rand(4))
    expected = model(x).numpy()
    buffers = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert converted is model
    assert isinstance(model[1], nn.SyncBatchNorm)
    assert isinstance(model[2][0], nn.SyncBatchNorm)
    found = {name: value.numpy() for name, value in model.state_dict().items()}
    assert found.keys() == buffers.keys()
    assert all(np.array_equal(found[name], value) for name, value in buffers.items())
    assert np.array_equal(model(x).numpy(), expected)
    alone = nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm2d(3))
    assert isinstance(alone, nn.SyncBatchNorm)
    with pytest.raises(ArgumentError, match="needs a module"):
        nn.SyncBatchNorm.convert_sync_batchnorm(3)


def test_a_sharded_optimizer_alone_is_the_optimizer():
    def fitted(make):
        model = dist.DistributedDataParallel(network())
        optimizer = make(model)
        x, y = batch()
        for _ in range(3):
            optimizer.zero_grad()
            plainly(model, x, y)
            optimizer.step()
        return [p.numpy() for p in model.parameters()], optimizer.state_dict()

    weights, state = fitted(lambda model: optim.Adam(model.parameters(), lr=0.1))
    own, found = fitted(
        lambda model: dist.ZeroRedundancyOptimizer(model.parameters(), optim.Adam, lr=0.1)
    )
    for a, b in zip(own, weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert found.keys() == state.keys()
    assert {key: x.shape for key, x in found.items()} == {key: x.shape for key, x in state.items()}
    model = dist.DistributedDataParallel(network())
    optimizer = dist.ZeroRedundancyOptimizer(model.parameters(), optim.Adam, lr=0.1)
    optimizer.load_state_dict(state)
    again = optimizer.state_dict()
    assert all(np.array_equal(again[key].numpy(), x.numpy()) for key, x in state.items())
    with pytest.raises(StateError, match="is missing for some"):
        optimizer.load_state_dict({})
    with pytest.raises(ArgumentError, match="a parameter has no gradient"):
        optimizer.step()


def test_a_sharded_optimizer_needs_what_it_needs():
    model = network()
    with pytest.raises(ArgumentError, match="must be those of one DistributedDataParallel"):
        dist.ZeroRedundancyOptimizer(model.parameters(), optim.Adam)
    with pytest.raises(ArgumentError, match="is not an optimizer"):
        dist.ZeroRedundancyOptimizer(model.parameters(), nn.Linear)
    parallel = dist.DistributedDataParallel(network(), deterministic=True)
    with pytest.raises(ArgumentError, match="not supported with deterministic=True"):
        dist.ZeroRedundancyOptimizer(parallel.parameters(), optim.Adam)


def test_a_sharded_optimizer_has_all_parameters_in_one_group():
    model = dist.DistributedDataParallel(network())
    with pytest.raises(ArgumentError, match=r"2 of the 4 parameters .* give all"):
        dist.ZeroRedundancyOptimizer(list(model.parameters())[:2], optim.Adam)
    optimizer = dist.ZeroRedundancyOptimizer(model.parameters(), optim.Adam)
    with pytest.raises(ArgumentError, match="it has one group of parameters"):
        optimizer.add_param_group({"params": [smelt.zeros(2)]})
    with pytest.raises(ArgumentError, match="max_norm must not be negative, got -1"):
        optimizer.clip_grad_norm_(-1)
    with pytest.raises(ArgumentError, match="a parameter has no gradient"):
        optimizer.clip_grad_norm_(1)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, np.inf])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_sharded_optimizer_clips_as_the_function_does(norm_type, compiled):
    def fitted(make, clip):
        model = dist.DistributedDataParallel(network())
        optimizer = make(model.parameters())
        x, y = batch()

        @smelt.compile
        def step(x, y):
            optimizer.zero_grad()
            plainly(model, x, y)
            norm = clip(model, optimizer)
            optimizer.step()
            return norm

        with smelt.settings(compile=compiled):
            norms = [step(x, y).item() for _ in range(3)]
        return norms, [p.numpy() for p in model.parameters()]

    norms, weights = fitted(
        lambda given: optim.SGD(given, lr=1.0),
        lambda model, _: optim.clip_grad_norm_(model.parameters(), 0.1, norm_type),
    )
    own, found = fitted(
        lambda given: dist.ZeroRedundancyOptimizer(given, optim.SGD, lr=1.0),
        lambda _, optimizer: optimizer.clip_grad_norm_(0.1, norm_type),
    )
    assert max(norms) > 0.1
    np.testing.assert_allclose(own, norms, rtol=1e-6)
    for a, b in zip(found, weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_schedule_moves_the_rate_of_a_sharded_optimizer():
    model = dist.DistributedDataParallel(network())
    optimizer = dist.ZeroRedundancyOptimizer(model.parameters(), optim.SGD, lr=1.0)
    schedule = optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    schedule.step()
    assert optimizer.param_groups[0]["lr"].item() == 0.5
    assert optimizer.optimizer.param_groups[0]["lr"].item() == 0.5


def test_a_mean_with_weights():
    values, weights = smelt.tensor([[1.0, 2.0], [3.0, 8.0]]), smelt.tensor([[1.0], [3.0]])
    found = dist.weighted_mean(values.requires_grad_(), weights)
    assert found.item() == (1 + 2 + 3 * (3 + 8)) / 8
    found.backward()
    assert values.grad.tolist() == [[0.125, 0.125], [0.375, 0.375]]
    with pytest.raises(ShapeError, match=r"do not broadcast"):
        dist.weighted_mean(values, smelt.ones(3))
    with pytest.raises(ShapeError, match=r"weights \(1, 2, 2\) for values \(2, 2\)"):
        dist.weighted_mean(values, smelt.ones(1, 2, 2))
    assert np.isnan(dist.weighted_mean([1.0], [0.0]).item())
