"""A compiled function within eager code: differentiable from outside, in every mode and order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import Tensor, errors, nn, optim, tree
from smelt.compiler.frontend.residuals import choose_residuals
from smelt.ir.graph import ARGUMENT, Node
from smelt.ops.contraction import matmul
from smelt.ops.elementwise import exp, mul

Function = Callable[..., Any]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return smelt.tensor(np.random.default_rng(seed).standard_normal(shape))


def cumulated(x: Tensor) -> Tensor:
    last, sums = smelt.scan(lambda total, row: (smelt.tanh(total + row),) * 2, x[0] * 0, x)
    return last.sum() + (sums**2).sum()


def branching(x: Tensor) -> Tensor:
    return smelt.cond(x.sum() > 0, lambda x: (x**3).sum(), lambda x: smelt.exp(x).sum(), x)


def partly(x: Tensor) -> Tensor:
    with smelt.no_grad():
        scale = smelt.exp(x)
    return (scale * x).sum() + (x.detach() * x**2).sum()


FUNCTIONS: dict[str, Function] = {
    "elementwise": lambda x: (smelt.sin(x) * x**3).sum(),
    "product": lambda x: (smelt.tanh(x @ x.T) @ x).sum(),
    "softmax": lambda x: (F.softmax(x, -1) * smelt.log(1 + x**2)).sum(),
    "slices": lambda x: (x[1:] * x[:-1]).sum() + smelt.cat([x, x * x]).sum(),
    "convolution": lambda x: F.conv1d(x[None], x[:2, :3][:, None].expand(2, 5, 3)).square().sum(),
    "sorted": lambda x: (smelt.sort(x, -1)[0] * smelt.arange(4)).sum(),
    "scan": cumulated,
    "cond": branching,
    "partly": partly,
}


@pytest.fixture(params=FUNCTIONS)
def both(request: pytest.FixtureRequest) -> tuple[Function, Function]:
    """A function, and the same one compiled."""
    function = FUNCTIONS[request.param]
    return function, smelt.compile(function)


def agree(got: Any, want: Any, rtol: float = 1e-10) -> None:
    pairs = zip(tree.flatten(got)[0], tree.flatten(want)[0], strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=rtol, atol=rtol)


# --- derivatives ----------------------------------------------------------------------------------


def test_gradients_agree_at_every_call(both: tuple[Function, Function]) -> None:
    function, compiled = both
    for seed in range(3):  # the first gradient splits forward and backward pass, later ones do not
        x = normal(5, 4, seed=seed)
        agree(smelt.value_and_grad(compiled)(x), smelt.value_and_grad(function)(x))
    assert compiled.traces == 1


def test_gradients_of_gradients_agree(both: tuple[Function, Function]) -> None:
    function, compiled = both
    x, v = normal(5, 4), normal(5, 4, seed=1)

    def second(f: Function) -> Tensor:
        return smelt.grad(lambda x: (smelt.grad(f)(x) * v).sum())(x)

    agree(second(compiled), second(function))


def test_third_order_agrees() -> None:
    function = FUNCTIONS["elementwise"]

    def third(f: Function) -> Tensor:
        def second(x: Tensor) -> Tensor:
            return smelt.grad(lambda x: smelt.grad(f)(x).sum())(x).sum()

        return smelt.grad(second)(normal(6))

    agree(third(smelt.compile(function)), third(function))


def test_forward_mode_agrees(both: tuple[Function, Function]) -> None:
    function, compiled = both
    x, v = normal(5, 4), normal(5, 4, seed=1)
    agree(smelt.jvp(compiled, (x,), (v,)), smelt.jvp(function, (x,), (v,)))


def test_forward_over_reverse_agrees(both: tuple[Function, Function]) -> None:
    function, compiled = both
    x, v = normal(5, 4), normal(5, 4, seed=1)

    def product(f: Function) -> Tensor:
        return smelt.jvp(smelt.grad(f), (x,), (v,))[1]

    agree(product(compiled), product(function))


def test_pullbacks_work_on_batches(both: tuple[Function, Function]) -> None:
    function, compiled = both
    x, cotangents = normal(5, 4), normal(3)

    def pulled(f: Function) -> Tensor:
        return smelt.vmap(smelt.vjp(f, x)[1])(cotangents)[0]

    agree(pulled(compiled), pulled(function))


def test_batches_of_examples_agree(both: tuple[Function, Function]) -> None:
    function, compiled = both
    x = normal(2, 5, 4)
    agree(smelt.vmap(smelt.grad(compiled))(x), smelt.vmap(smelt.grad(function))(x))


# --- what a function takes and returns ------------------------------------------------------------


def test_trees_numbers_and_settings() -> None:
    def function(pair: dict[str, Tensor], scale: Tensor, kind: str) -> dict[str, Any]:
        y = pair["a"] @ pair["b"] * scale
        return {"y": y if kind == "plain" else y.exp(), "most": y.argmax(), "kind": kind}

    compiled = smelt.compile(function)
    for kind in ("plain", "exp"):
        found = []
        for f in (function, compiled):
            pair = {"a": normal(3, 4).requires_grad_(), "b": normal(4, 2).requires_grad_()}
            result = f(pair, smelt.tensor(2.0, dtype=smelt.float64), kind=kind)
            assert result["kind"] == kind
            assert not result["most"].requires_grad
            result["y"].sum().backward()
            found.append([pair["a"].grad, pair["b"].grad])
        agree(*found)


def test_each_result_has_its_own_cotangent() -> None:
    def function(x: Tensor) -> tuple[Tensor, Tensor]:
        return x**2, x.exp()

    compiled, found = smelt.compile(function), []
    for f in (function, compiled, compiled):
        x = normal(4).requires_grad_()
        first, second = f(x)
        first.sum().backward()  # the second result plays no part: another backward pass
        (f(x)[0] * 2 + second).sum().backward()
        found.append(x.grad)
    agree(found[1:], [found[0]] * 2)


def test_an_argument_that_is_returned() -> None:
    x = normal(3).requires_grad_()
    same, twice = smelt.compile(lambda x: (x, x * 2))(x)
    (same * twice).sum().backward()
    agree(x.grad, 4 * x.detach())


def test_without_gradients_nothing_is_kept() -> None:
    weight = nn.Parameter(smelt.ones(3))
    compiled = smelt.compile(lambda x: x * weight)
    with smelt.no_grad():
        assert compiled(smelt.ones(3)).tape_entry is None
    assert compiled(smelt.ones(3)).requires_grad  # traced anew: there was no tape
    with smelt.no_grad():
        assert not compiled(smelt.ones(3)).requires_grad  # not so this time
    assert compiled.traces == 2


def test_a_training_step_returns_no_history() -> None:
    weight = nn.Parameter(smelt.ones(()))
    opt = optim.SGD([weight], lr=0.1)

    @smelt.compile
    def step() -> Tensor:
        opt.zero_grad()
        loss = weight**2
        loss.backward()
        opt.step()
        return loss

    loss = step()
    assert not loss.requires_grad
    with pytest.raises(errors.GradientError):
        loss.backward()


def test_a_parameter_that_changes_before_the_backward_pass() -> None:
    weight = nn.Parameter(normal(3))
    compiled = smelt.compile(lambda x: (x * weight**2).sum())
    loss = compiled(normal(3))
    with smelt.no_grad():
        weight.copy_(normal(3, seed=1))
    with pytest.raises(errors.GradientError, match="changed in place"):
        loss.backward()
    compiled(normal(3)).backward()  # what became of it since the trace does not matter
    agree(weight.grad, 2 * normal(3) * weight.detach())


def test_a_buffer_that_the_function_changes_and_needs() -> None:
    count = smelt.zeros(3, dtype=smelt.float64)

    def function(x: Tensor) -> Tensor:
        y = (x * count).sum()
        count.copy_(count + 1)
        return y

    x = normal(3).requires_grad_()
    for f in (function, smelt.compile(function)):
        with pytest.raises(errors.GradientError, match="changed in place"):
            f(x).backward()


# --- modules --------------------------------------------------------------------------------------


class Model(nn.Module):
    """Layers with states: statistics, and a generator's."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8, bias=False),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(8, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def trained(way: str, steps: int = 100) -> dict[str, Tensor]:
    """Returns the states after some steps, of which a part is compiled."""
    smelt.manual_seed(7)
    model = Model().to(smelt.float64)
    opt = optim.Adam(model.parameters(), lr=0.01)
    x, y = normal(16, 4), smelt.tensor(np.arange(16) % 3)
    forward = smelt.compile(model) if way == "model" else model
    criterion = smelt.compile(F.cross_entropy) if way == "loss" else F.cross_entropy

    def step(x: Tensor, y: Tensor) -> Tensor:
        opt.zero_grad()
        loss = criterion(forward(x), y)
        loss.backward()
        opt.step()
        return loss

    smelt.manual_seed(8)
    train = smelt.compile(step) if way == "step" else step
    for _ in range(steps):
        train(x, y)
    return model.state_dict()


