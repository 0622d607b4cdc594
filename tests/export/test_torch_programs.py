"""What `from_torch` makes, without PyTorch: programs, arguments, and the module that runs them."""

from __future__ import annotations

import copy
import importlib.util
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import optim
from smelt.dtypes import float32, int64
from smelt.errors import ArgumentError, CompileError, DTypeError, MissingExtra, ShapeError
from smelt.export import from_torch
from smelt.export.torch.exported import Exported, Input, Missing, State, refuse
from smelt.export.torch.module import Part, TorchModule, named
from smelt.export.torch.program import Call, Program, Value
from smelt.export.torch.structure import TENSOR, Arguments, plain, rebuilt
from smelt.export.torch.table import RULES, reason, rule_of


def call(operator: str, *arguments: Any, **options: Any) -> Call:
    rule = rule_of(operator)
    assert rule is not None
    return Call(operator, rule, arguments, options, (), ("block", "layer"), "net.py:7")


def values(*numbers: Any) -> Any:
    return smelt.tensor(np.array(numbers, np.float32))


# --- programs -------------------------------------------------------------------------------------


def test_a_program_runs_in_order():
    first = call("aten.add.Tensor", Value(0), Value(1), alpha=2)
    second = call("aten.cat.default", [Value(2), Value(0)], -1)
    program = Program(2, (first, second), (Value(3), 5, [Value(2)]))
    joined, number, (added,) = program.run([values(1, 2), values(3, 4)])
    assert joined.tolist() == [7, 10, 1, 2]
    assert added.tolist() == [7, 10]
    assert number == 5


def test_an_error_names_module_and_line_of_the_original():
    program = Program(2, (call("aten.mm.default", Value(0), Value(1)),), (Value(2),))
    with pytest.raises(ShapeError) as caught:
        program.run([smelt.zeros(2, 3), smelt.zeros(2, 3)])
    assert "in module block.layer" in str(caught.value)
    assert "at net.py:7" in str(caught.value)


def test_a_graph_names_module_and_line_of_the_original():
    program = Program(1, (call("aten.exp.default", Value(0)),), (Value(1),))
    step = smelt.compile(lambda x: program.run([x])[0])
    step(values(1, 2))
    assert "net.py:7" in str(step.explain())


def test_bodies_are_programs():
    body = Program(1, (call("aten.mul.Tensor", Value(0), 3),), (Value(1),))
    same = Program(1, (), (Value(0),))
    branch = call("higher_order.cond", Value(1), body, same, [Value(0)])
    program = Program(2, (branch, call("_operator.getitem", Value(2), 0)), (Value(3),))
    for condition, wanted in ((True, [3, 6]), (smelt.tensor(False), [1, 2])):
        assert program.run([values(1, 2), condition])[0].tolist() == wanted


@pytest.mark.parametrize(
    ("operator", "arguments", "wanted"),
    [
        ("aten.rsub.Scalar", (values(1, 2), 5), [4, 3]),
        ("aten.div.Tensor_mode", (values(7, -7), 2, "floor"), [3, -4]),
        ("aten.slice.Tensor", (values(1, 2, 3), 0, 1, (1 << 63) - 1), [2, 3]),
        ("aten.slice.Tensor", (values(1, 2, 3), -1, 0, -1), [1, 2]),
        ("aten.sum.dim_IntList", (smelt.ones(2, 3), []), 6),
        ("aten.sum.dim_IntList", (smelt.ones(2, 3), [0]), [2, 2, 2]),
        ("aten.asinh.default", (values(0, 1e-6, -3),), np.arcsinh([0, 1e-6, -3])),
        ("aten.acosh.default", (values(1, 1.5, 30),), np.arccosh([1, 1.5, 30])),
        ("aten.atanh.default", (values(0, 1e-6, -0.5),), np.arctanh([0, 1e-6, -0.5])),
        ("aten.elu.default", (values(-1, 2), 2.0, 3.0), [3 * 2 * np.expm1(-1), 6]),
        ("aten.unfold.default", (values(1, 2, 3, 4), 0, 2, 1), [[1, 2], [2, 3], [3, 4]]),
        ("aten.full.default", ([2], 3), [3, 3]),
        ("aten.arange.start_step", (1, 7, 2), [1, 3, 5]),
        ("aten.masked_fill.Scalar", (values(1, 2), values(0, 1) > 0, 9), [1, 9]),
        ("aten.index.Tensor", (smelt.eye(2), [None, smelt.tensor([1, 0])]), [[0, 1], [1, 0]]),
        ("aten.signbit.default", (values(-1, 0, 2),), [True, False, False]),
    ],
)
def test_rules(operator, arguments, wanted):
    rule = rule_of(operator)
    assert rule is not None
    np.testing.assert_allclose(rule(*arguments).numpy(), wanted, rtol=1e-6)


def test_the_gradient_of_the_largest_goes_to_its_index():
    rule = rule_of("aten.max.dim")
    assert rule is not None
    gradient = smelt.grad(lambda x: rule(x, 1)[0].sum())(smelt.ones(2, 3))
    assert gradient.tolist() == [[1, 0, 0], [1, 0, 0]]


def test_names_of_overloads():
    assert rule_of("aten.max.dim") is not rule_of("aten.max.default")
    assert rule_of("aten.lstm.data") is None
    assert rule_of("aten.nonzero.default") is None
    assert "size of its result" in reason("aten.nonzero.default")
    assert "packed" in reason("aten.lstm.data")
    assert "no rule" in reason("other.operator.default")
    assert all(callable(rule) for rule in RULES.values())


