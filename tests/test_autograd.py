"""Gradients of tensors: `autograd.grad`, hooks on tensors and on modules, eagerly and compiled."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import smelt
from smelt import autograd, nn, optim
from smelt.errors import ArgumentError, ArgumentTypeError, GradientError, ShapeError
from smelt.tracing import hooks


def test_gradients_of_tensors() -> None:
    x = smelt.tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    loss = (y * y).sum()
    of_x, of_y = autograd.grad(loss, [x, y], create_graph=True)
    assert of_x.tolist() == [4, 32]
    assert of_y.tolist() == [2, 8]
    assert x.grad is None
    assert autograd.grad(of_x.sum(), x)[0].tolist() == [12, 48]
    both = autograd.grad([y, x], x, [smelt.ones(2), smelt.ones(2)])
    assert both[0].tolist() == [3, 5]
    assert autograd.grad(y, y, smelt.ones(2))[0].tolist() == [1, 1]


def test_gradients_of_what_was_not_used() -> None:
    x, z = (smelt.ones(2, requires_grad=True) for _ in range(2))
    loss = (x * 3).sum()
    with pytest.raises(GradientError, match=r"input 1 of shape \(2,\).*allow_unused"):
        autograd.grad(loss, [x, z])
    assert autograd.grad(loss, [x, z], allow_unused=True)[1] is None
    assert autograd.grad(loss, (x, z), materialize_grads=True)[1].tolist() == [0, 0]
    with pytest.raises(GradientError, match="an output of shape"):
        autograd.grad(smelt.ones(()), x)
    with pytest.raises(GradientError, match="an input of shape"):
        autograd.grad(loss, smelt.ones(2))
    with pytest.raises(ShapeError, match="grad: the loss must be one number"):
        autograd.grad(x * 2, x)
    with pytest.raises(ArgumentError, match=r"smelt\.grad takes a function"):
        autograd.grad(lambda x: x, x)
    with pytest.raises(ArgumentError, match="got 1 for 2"):
        autograd.grad([loss, loss], x, [None])


def test_a_gradient_penalty_compiled_is_that_of_eager() -> None:
    weight = nn.Parameter(smelt.tensor([[0.5, -1.0], [2.0, 0.25]]))
    optimizer = optim.SGD([weight], lr=0.1)

    def step(x: smelt.Tensor) -> smelt.Tensor:
        x = x.detach().requires_grad_()
        value = (x @ weight).tanh().sum()
        (slope,) = autograd.grad(value, x, create_graph=True)
        loss = ((slope.norm(dim=1) - 1) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    start = weight.detach().clone()
    x = smelt.tensor([[0.3, 0.7], [-0.2, 0.4]])
    eager = [step(x).item() for _ in range(3)]
    with smelt.no_grad():
        weight.copy_(start)
    compiled = smelt.compile(step)
    assert [compiled(x).item() for _ in range(3)] == pytest.approx(eager, rel=1e-5)


def test_hooks_see_and_replace_gradients() -> None:
    x = smelt.ones(2, requires_grad=True)
    y = x * 2
    seen: list[Any] = []
    handle = y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    y.retain_grad()
    x.register_hook(lambda g: g + 1)
    (y * 3).sum().backward()
    assert seen == [[3, 3]]
    assert y.grad.tolist() == [30, 30]
    assert x.grad.tolist() == [61, 61]
    handle.remove()
    handle.remove()
    assert autograd.grad((y * 3).sum(), [x, y])[0].tolist() == [61, 61]
    assert len(seen) == 1


def test_hooks_of_a_wrong_kind_are_refused() -> None:
    x = smelt.ones(2, requires_grad=True)
    with pytest.raises(GradientError, match="does not require a gradient|requires no gradient"):
        smelt.ones(2).register_hook(lambda g: g)
    with pytest.raises(GradientError, match="retain_grad"):
        smelt.ones(2).retain_grad()
    with pytest.raises(ArgumentTypeError, match="hook must be a function"):
        x.register_hook(3)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(ShapeError, match=r"a gradient of shape \(2,\), got \(\)"):
        (x * 2).sum().backward()


def test_hooks_end_with_their_tensors() -> None:
    gc.collect()
    before = len(hooks._of_tensor)
    x = smelt.ones(2, requires_grad=True)
    x.register_hook(lambda g: g)
    assert len(hooks._of_tensor) == before + 1
    del x
    gc.collect()
    assert len(hooks._of_tensor) == before


def test_hooks_are_part_of_a_compiled_step() -> None:
    layer = nn.Linear(2, 1, bias=False)
    optimizer = optim.SGD(layer.parameters(), lr=1.0)

    @smelt.compile
    def step(x: smelt.Tensor) -> smelt.Tensor:
        h = layer(x)
        h.register_hook(lambda g: g * 2)
        optimizer.zero_grad()
        h.sum().backward()
        optimizer.step()
        return h

    with smelt.no_grad():
        layer.weight.zero_()
    x = smelt.tensor([[1.0, 2.0]])
    step(x)
    assert layer.weight.tolist() == [[-2, -4]]
    handle = layer.weight.register_hook(lambda g: g * 0 + 1)
    step(x)
    assert layer.weight.tolist() == [[-3, -5]]
    handle.remove()
    step(x)
    assert layer.weight.tolist() == [[-5, -9]]


def test_hooks_before_and_behind_a_module() -> None:
    layer = nn.Identity()
    before = layer.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    behind = layer.register_forward_hook(lambda module, inputs, output: output + 1)
    x = smelt.ones(2)
    assert layer(x).tolist() == smelt.compile(layer.__call__)(x).tolist() == [3, 3]
    before.remove()
    behind.remove()
    assert layer(x).tolist() == [1, 1]
    with pytest.raises(ArgumentTypeError, match="Identity: a hook must be a function"):
        layer.register_forward_hook(None)


def test_hooks_on_the_gradients_of_a_module() -> None:
    layer = nn.Linear(2, 1, bias=False)
    seen: list[Any] = []

    def hook(module: nn.Module, inputs: Any, outputs: Any) -> Any:
        seen.append((inputs[0].tolist(), outputs[0].tolist()))
        return (inputs[0] * 0,)

    handle = layer.register_full_backward_hook(hook)
    with smelt.no_grad():
        layer.weight.fill_(3)
    x = smelt.ones(1, 2, requires_grad=True)
    (layer(x) * 2 + x.sum()).sum().backward()
    assert seen == [([[6, 6]], [[2]])]
    assert x.grad.tolist() == [[1, 1]]
    assert layer.weight.grad.tolist() == [[2, 2]]
    handle.remove()
    layer(x).sum().backward()
    assert len(seen) == 1


def test_several_inputs_have_gradients_that_a_hook_only_sees() -> None:
    layer = nn.Bilinear(1, 1, 1)
    seen: list[Any] = []
    handle = layer.register_full_backward_hook(lambda m, i, o: seen.append((len(i), i[1] is None)))
    x, y = (smelt.ones(1, 1, requires_grad=True) for _ in range(2))
    layer(x, y).sum().backward()
    layer(x, smelt.ones(1, 1)).sum().backward()
    assert seen == [(2, False), (2, True)]
    handle.remove()
    layer.register_full_backward_hook(lambda m, i, o: i)
    with pytest.raises(GradientError, match="exactly one input"):
        layer(x, y).sum().backward()
