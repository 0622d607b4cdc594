"""What a step closes over: a change of it is noticed at the next call, or refused."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import Tensor, errors, nn, optim

ONE = smelt.ones(1)
rate = 2.0
model = nn.Linear(1, 1)


@dataclass
class Config:
    """Settings, in an object of no special kind."""

    rate: float = 2.0


@dataclass(slots=True)
class Slotted:
    """The same without a dict."""

    rate: float = 2.0


config = Config()


def scaled(x: Tensor) -> Tensor:
    """Reads a global, two calls away from the step."""
    return x * rate


def noticed(
    step: Callable[..., Tensor], before: float, change: Callable[[], Any], after: float
) -> None:
    """Asserts that a step follows a change, once, and needs no third version to go on."""
    compiled = smelt.compile(step)
    assert compiled(ONE).item() == before
    assert compiled(ONE).item() == before
    assert compiled.traces == 1
    change()
    assert compiled(ONE).item() == after
    assert compiled(ONE).item() == after
    assert compiled.traces == 2


def test_a_number_in_a_cell() -> None:
    scale = 2.0

    def change() -> None:
        nonlocal scale
        scale = 3.0

    noticed(lambda x: x * scale, 2, change, 3)


def test_equal_numbers_are_the_same() -> None:
    scale = 2.0
    compiled = smelt.compile(lambda x: x * scale)
    compiled(ONE)
    scale = float("2.0")
    compiled(ONE)
    assert compiled.traces == 1
    scale = 2  # not the same: an int
    compiled(ONE)
    assert compiled.traces == 2


def test_a_version_is_found_again() -> None:
    scale = 2.0
    compiled = smelt.compile(lambda x: x * scale)
    for scale in (2.0, 3.0, 2.0, 3.0):
        assert compiled(ONE).item() == scale
    assert compiled.traces == 2


def test_a_global_of_a_function_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    noticed(lambda x: scaled(x) + 1, 3, lambda: monkeypatch.setitem(globals(), "rate", 3.0), 4)


def test_a_function_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    other = staticmethod(lambda x: x * 5).__func__
    noticed(lambda x: scaled(x), 2, lambda: monkeypatch.setitem(globals(), "scaled", other), 5)


def test_a_model_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    new = nn.Linear(1, 1)
    before, after = model(ONE).item(), new(ONE).item()
    change = functools.partial(monkeypatch.setitem, globals(), "model", new)
    noticed(lambda x: model(x), before, change, after)


def test_an_attribute_of_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    noticed(lambda x: x * config.rate, 2, lambda: monkeypatch.setattr(config, "rate", 3.0), 3)


def test_an_attribute_in_a_slot() -> None:
    slotted = Slotted()
    noticed(lambda x: x * slotted.rate, 2, lambda: setattr(slotted, "rate", 3.0), 3)


def test_an_attribute_behind_others() -> None:
    holder = Config()
    holder.inner = Config()
    noticed(lambda x: x * holder.inner.rate, 2, lambda: setattr(holder.inner, "rate", 3.0), 3)
    noticed(lambda x: x * holder.inner.rate, 3, lambda: setattr(holder, "inner", Config(7.0)), 7)


def test_attributes_of_the_object_whose_method_is_compiled() -> None:
    class Trainer:
        rate = 2.0

        @property
        def twice(self) -> float:
            return self.rate * 2

        def helper(self, x: Tensor) -> Tensor:
            return x * self.twice

        @smelt.compile
        def step(self, x: Tensor) -> Tensor:
            return self.helper(x)

    trainer, other = Trainer(), Trainer()
    assert trainer.step(ONE).item() == 4
    trainer.rate = 3.0
    assert trainer.step(ONE).item() == 6
    assert other.step(ONE).item() == 4


def test_attributes_in_inner_functions_and_comprehensions() -> None:
    holder = Config()

    def step(x: Tensor) -> Tensor:
        def inner(x: Tensor) -> Tensor:
            return x * holder.rate

        return sum([inner(x) for _ in range(2)], x)

    noticed(step, 5, lambda: setattr(holder, "rate", 3.0), 7)


def test_partial_functions_and_callable_objects() -> None:
    class Scaler:
        def __init__(self) -> None:
            self.rate = 2.0

        def __call__(self, x: Tensor) -> Tensor:
            return x * self.rate

    scaler = Scaler()
    noticed(functools.partial(scaler), 2, lambda: setattr(scaler, "rate", 3.0), 3)


@pytest.mark.parametrize("kind", [list, dict])
def test_items(kind: type) -> None:
    items: Any = [smelt.full((1,), 2.0)] if kind is list else {0: smelt.full((1,), 2.0)}

    def change() -> None:
        items[0] = smelt.full((1,), 3.0)

    noticed(lambda x: x * items[0], 2, change, 3)


def test_nested_items() -> None:
    settings = {"optimizer": {"rates": [1.0, 2.0]}}

    def change() -> None:
        settings["optimizer"]["rates"][1] = 3.0

    noticed(lambda x: x * settings["optimizer"]["rates"][1], 2, change, 3)


def test_arrays() -> None:
    array = np.full(1, 2.0, np.float32)

    def change() -> None:
        array[0] = 3.0

    noticed(lambda x: x * array, 2, change, 3)
    holder = {"array": np.full(1, 2.0)}  # converted on the way
    noticed(
        lambda x: x * smelt.tensor(holder["array"], dtype=smelt.float32),
        2,
        lambda: holder["array"].fill(3.0),
        3,
    )


def test_attributes_of_modules_and_their_settings() -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = Config()

        def forward(self, x: Tensor) -> Tensor:
            return x * self.config.rate

    layer = Layer()
    noticed(layer, 2, lambda: setattr(layer.config, "rate", 3.0), 3)
    stack = nn.Sequential(layer)
    noticed(lambda x: stack(x), 3, lambda: setattr(layer.config, "rate", 4.0), 4)


def test_attributes_of_arrays_and_tensors_are_no_settings() -> None:
    array, weight = np.ones((2, 3), np.float32), nn.Parameter(smelt.ones(3))
    compiled = smelt.compile(lambda x: x * array.shape[0] + array.T.sum() + weight.shape[0])
    assert compiled(ONE).item() == 11
    compiled(ONE)
    assert compiled.traces == 1


def test_what_is_not_read_does_not_matter() -> None:
    holder = Config()
    holder.other = 1
    compiled = smelt.compile(lambda x: x * holder.rate)
    compiled(ONE)
    holder.other = 2
    compiled(ONE)
    assert compiled.traces == 1


# --- what the step itself changes -----------------------------------------------------------------


def test_a_counter_that_the_step_reads_and_changes() -> None:
    count = 0

    def step(x: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return x * count

    with pytest.raises(errors.TraceError, match=r"gives 'count' another value \(0 -> 1\)"):
        smelt.compile(step)(ONE)


class Stateful(nn.Module):
    """Changes itself in one of several ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.calls, self.layer, self.hidden = 0, None, smelt.zeros(1)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        match self.way:
            case "count":
                self.calls += 1
            case "layer":
                if self.layer is None:
                    self.layer = nn.Linear(1, 1)
                return self.layer(x)
            case "hidden":
                self.hidden = self.hidden + x
                return self.hidden
            case "stash":
                self.activations = x * 2  # for whoever looks at it after an eager call
            case "append":
                self.seen.append(x)
        return x


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("count", "gives 'calls' of a Stateful another value"),
        ("layer", "a Parameter cannot be made inside a compiled step"),
        ("hidden", "gives 'hidden' of a Stateful another value"),
    ],
)
def test_a_module_that_changes_what_it_reads(way: str, words: str) -> None:
    module = Stateful(way)
    with pytest.raises(errors.TraceError, match=words):
        smelt.compile(lambda x: module(x))(ONE)