def test_whatever_part_is_compiled_training_is_the_same() -> None:
    wanted = trained("nothing")
    for way in ("model", "loss", "step"):
        states = trained(way)
        for name, state in wanted.items():
            np.testing.assert_allclose(states[name], state, rtol=1e-10, atol=1e-10, err_msg=way)


def test_a_compiled_module_is_still_one() -> None:
    model = Model()
    compiled = smelt.compile(model)
    assert [id(p) for p in compiled.parameters()] == [id(p) for p in model.parameters()]
    compiled.eval()
    assert not model.training
    agree(compiled(smelt.ones(2, 4)), model(smelt.ones(2, 4)), 1e-5)
    model.train()
    compiled(smelt.ones(2, 4))
    model.eval()
    agree(compiled(smelt.ones(2, 4)), model(smelt.ones(2, 4)), 1e-5)
    assert compiled.traces == 2
    with pytest.raises(AttributeError, match="misspelled"):
        compiled.misspelled()


def test_a_backbone_gets_its_gradient_behind_an_eager_head() -> None:
    found = []
    for way in (smelt.compile, lambda module: module):
        smelt.manual_seed(1)
        backbone, head = nn.Linear(4, 5).to(smelt.float64), nn.Linear(5, 2).to(smelt.float64)
        fast = way(backbone)
        for seed in range(2):
            loss = F.cross_entropy(head(fast(normal(3, 4, seed=seed))), smelt.tensor([0, 1, 1]))
            loss.backward()
        found.append([p.grad for p in (*backbone.parameters(), *head.parameters())])
    agree(*found)


