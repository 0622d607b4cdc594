"""`smelt.compile(model)` is the model itself, but that calling it runs machine code."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import Tensor, nn, optim


def network() -> nn.Sequential:
    smelt.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))


class Around(nn.Module):
    """A module of which a part is compiled."""

    def __init__(self) -> None:
        self.inner = smelt.compile(nn.Linear(4, 4))
        self.out = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.inner(x))


def test_it_is_of_the_same_class_and_shows_the_same() -> None:
    model = network()
    compiled = smelt.compile(model)
    assert isinstance(compiled, nn.Sequential)
    assert repr(compiled) == repr(model)
    assert len(compiled) == 4
    assert compiled[0] is model[0]


def test_modes_are_shared_and_keep_it_compiled() -> None:
    model = network()
    compiled = smelt.compile(model)
    assert compiled.eval() is compiled
    assert not model.training
    x = smelt.randn(16, 4)
    np.testing.assert_allclose(compiled(x).numpy(), model(x).numpy(), atol=1e-6)
    assert compiled.traces == 1
    model.train()
    assert compiled.training
    compiled.training = False
    assert not model.training


def test_without_gradients_it_has_no_history() -> None:
    compiled = smelt.compile(network()).eval()
    with smelt.no_grad():
        assert not compiled(smelt.ones(2, 4)).requires_grad
    assert compiled(smelt.ones(2, 4)).requires_grad


def test_state_goes_both_ways() -> None:
    model = network()
    compiled = smelt.compile(model)
    assert list(compiled.state_dict()) == list(model.state_dict())
    other = smelt.compile(nn.Linear(4, 2))
    other.load_state_dict(nn.Linear(4, 2).state_dict())
    compiled.extra = 3
    assert model.extra == 3


def test_training_it_trains_the_module() -> None:
    model = network()
    compiled = smelt.compile(model)
    optimizer = optim.SGD(compiled.parameters(), lr=0.1)
    before = model[0].weight.numpy().copy()
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(compiled(smelt.randn(16, 4)), [0] * 16).backward()
        optimizer.step()
    assert np.abs(model[0].weight.numpy() - before).max() > 0
    assert model[1].num_batches_tracked.item() == 2


def test_a_module_that_holds_it_holds_its_parameters() -> None:
    around = Around()
    names = ["inner.weight", "inner.bias", "out.weight", "out.bias"]
    assert [name for name, _ in around.named_parameters()] == names
    assert list(around.state_dict()) == names
    around.eval()
    assert not around.inner.training
    x = smelt.ones(3, 4)
    np.testing.assert_allclose(smelt.compile(around)(x).numpy(), around(x).numpy(), atol=1e-6)
    assert around.inner.traces == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_compiled_and_apart(copied: object) -> None:
    compiled = smelt.compile(network()).eval()
    x = smelt.ones(2, 4)
    wanted = compiled(x).numpy()
    other = copied(compiled)  # type: ignore[operator]
    np.testing.assert_array_equal(other(x).numpy(), wanted)
    assert other.traces == 1
    with smelt.no_grad():
        other[0].weight.copy_(other[0].weight * 2)
    np.testing.assert_array_equal(compiled(x).numpy(), wanted)


def test_a_shallow_copy_shares_parameters_only() -> None:
    compiled = smelt.compile(network())
    other = copy.copy(compiled)
    assert other[0].weight is compiled[0].weight
    other.eval()
    other.mark = 1
    assert not hasattr(compiled, "mark")


def test_it_has_the_methods_of_a_compiled_step() -> None:
    compiled = smelt.compile(nn.Linear(4, 2))
    compiled(smelt.ones(3, 4))
    assert "Linear" in compiled.explain()
    assert compiled.memory().peak > 0
    assert compiled.repeat(2, smelt.ones(3, 4)).shape == (2, 3, 2)


def test_eagerly_it_is_the_module() -> None:
    compiled = smelt.compile(nn.Linear(4, 2))
    with smelt.settings(compile=False):
        compiled(smelt.ones(3, 4))
    assert compiled.traces == 0


def test_hooks_and_summaries_see_the_module_that_is_called() -> None:
    compiled = smelt.compile(network())
    seen = []
    handle = compiled.register_forward_hook(lambda module, inputs, output: seen.append(module))
    compiled(smelt.ones(3, 4))
    assert seen == [compiled]
    handle.remove()
    for model in (compiled, Around()):
        x = smelt.ones(3, 4)
        assert str(nn.summary.summary(model, x)).count("(3, ") == len(list(model.modules()))
        assert len(str(nn.explain.explain(model, x)).splitlines()) > 3
