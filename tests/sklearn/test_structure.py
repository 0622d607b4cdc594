"""What two trainings share: compiled code of equal structure, and none of their numbers."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.sklearn.pool import Pool
from smelt.sklearn.structure import (
    Twin,
    lent_twin,
    make_numbers_tensors,
    structure_of,
    trained,
)
from tests.sklearn.networks import Perceptron


def parts(
    make: Any = Perceptron, kind: Any = optim.Adam, lr: float = 0.1, **options: Any
) -> dict[str, Any]:
    module = make()
    optimizer = kind(module.parameters(), lr=lr, **options)
    make_numbers_tensors(optimizer)
    return {"module": module, "optimizer": optimizer, "criterion": F.cross_entropy}


def key(**options: Any) -> Any:
    return structure_of(parts(**options)).key


def frozen() -> nn.Module:
    module = Perceptron()
    module.hidden.weight.requires_grad = False
    return module


def hooked() -> nn.Module:
    module = Perceptron()
    module.register_forward_hook(lambda module, inputs, output: output * 2)
    return module


def shared() -> nn.Module:
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, layer)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({}, {}),
        ({"lr": 0.1}, {"lr": 0.2}),
        ({"betas": (0.5, 0.6)}, {"betas": (0.7, 0.8)}),
        ({"weight_decay": 0.1}, {"weight_decay": 0.2}),
        ({"kind": optim.SGD, "momentum": 0.1}, {"kind": optim.SGD, "momentum": 0.2}),
        ({"make": shared}, {"make": shared}),
    ],
)
def test_what_differs_in_numbers_has_one_structure(one: Any, two: Any) -> None:
    assert key(**one) is not None
    assert key(**one) == key(**two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({}, {"kind": optim.AdamW}),
        ({}, {"weight_decay": 0.1}),
        ({}, {"amsgrad": True}),
        ({}, {"make": functools.partial(Perceptron, width=9)}),
        ({}, {"make": functools.partial(Perceptron, p=0.5)}),
        ({}, {"make": frozen}),
        ({}, {"make": hooked}),
        ({}, {"make": lambda: Perceptron().eval()}),
        ({}, {"make": lambda: Perceptron().to("float64")}),
        ({"make": shared}, {"make": lambda: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))}),
        (
            {"make": lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU())},
            {"make": lambda: nn.Sequential(nn.Linear(4, 4), nn.Tanh())},
        ),
    ],
)
def test_what_differs_otherwise_has_another_structure(one: Any, two: Any) -> None:
    assert key(**one) != key(**two)


def test_functions_and_classes_count_by_identity() -> None:
    def redefined() -> Any:
        class Net(nn.Module):
            def forward(self, x: Any) -> Any:
                return x

        return Net()

    assert structure_of(redefined()).key != structure_of(redefined()).key
    one, two = (lambda output, target: output.mean() for _ in range(2))
    assert structure_of(one).key == structure_of(one).key != structure_of(two).key


def test_what_cannot_be_pickled_has_no_key_and_a_twin_of_its_own() -> None:
    tensor = nn.Parameter(smelt.ones(2))
    tensor.register_hook(lambda g: g)
    assert structure_of([tensor]).key is None
    module = Perceptron()
    module.lines = (line for line in "ab")
    assert structure_of(module).key is None


def test_a_twin_gets_numbers_and_gives_them_back() -> None:
    given = parts()

    def double(twin: Twin) -> None:
        assert twin.parts["module"] is not given["module"]
        with smelt.no_grad():
            for parameter in twin.parts["module"].parameters():
                parameter.copy_(parameter * 2)

    before = given["module"].hidden.weight.numpy().copy()
    after = trained(given, double)
    assert after is given
    np.testing.assert_array_equal(given["module"].hidden.weight.numpy(), before * 2)


def test_a_twin_that_has_become_another_is_not_lent_again() -> None:
    given = parts()
    twins = []

    def change(twin: Twin) -> None:
        twins.append(twin)
        twin.parts["module"].note = len(twins)

    after = trained(given, change)
    assert after is twins[0].parts
    assert after["module"].note == 1
    trained(copy.deepcopy(given), change)
    assert twins[1] is not twins[0]


def test_two_borrowers_have_two_twins() -> None:
    given = parts()["module"]
    with lent_twin(given) as one, lent_twin(given) as two:
        assert one is not two
    with lent_twin(given) as again:
        assert again in (one, two)


def test_what_an_error_has_left_is_not_lent_again() -> None:
    pool = Pool()
    with pytest.raises(KeyError), pool.lent("a", list):
        raise KeyError
    assert len(pool) == 0


def test_a_pool_keeps_what_was_used_last() -> None:
    pool, made = Pool(limit=2), []

    def lend(name: str) -> None:
        with pool.lent(name, lambda: made.append(name) or name):
            pass

    for name in "abacab":
        lend(name)
    assert (made, len(pool)) == (["a", "b", "c", "b"], 2)
    pool.clear()
    assert len(pool) == 0
