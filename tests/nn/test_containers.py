"""Sequential, ModuleList, ModuleDict, ParameterList."""

from __future__ import annotations

import copy
import pickle
import time

import pytest

import smelt
from smelt import errors, nn


def test_sequential_passes_on_and_indexes() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert model(smelt.ones(4, 2)).shape == (4, 1)
    assert len(model) == 3
    assert isinstance(model[1], nn.ReLU)
    assert isinstance(model[-1], nn.Linear)
    assert model[1:][1] is model[2]
    assert [type(part).__name__ for part in model] == ["Linear", "ReLU", "Linear"]


def test_sequential_takes_named_modules() -> None:
    model = nn.Sequential({"first": nn.Linear(2, 3), "second": nn.ReLU()})
    assert model.first is model[0]
    assert list(model.state_dict()) == ["first.weight", "first.bias"]


def test_empty_sequential_is_the_identity() -> None:
    x = smelt.ones(1)
    assert nn.Sequential()(x) is x


def test_modules_are_inserted_replaced_and_removed() -> None:
    model = nn.Sequential(nn.ReLU(), nn.Tanh())
    model.insert(1, nn.Sigmoid())
    model[0] = nn.SiLU()
    del model[-1]
    assert [type(part).__name__ for part in model.append(nn.Mish()).extend([nn.GELU()])] == [
        "SiLU",
        "Sigmoid",
        "Mish",
        "GELU",
    ]
    assert [name for name, _ in model.named_children()] == ["0", "1", "2", "3"]


def test_list_names_its_modules_in_errors() -> None:
    class Stack(nn.Module):
        def __init__(self) -> None:
            self.layers = nn.ModuleList([nn.Linear(2, 2)])
            self.layers.append(nn.Linear(3, 3))
            self.heads = nn.ModuleDict({"a": nn.Linear(4, 4)})

        def forward(self, x: smelt.Tensor, part: str) -> smelt.Tensor:
            return self.layers[1](x) if part == "layers" else self.heads["a"](x)

    with pytest.raises(errors.ShapeError, match=r"in module stack\.layers\.1\n"):
        Stack()(smelt.ones(1, 2), "layers")
    with pytest.raises(errors.ShapeError, match=r"in module stack\.heads\.a\n"):
        Stack()(smelt.ones(1, 2), "heads")


def test_dict_is_a_mapping() -> None:
    parts = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    del parts["a"]
    parts.update({"c": nn.Linear(1, 1)})
    assert list(parts) == list(parts.keys()) == ["b", "c"]
    assert len(parts) == 2
    assert "c" in parts
    assert [type(part).__name__ for part in parts.values()] == ["Tanh", "Linear"]
    assert dict(parts.items())["c"] is parts["c"]
    assert list(parts.state_dict()) == ["c.weight", "c.bias"]


def test_parameter_list() -> None:
    weights = nn.ParameterList([smelt.ones(2), nn.Parameter(smelt.zeros(3))])
    assert len(weights) == 2
    assert [weight.shape for weight in weights] == [(2,), (3,)]
    assert weights[1].requires_grad
    assert list(weights.state_dict()) == ["0", "1"]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Sequential(3), errors.ArgumentError, "got a int"),
        (lambda: nn.Sequential(nn.ReLU())[1], errors.BoundsError, "holds 1 modules"),
        (lambda: nn.ModuleList()[0], errors.BoundsError, "holds 0 modules"),
        (lambda: nn.ModuleDict({"a.b": nn.ReLU()}), errors.ArgumentError, "dot"),
        (lambda: nn.ModuleDict({"keys": nn.ReLU()}), errors.ArgumentError, "method"),
        (lambda: nn.ModuleDict({"a": nn.ReLU()})["b"], errors.BoundsError, "it has: a"),
        (lambda: nn.ModuleList([nn.ReLU()])(1), NotImplementedError, "ModuleList has no forward"),
    ],
)
def test_misuse_is_refused(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_sequential_does_not_pass_a_pair_to_a_layer_of_one_tensor() -> None:
    x = smelt.ones(1, 3, 4)  # one place: output and state have the same shape
    for recurrent in (nn.GRU(4, 8), nn.LSTM(4, 8)):
        model = nn.Sequential(recurrent, nn.Linear(8, 2))
        with pytest.raises(
            errors.ArgumentError, match=r"Linear takes one .* result of (GRU|LSTM) is"
        ):
            model(x)
    with pytest.raises(errors.ArgumentError, match="its input is a tuple of 2"):
        nn.Sequential(nn.ReLU())((x, x))


def test_sequential_passes_a_pair_to_a_module_that_takes_it() -> None:
    class First(nn.Module):
        def forward(self, pair: tuple[smelt.Tensor, smelt.Tensor]) -> smelt.Tensor:
            return pair[0]

    model = nn.Sequential(nn.GRU(4, 8), First(), nn.Linear(8, 2))
    assert model(smelt.ones(1, 3, 4)).shape == (1, 3, 2)


def test_a_long_container_takes_a_time_that_grows_with_its_length() -> None:
    def seconds(length: int) -> float:
        held, start = nn.ModuleList(), time.process_time()
        for _ in range(length):
            held.append(layer)
        return time.process_time() - start

    layer = nn.ReLU()
    assert min(seconds(4000) for _ in range(3)) < 10 * min(seconds(1000) for _ in range(3))


def test_what_a_container_holds_is_what_its_attributes_hold() -> None:
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh(), nn.ReLU()])
    other = copy.copy(layers)
    setattr(layers, "1", nn.Sigmoid())
    layers.append(nn.Tanh())
    del layers[0]
    assert [type(layer) for layer in layers] == [nn.Sigmoid, nn.ReLU, nn.Tanh]
    assert [type(layer) for layer in layers.children()] == [nn.Sigmoid, nn.ReLU, nn.Tanh]
    assert [type(layer) for layer in other] == [nn.ReLU, nn.Tanh, nn.ReLU]
    copied = copy.deepcopy(layers)
    assert all(a is b for a, b in zip(copied, copied.children(), strict=True))
    named = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    named["a"] = nn.Tanh()
    del named["b"]
    assert list(named.keys()) == ["a"]
    assert isinstance(named["a"], nn.Tanh)
    restored = pickle.loads(pickle.dumps(named))
    assert list(restored) == ["a"]


def test_a_class_among_modules_says_what_to_write() -> None:
    with pytest.raises(smelt.errors.ArgumentError, match=r"got the class ReLU; write ReLU\(\)"):
        nn.Sequential(nn.Linear(2, 2), nn.ReLU)
