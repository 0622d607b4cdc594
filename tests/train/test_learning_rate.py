"""The learning-rate range test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.errors import ArgumentError

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def test_it_suggests_a_rate_that_trains_and_leaves_all_as_it_was() -> None:
    smelt.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2))
    model.eval()
    optimizer = optim.Adam(model.parameters(), lr=0.5)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 3)
    before = [np.array(x) for x in model.state_dict().values()]
    state = {name: np.array(x) for name, x in optimizer.state_dict().items()}
    generator = smelt.get_rng_state().tolist()
    test = train.find_learning_rate(model, F.cross_entropy, optimizer, (X, Y), batch_size=16)
    assert 1e-4 < test.suggestion < 1
    assert len(test.rates) == len(test.losses) == len(test.smooth) <= 200
    assert (np.diff(test.rates) > 0).all()
    for old, new in zip(before, model.state_dict().values(), strict=True):
        assert (old == new.numpy()).all()
    assert {n: np.array(x).tolist() for n, x in optimizer.state_dict().items()} == {
        name: array.tolist() for name, array in state.items()
    }
    assert smelt.get_rng_state().tolist() == generator
    assert not model.training
    scheduler.step()
    assert "suggestion=" in repr(test)


def test_it_ends_where_the_loss_grows_beyond_all_bounds() -> None:
    model = nn.Linear(4, 1)
    optimizer = optim.SGD(model.parameters())
    y = X[:, :1]
    test = train.find_learning_rate(
        model, F.mse_loss, optimizer, (X, y), batch_size=16, highest=1e6
    )
    assert len(test.rates) < 200
    assert test.suggestion < 10


@pytest.mark.parametrize("options", [{"lowest": 0.0}, {"lowest": 20.0}, {"steps": 3}])
def test_settings_out_of_range_are_refused(options: dict[str, Any]) -> None:
    model = nn.Linear(4, 1)
    optimizer = optim.SGD(model.parameters())
    with pytest.raises(ArgumentError, match=next(iter(options))):
        train.find_learning_rate(model, F.mse_loss, optimizer, (X, X[:, :1]), **options)
