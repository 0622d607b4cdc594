"""Training with 16-bit storage: what is rounded, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train
from smelt.errors import ArgumentError, StateError

numbers = np.random.default_rng(0)
X = numbers.normal(size=(64, 4)).astype(np.float32)
Y = (X[:, 0] > X[:, 1]).astype(np.int64)


class Watched(nn.Module):
    """Notes in which dtypes it reads its parameters and its inputs while it is trained."""

    def __init__(self) -> None:
        self.rows = nn.ParameterList([smelt.eye(4)])
        self.first = nn.utils.weight_norm(nn.Linear(4, 8))
        self.norm = nn.BatchNorm1d(8)
        self.second = nn.Linear(8, 8)
        self.third = nn.Linear(8, 8)
        self.third.weight = self.second.weight  # one parameter at two places
        self.last = nn.Linear(8, 2)
        self.seen: set[str] = set()

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        hidden = self.norm(self.first(x @ self.rows[0])).relu()
        output = self.last(self.third(self.second(hidden)))
        if self.training:
            assert self.second.weight is self.third.weight
            read = (x, hidden, output, self.rows[0], self.second.weight, self.first.weight_g)
            self.seen |= {tensor.dtype.name for tensor in read}
        return output


def fitted(model: nn.Module, **options: Any) -> train.History:
    chosen = {"epochs": 4, "batch_size": 16, "progress": False, "precision": "bfloat16", **options}
    optimizer = optim.AdamW(model.parameters(), lr=0.02)
    history = train.fit(model, F.cross_entropy, optimizer, (X, Y), **chosen)
    assert not any(x.dtype.itemsize == 2 for x in optimizer.state_dict().values())
    return history


@pytest.mark.parametrize("compiled", [True, False])
def test_the_model_reads_16_bits_and_learns_in_32(compiled: bool) -> None:
    smelt.manual_seed(0)
    model = Watched()
    own = {name: id(parameter) for name, parameter in model.named_parameters()}
    with smelt.settings(compile=compiled):
        history = fitted(model, validation=(X, Y), metrics=["accuracy"], max_grad_norm=1.0)
        measured = train.evaluate(model, (X, Y), loss=F.cross_entropy)["loss"]  # in float32
    assert model.seen == {"bfloat16"}
    assert {x.dtype.name for x in model.parameters()} == {"float32"}
    assert {name: id(parameter) for name, parameter in model.named_parameters()} == own
    assert model.norm.running_mean.dtype is smelt.float32
    assert len(model.rows) == 1
    assert model.rows[0] is next(model.rows.parameters())
    assert history.epochs[-1].loss < history.epochs[0].loss
    assert measured == history.epochs[-1].held_out["loss"]


def test_small_updates_are_not_lost() -> None:
    """Half of a step between two neighbors in 16 bits would be rounded away, ever again."""
    model = nn.Linear(1, 1, bias=False)
    model.load_state_dict({"weight": np.ones((1, 1))})
    optimizer = optim.SGD(model.parameters(), lr=2.0**-12)
    data = np.ones((64, 1), np.float32), np.zeros((64, 1), np.float32)
    train.fit(
        model, lambda output, target: (output - target).sum(), optimizer, data, steps=64,
        batch_size=1, precision="bfloat16", progress=False,
    )  # fmt: skip
    assert model.weight.item() == 1 - 64 * 2.0**-12


def test_the_loss_is_not_rounded() -> None:
    model = nn.Linear(4, 2)
    step = train.training_step(
        model, optim.SGD(model.parameters(), lr=0.0), F.cross_entropy, precision=smelt.bfloat16
    )
    loss = step(X, Y)
    rounded = nn.Linear(4, 2)
    rounded.load_state_dict(model.state_dict())
    logits = rounded.bfloat16()(smelt.tensor(X).bfloat16()).float()
    assert loss.dtype is smelt.float32
    np.testing.assert_allclose(loss.item(), F.cross_entropy(logits, Y).item(), rtol=1e-6)


def test_it_comes_near_float32() -> None:
    losses = []
    for precision in ("bfloat16", "float32", None):
        smelt.manual_seed(0)
        history = fitted(Watched(), precision=precision, epochs=20)
        losses.append(history.epochs[-1].loss)
    assert losses[1] == losses[2]
    assert losses[0] == pytest.approx(losses[1], abs=0.03)
    assert losses[0] != losses[1]


def test_an_interrupted_trace_leaves_the_parameters() -> None:
    model = Watched()
    own = list(model.parameters())

    def fail(output: Any, target: Any) -> Any:
        raise ZeroDivisionError

    model.last.register_forward_pre_hook(lambda module, given: fail(module, given))
    with pytest.raises(ZeroDivisionError):
        fitted(model)
    assert all(a is b for a, b in zip(model.parameters(), own, strict=True))
    assert {x.dtype.name for x in model.parameters()} == {"float32"}


def test_activations_take_half_the_memory() -> None:
    def peak(precision: str) -> int:
        layers = [layer for _ in range(4) for layer in (nn.Linear(128, 128), nn.GELU())]
        model = nn.Sequential(*layers, nn.Linear(128, 2))
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        step = train.training_step(model, optimizer, F.cross_entropy, precision=precision)
        step(np.ones((2048, 128), np.float32), np.zeros(2048, np.int64))
        return step.memory().arena

    assert peak("bfloat16") < 0.7 * peak("float32")


@pytest.mark.parametrize(
    ("precision", "message"),
    [
        (
            "float16",
            "precision='float16' is not supported; .*; gradients leave the range of float16",
        ),
        ("bf16-mixed", "give 'float32' or 'bfloat16'"),
        (32, "precision=32"),
    ],
)
def test_other_precisions_are_refused(precision: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        fitted(nn.Linear(4, 2), precision=precision)


def test_a_loss_within_the_model_is_refused() -> None:
    model = nn.Linear(4, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ArgumentError, match="needs loss=, a function of"):
        train.fit(model, None, optimizer, (X, Y), epochs=1, precision="bfloat16")


def test_a_training_goes_on_in_its_own_precision(tmp_path: Path) -> None:
    fitted(nn.Linear(4, 2), run=tmp_path / "run")
    with pytest.raises(StateError, match="precision=bfloat16, and this one has None"):
        fitted(nn.Linear(4, 2), run=tmp_path / "run", resume=True, precision=None)
