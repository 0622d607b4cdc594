"""Copies and pickles of modules that hold compiled steps, and assignment to what they hold."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

import smelt
from smelt import nn, optim
from smelt.errors import AssignmentError, GradientError

Copy = Callable[[nn.Module], nn.Module]


class Compiled(nn.Module):
    def __init__(self) -> None:
        self.layer = nn.Linear(2, 2)
        self.fast = smelt.compile(self.layer)
        self.bound = smelt.compile(self.twice)

    def twice(self, x: smelt.Tensor) -> smelt.Tensor:
        return self.layer(x) * 2

    @smelt.compile
    def method(self, x: smelt.Tensor) -> smelt.Tensor:
        return self.layer(x) * 3


@smelt.compile
def decorated(x: smelt.Tensor) -> smelt.Tensor:
    return x * 2


def results(module: Compiled) -> list[list[float]]:
    x = smelt.ones(1, 2)
    return [step(x)[0].tolist() for step in (module.bound, module.method)]


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_a_copy_has_compiled_steps_of_its_own(copied: Copy) -> None:
    module = Compiled()
    before = results(module)
    again = copied(module)
    with smelt.no_grad():
        again.layer.weight.copy_(smelt.ones(2, 2))
        again.layer.bias.copy_(smelt.zeros(2))
    assert results(again) == [[4, 4], [6, 6]]
    assert again.fast(smelt.ones(1, 2)).tolist() == [[2, 2]]
    assert results(module) == before


def test_a_shallow_copy_has_compiled_methods_of_its_own() -> None:
    module = Compiled()
    before = results(module)
    again = copy.copy(module)
    again.layer = nn.Linear(2, 2)
    with smelt.no_grad():
        again.layer.weight.copy_(smelt.ones(2, 2))
        again.layer.bias.copy_(smelt.zeros(2))
    assert results(again) == [[4, 4], [6, 6]]
    assert results(module) == before


def test_a_decorated_function_is_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    assert copy.deepcopy(decorated)(smelt.ones(1)).tolist() == [2]


def test_gradients_and_optimizers_survive_copies() -> None:
    module = nn.Linear(2, 1)
    optimizer = optim.Adam(module.parameters())
    module(smelt.ones(1, 2)).sum().backward()
    for again, other in (
        copy.deepcopy((module, optimizer)),
        pickle.loads(pickle.dumps((module, optimizer))),
    ):
        assert again.weight.grad.tolist() == [[1, 1]]
        assert other.param_groups[0]["params"][0] is again.weight
        assert again.weight in other.state


def test_assignment_in_place_works_or_says_what_to_write() -> None:
    module = nn.Linear(2, 1)
    module(smelt.ones(1, 2)).sum().backward()
    before = module.weight.tolist()[0]
    with pytest.raises(GradientError, match="no_grad"):
        for p in module.parameters():
            p -= 0.5 * p.grad
    with smelt.no_grad():
        for p in module.parameters():
            p -= 0.5 * p.grad
        module.bias += 1
    assert module.weight.tolist()[0] == pytest.approx([number - 0.5 for number in before])
    assert len(list(module.parameters())) == 2
    for value in (module.weight + 1, 3.0):
        with pytest.raises(AssignmentError, match="is a parameter"):
            module.weight = value
    leaf = smelt.ones(2, requires_grad=True)
    with smelt.no_grad():
        for x in [leaf]:
            x *= 3
    assert leaf.tolist() == [3, 3]
    assert leaf.requires_grad


def test_arguments_and_plain_tensors_stay_values() -> None:
    def function(x: smelt.Tensor) -> smelt.Tensor:
        x += 1
        x *= x
        return x.sum()

    given = smelt.ones(2)
    assert smelt.grad(function)(given).tolist() == [4, 4]
    assert given.tolist() == [1, 1]
    assert smelt.compile(smelt.grad(function))(given).tolist() == [4, 4]


def test_gradients_of_what_a_function_does_not_use() -> None:
    module, x = nn.Linear(2, 1), smelt.ones(1, 2)
    with pytest.raises(
        GradientError, match="is unused: the function reads this tensor from outside"
    ):
        smelt.grad(lambda *_: module(x).sum())(*module.parameters())
    with pytest.warns(UserWarning, match="is unused"):
        smelt.jvp(lambda y: x * 1, (x,), (x,))
