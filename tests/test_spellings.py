"""PyTorch's words for arguments mean what Smelt's own do, or are refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.data import DataLoader
from smelt.errors import ArgumentError, ArgumentTypeError

x = smelt.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
same = [
    (lambda: x.sum(axis=0), lambda: x.sum(0)),
    (lambda: smelt.sum(input=x, axis=1, keepdims=True), lambda: x.sum(1, True)),
    (lambda: smelt.cat(tensors=[x, x], axis=1), lambda: smelt.cat([x, x], 1)),
    (lambda: smelt.stack([x, x], axis=0), lambda: smelt.stack([x, x])),
    (lambda: x.permute(dims=(1, 0)), lambda: x.permute(1, 0)),
    (lambda: smelt.permute(input=x, dims=(1, 0)), lambda: x.permute(1, 0)),
    (lambda: smelt.reshape(input=x, shape=(3, 2)), lambda: x.reshape(3, 2)),
    (lambda: x.view(size=(3, 2)), lambda: x.reshape(3, 2)),
    (lambda: x.repeat(repeats=(2, 1)), lambda: x.repeat(2, 1)),
    (lambda: smelt.zeros(size=(2, 3)), lambda: smelt.zeros(2, 3)),
    (lambda: smelt.full(size=(2,), fill_value=1.5), lambda: smelt.full((2,), 1.5)),
    (lambda: smelt.zeros(2, device="cpu", layout=None), lambda: smelt.zeros(2)),
    (lambda: smelt.ones(2, device=smelt.device("cpu"), out=None), lambda: smelt.ones(2)),
    (lambda: smelt.ones_like(input=x, memory_format=None), lambda: smelt.ones_like(x)),
    (lambda: smelt.matmul(input=x, other=x.mT), lambda: x @ x.mT),
    (lambda: smelt.mm(input=x, mat2=x.mT), lambda: x @ x.mT),
    (lambda: smelt.pow(input=x, exponent=2), lambda: x**2),
    (lambda: smelt.maximum(input=x, other=x + 1), lambda: x + 1),
    (lambda: smelt.clamp(input=x, min=2), lambda: x.clamp(2)),
    (lambda: x.std(unbiased=False), lambda: x.std(correction=0)),
    (lambda: x.var(dim=0, unbiased=True), lambda: x.var(0)),
    (lambda: smelt.add(x, x, alpha=2), lambda: x * 3),
    (lambda: smelt.sub(x, x, alpha=2), lambda: -x),
    (lambda: smelt.div(x, 2, rounding_mode="floor"), lambda: x // 2),
    (lambda: smelt.div(-x, 2, rounding_mode="trunc"), lambda: (-x / 2).trunc()),
    (lambda: x.sum(dtype=smelt.float64), lambda: x.double().sum()),
    (lambda: x.long().mean(dtype=smelt.float32), lambda: x.mean()),
    (lambda: x.cumsum(1, dtype=smelt.int64), lambda: x.long().cumsum(1)),
    (lambda: F.softmax(x, dim=1, dtype=smelt.float64), lambda: x.double().softmax(1)),
    (lambda: F.relu(input=-x, inplace=True), lambda: (-x).relu()),
    (lambda: F.linear(input=x, weight=x), lambda: x @ x.mT),
    (lambda: smelt.sort(x, dim=1, stable=True).values, lambda: x),
    (lambda: smelt.norm(input=x, p=2), lambda: x.norm()),
    (lambda: x.softmax(axis=1), lambda: x.softmax(1)),
    (lambda: F.one_hot(smelt.tensor([0, 2])), lambda: F.one_hot(smelt.tensor([0, 2]), 3)),
    (lambda: nn.Linear(3, 1, device="cpu").forward(x).shape, lambda: (2, 1)),
    (lambda: nn.ReLU(True)(-x), lambda: (-x).relu()),
    (lambda: nn.LeakyReLU(0.5, True)(-x), lambda: x * -0.5),
    (lambda: F.leaky_relu(-x, 0.5, True), lambda: x * -0.5),
    (lambda: nn.ReLU(inplace=True)(input=-x), lambda: (-x).relu()),
]


@pytest.mark.parametrize("number", range(len(same)))
def test_a_call_in_other_words_is_the_same_call(number: int) -> None:
    given, wanted = (function() for function in same[number])
    assert np.array_equal(given, wanted)
    if isinstance(given, smelt.Tensor):
        assert given.dtype is wanted.dtype


def test_other_words_mean_the_same_in_a_compiled_step() -> None:
    def function(x: smelt.Tensor) -> smelt.Tensor:
        y = smelt.add(input=x, other=x, alpha=0.5).sum(axis=0, keepdims=True, dtype="float64")
        return y + smelt.zeros(size=(1, 3), device=x.device)

    assert smelt.compile(function)(x).tolist() == function(x).tolist() == [[7.5, 10.5, 13.5]]


def test_requires_grad_is_honored_where_tensors_are_made() -> None:
    assert smelt.linspace(0, 1, 3, requires_grad=True).requires_grad
    assert smelt.randn_like(x, requires_grad=True).requires_grad
    assert not smelt.eye(2, requires_grad=False).requires_grad


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: smelt.zeros(2, device="cuda"), "no device 'cuda'.*CPU"),
        (lambda: smelt.zeros(2, device="cuda:1"), "no device 'cuda:1'"),
        (lambda: nn.Linear(2, 2, device="mps"), "no device 'mps'"),
        (lambda: smelt.device("cuda"), "no device 'cuda'"),
        (lambda: x.to(0), "no device 'cuda:0'"),
        (lambda: x.to("cuda"), "no device 'cuda'"),
        (lambda: smelt.sum(x, out=x), r"write out = sum\(\.\.\.\)"),
        (lambda: F.mse_loss(x, x, size_average=False), "reduction="),
        (lambda: DataLoader([1], batch_sampler=[[0]], shuffle=True), "leave these out"),
        (lambda: nn.Embedding(2, 2, sparse=True), "gradients are dense"),
        (lambda: nn.LSTM(2, 2, proj_size=1), "put a Linear behind"),
    ],
)
def test_what_has_no_meaning_says_what_to_write(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: smelt.sum(x, dimm=1), "dim"),
        (lambda: nn.Linear(2, 2, bais=True), "bias"),
        (lambda: optim.Adam([smelt.ones(1, requires_grad=True)], wieght_decay=1), "weight_decay"),
        (lambda: F.dropout(x, trainning=True), "training"),
        (lambda: smelt.zeros(2, dtyp="float32"), "dtype"),
    ],
)
def test_a_misspelled_keyword_gets_the_nearest(call: Callable[[], Any], name: str) -> None:
    with pytest.raises(ArgumentTypeError, match=f"did you mean '{name}'"):
        call()


@pytest.mark.parametrize(
    "name", [name for name in optim.__all__ if inspect.isclass(getattr(optim, name))]
)
def test_optimizers_take_what_concerns_kernels(name: str) -> None:
    kind = getattr(optim, name)
    if name in ("Optimizer", "Descent"):
        pytest.skip("no optimizer that is made so")
    weight = smelt.ones(1, requires_grad=True)
    kind([weight], lr=0.1, foreach=True, fused=None, capturable=False, differentiable=False)


def test_layers_without_a_bias() -> None:
    assert nn.BatchNorm1d(3, bias=False).bias is None
    assert nn.GroupNorm(1, 3, bias=False).bias is None


def test_a_step_with_a_closure() -> None:
    weight = smelt.ones(1, requires_grad=True)
    optimizer = optim.SGD([weight], lr=0.5)

    def closure() -> smelt.Tensor:
        optimizer.zero_grad()
        loss = (weight * weight).sum()
        loss.backward()
        return loss

    with smelt.no_grad():
        assert optimizer.step(closure).item() == 1
    assert weight.item() == 0
    with pytest.raises(ArgumentTypeError, match="closure must be a function"):
        optimizer.step(1.0)


def test_the_loader_takes_what_concerns_processes() -> None:
    loader = DataLoader(
        [smelt.ones(1)] * 3, 2, pin_memory=True, persistent_workers=True, sampler=None, timeout=0
    )
    assert [batch.shape for batch in loader] == [(2, 1), (1, 1)]