def test_all_that_is_missing_is_said_at_once():
    missing = [
        Missing("aten.nonzero.default", "encoder.0", "net.py:3", "why"),
        Missing("aten.nonzero.default", "encoder.0", "net.py:3", "why"),
        Missing("aten.polar.default", "", "", "why not"),
    ]
    message = str(refuse("Net", missing))
    assert message.startswith("from_torch: Net has operators that Smelt cannot compute:\n")
    assert message.count("aten.nonzero.default in module encoder.0 at net.py:3: why") == 1
    assert "aten.polar.default: why not" in message
    assert "and 5 more" in str(refuse("Net", [Missing(f"o{n}", "", "", "") for n in range(25)]))


# --- arguments ------------------------------------------------------------------------------------


class Function:
    def forward(self, x: Any, pair: Any, mask: Any = None) -> Any: ...


def arguments() -> Arguments:
    return Arguments(Function().forward, ((0, [1, {"a": 2}]), {}), [TENSOR] * 3)


def test_arguments_are_found_by_place_or_name():
    for found in (
        arguments().leaves((1, [2, {"a": 3}]), {}),
        arguments().leaves((), {"pair": (2, {"a": 3}), "x": 1}),
        arguments().leaves((1,), {"pair": [2, {"a": 3}], "mask": None}),
    ):
        assert found == [1, 2, 3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((1,), "Function.forward: missing a required argument: 'pair'"),
        ((1, 2), "pair was a list of 2"),
        ((1, [2]), "pair was a list of 2"),
        ((1, [2, {"b": 3}]), r"pair\[1\] was a dict with the keys 'a'"),
        ((1, [2, {"a": 3}], 4), "imported without the argument 'mask'"),
    ],
)
def test_arguments_that_are_nested_in_another_way(given, message):
    with pytest.raises(ArgumentError, match=message):
        arguments().leaves(given, {})


def test_results_are_nested_as_they_were():
    skeleton = plain({"a": (0, [1]), "b": None})
    assert rebuilt(skeleton, ["x", "y"]) == {"a": ("x", ["y"]), "b": None}
    with pytest.raises(ArgumentError, match="a result of the class object"):
        plain(object())


# --- the module -----------------------------------------------------------------------------------


def exported(training: bool) -> Exported:
    """x W^T + b, which counts its calls in training, and doubles them."""
    linear = call("aten.linear.default", Value(0), Value(1), Value(2))
    count = call("aten.add.Tensor", Value(3), 1)
    doubled = call("aten.mul.Tensor", Value(4), 2)
    calls = (linear, count, doubled) if training else (linear,)
    return Exported(
        program=Program(4, calls, (Value(5), Value(6)) if training else (Value(4),)),
        sources=(0, State("part.weight"), State("part.bias"), State("count")),
        inputs=(Input("x", "tensor", ("batch", 3), float32),),
        updates=(("count", 0),) if training else (),
        results=(1,) if training else (0,),
        structure={"y": 0},
        ranges={"batch": (0, 8)},
    )


class Original:
    def forward(self, x: Any) -> Any: ...


def module() -> TorchModule:
    modes = {training: exported(training) for training in (True, False)}
    taken = Arguments(Original().forward, ((0,), {}), [TENSOR])
    made = named(TorchModule, "Original")("", True, modes, taken, frozenset())
    made.part = named(Part, "Linear")("3, 2", True)
    made.part.weight = smelt.nn.Parameter(np.arange(6, dtype=np.float32).reshape(2, 3))
    made.part.bias = smelt.nn.Parameter(np.ones(2, np.float32))
    made.register_buffer("count", smelt.tensor(0, dtype=int64))
    result: TorchModule = made
    return result


X = np.ones((4, 3), np.float32)


def test_a_module_computes_and_changes_its_buffers():
    made = module()
    assert list(made.state_dict()) == ["count", "part.weight", "part.bias"]
    assert made(X)["y"].tolist() == [[8, 26]] * 4
    assert made.count.item() == 1
    assert made.eval()(X)["y"].tolist() == [[4, 13]] * 4
    assert made.count.item() == 1
    assert repr(made) == "Original(\n  (part): Linear(3, 2)\n)"


def test_a_module_trains():
    made = module()
    optimizer = optim.SGD(made.parameters(), lr=0.01)

    @smelt.compile
    def step(x):
        loss = (made(x)["y"] ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    losses = [step(X).item() for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert made.count.item() == 5


def test_a_copy_is_separate():
    made = module().eval()
    other = copy.deepcopy(made)
    with smelt.no_grad():
        other.part.bias.copy_(smelt.zeros(2))
    assert made(X)["y"].tolist() == [[4, 13]] * 4
    assert other(X)["y"].tolist() == [[3, 12]] * 4


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((4, 3)), DTypeError, "x was float32 .* is float64; write .to"),
        (np.ones((4, 2), np.float32), ShapeError, r"x has shape \(4, 2\).*for \(batch, 3\)"),
        (np.ones(3, np.float32), ShapeError, "dynamic_shapes"),
        (np.ones((9, 3), np.float32), ShapeError, "extent 9, outside of 0..8"),
        ([[1.0]], ArgumentError, "x must be a tensor, got a list"),
    ],
)
def test_inputs_that_do_not_fit(x, error, message):
    with pytest.raises(error, match=message):
        module()(x)


def test_parts_are_not_called_and_have_the_mode_of_the_whole():
    made = module()
    with pytest.raises(CompileError, match="this Linear is a part of a module from PyTorch"):
        made.part(X)
    made.part.eval()
    with pytest.raises(ArgumentError, match="Original: part is in evaluation mode"):
        made(X)


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is installed")
def test_without_pytorch_the_error_says_how_to_install_it():
    with pytest.raises(MissingExtra, match=r"from_torch needs the optional extra \[torch\]"):
        from_torch(object())