@pytest.mark.parametrize("way", ["stash", "append"])
def test_side_effects_happen_once(way: str) -> None:
    module = Stateful(way)
    compiled = smelt.compile(lambda x: module(x) * 2)
    assert compiled(ONE).item() == compiled(ONE).item() == 2
    assert compiled.traces == 1
    assert len(module.seen) == (way == "append")


def test_what_was_made_before_is_no_change() -> None:
    module = Stateful("layer")
    wanted = module(ONE)
    assert smelt.compile(module)(ONE).item() == pytest.approx(wanted.item())


def test_training_mode_may_change_within_a_step() -> None:
    layer = nn.Dropout(0.5)
    weight = nn.Parameter(smelt.ones(4))
    opt = optim.SGD([weight], lr=0.1)

    @smelt.compile
    def step() -> Tensor:
        layer.eval()
        y = layer(weight).sum()
        layer.train()
        opt.zero_grad()
        (y + layer(weight).sum()).backward()
        opt.step()
        return y

    step()
    step()
    assert step.traces == 1


def test_the_warning_of_many_versions_names_what_changed() -> None:
    rate = 0.0
    step = smelt.compile(lambda x: x * rate)
    for rate in map(float, range(8)):
        assert step(ONE).item() == rate
    rate = 8.0
    with pytest.warns(UserWarning, match=r"'rate', which the step reads, is not what it was \(7"):
        assert step(ONE).item() == rate