def test_a_step_within_a_step_is_part_of_it() -> None:
    inner = smelt.compile(lambda x: smelt.sin(x) * x)

    @smelt.compile
    def outer(x: Tensor) -> Tensor:
        return smelt.grad(lambda x: inner(x).sum())(x)

    x = normal(4)
    agree(outer(x), smelt.sin(x) + x * smelt.cos(x))
    assert inner.traces == 0


def test_a_history_goes_on_within_a_step() -> None:
    weight = nn.Parameter(normal(3))
    loss = smelt.compile(lambda x: (x * weight**2).sum())(normal(3))

    @smelt.compile
    def backward() -> None:
        loss.backward()

    backward()
    agree(weight.grad, 2 * normal(3) * weight.detach())


# --- residuals ------------------------------------------------------------------------------------


def node(op: Any, *inputs: Node, shape: tuple[int, ...]) -> Node:
    return Node(op, inputs, {"number": 0} if op is ARGUMENT else {}, shape, smelt.float32)


def test_what_is_cheap_is_computed_again() -> None:
    x, w, g = (node(ARGUMENT, shape=(8, 8)) for _ in range(3))
    product = node(matmul, x, w, shape=(8, 8))
    square = node(mul, product, product, shape=(8, 8))
    costly = node(exp, product, shape=(8, 8))
    roots = [node(mul, g, operand, shape=(8, 8)) for operand in (square, product, costly)]
    assert choose_residuals(roots, [g]) == [product, costly]


def test_leaves_are_not_kept() -> None:
    x, g = (node(ARGUMENT, shape=(8,)) for _ in range(2))
    double = node(mul, x, x, shape=(8,))
    assert choose_residuals([node(mul, g, double, shape=(8,)), x], [g]) == []
