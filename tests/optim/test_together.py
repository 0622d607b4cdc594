"""Small parameters are updated together, with the bits of each by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import smelt
from smelt import Tensor, optim
from smelt.optim.optimizer import Optimizer

MADE = [
    lambda params: optim.Adam(params, lr=0.1, weight_decay=0.01),
    lambda params: optim.AdamW(params, lr=0.1, amsgrad=True),
    lambda params: optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True),
    lambda params: optim.RMSprop(params, lr=0.1, centered=True, momentum=0.5),
    lambda params: optim.Adagrad(params, lr=0.1, lr_decay=0.1, maximize=True),
    lambda params: optim.Adamax(params, lr=0.1, weight_decay=0.01),
    lambda params: optim.Adadelta(params, lr=0.1),
    lambda params: optim.RAdam(params, lr=0.1),
    lambda params: optim.Rprop(params, lr=0.1),
]


def parameters() -> list[Tensor]:
    random = np.random.default_rng(0)
    kinds = ((), "float32"), ((3,), "float32"), ((2, 5), "float64"), ((0, 2), "float32")
    more = ((200, 100), "float32"), ((4,), "bfloat16"), ((7,), "float64")
    return [
        smelt.tensor(random.normal(size=shape)).to(getattr(smelt, kind)).requires_grad_()
        for shape, kind in (*kinds, *more)
    ]


def trained(make: Any, left_out: int | None = None) -> list[bytes]:
    """Returns parameters and moments after some steps."""
    params = parameters()
    optimizer: Optimizer = make(params)
    random = np.random.default_rng(1)
    for step in range(4):
        for number, x in enumerate(params):
            g = smelt.tensor(random.normal(size=x.shape)).to(x.dtype)
            x.grad = None if number == left_out and step == 1 else g
        optimizer.step()
    moments = [m for x in params for m in optimizer.state[x].values()]
    return [tensor.numpy().tobytes() for tensor in (*params, *moments)]


@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("left_out", [None, 1])
def test_the_bits_are_those_of_each_by_itself(
    make: Any, left_out: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = trained(make, left_out)
    monkeypatch.setattr("smelt.optim.together.SMALL", -1)
    assert trained(make, left_out) == together


class Normalized(optim.SGD):
    """Steps of one length for each parameter: not elementwise."""

    def update(self, x: Tensor, g: Tensor, state: Any, group: Any, *scalars: Any) -> None:
        x.copy_(x - group["lr"] * g / g.norm())


def test_other_mathematics_see_each_parameter_by_itself() -> None:
    assert not Normalized.is_elementwise
    params = [smelt.zeros(2).requires_grad_(), smelt.zeros(3).requires_grad_()]
    for x in params:
        x.grad = smelt.ones(x.shape)
    Normalized(params, lr=1.0).step()
    for x in params:
        assert x.norm().item() == pytest.approx(1.0, rel=1e-6)


def test_a_change_is_noticed_by_histories() -> None:
    params = [smelt.ones(2).requires_grad_() for _ in range(2)]
    loss = (params[0] * params[1]).sum()
    for x in params:
        x.grad = smelt.ones(2)
    optim.SGD(params, lr=0.1).step()
    with pytest.raises(smelt.errors.GradientError, match="changed in place"):
        loss.backward()
