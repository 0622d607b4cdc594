"""The description of a graph: equal for equal graphs, another one for whatever differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
import smelt.functional as F
from smelt import Tensor, dtypes
from smelt.compiler.frontend.tracer import Tracer, trace
from smelt.control.cond_op import cond_op
from smelt.control.scan_op import scan_op
from smelt.control.tuple import GET_ELEMENT
from smelt.control.while_op import while_op
from smelt.ir import description
from smelt.ir.description import Description, describe
from smelt.ir.graph import CONSTANT, Graph, Leaf, Node
from smelt.ops.elementwise import Elementwise, exp
from smelt.ops.op import REGISTRY
from smelt.tensor.size import Size

X = smelt.arange(6.0).reshape(2, 3)
A, B = smelt.ones(3), smelt.zeros(3)


def graph_of(function: Callable[..., Any], *arguments: Tensor) -> Graph:
    def run(tracer: Tracer) -> tuple[list[Tensor], Any]:
        given = [tracer.placeholder(x.shape, x.dtype, x.requires_grad) for x in arguments]
        found = function(*given)
        return list(found) if isinstance(found, tuple) else [found], list

    return trace(run).graph


def described(function: Callable[..., Any], *arguments: Tensor) -> Description:
    found = describe(graph_of(function, *(arguments or (X,))))
    assert found is not None
    return found


def _one(x: Tensor) -> Tensor:
    hidden = smelt.tanh(x * A + 1.0)
    return hidden.sum(dim=1)


def _same(y: Tensor) -> Tensor:
    z = y * A  # other names, other lines
    z = z + 1.0
    z = smelt.tanh(z)
    return z.sum(dim=1)


def test_equal_graphs_have_one_description() -> None:
    assert described(_one).digest == described(_one).digest == described(_same).digest


def _update(one: Tensor, other: Tensor) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        a, b = one + x, other * x
        one.copy_(a)
        other.copy_(b)
        return x

    return function


def _checked(x: Tensor) -> Tensor:
    return F.one_hot(x, 3)


VARIANTS: dict[str, Callable[[Tensor], Any]] = {
    "one": _one,
    "another operation": lambda x: smelt.sigmoid(x * A + 1.0).sum(dim=1),
    "another attribute": lambda x: smelt.tanh(x * A + 1.0).sum(dim=0),
    "another constant": lambda x: smelt.tanh(x * A + 2.0).sum(dim=1),
    "operands exchanged": lambda x: smelt.tanh(A * x + 1.0).sum(dim=1),
    "another state": lambda x: smelt.tanh(x * smelt.ones(2, 3) + 1.0).sum(dim=1),
    "a constant in the state's place": lambda x: smelt.tanh(x * np.ones(3, "f4") + 1.0).sum(dim=1),
    "states": lambda x: x * A - x / B,
    "states in another order": lambda x: (B + 1.0, x * A - x / B)[1],
    "one state twice": lambda x: x * A - x / A,
    "written twice": lambda x: smelt.exp(x) * smelt.exp(x),
    "used twice": lambda x: (lambda y: y * y)(smelt.exp(x)),
    "two results": lambda x: (x + 1.0, x + 2.0),
    "in another order": lambda x: (x + 2.0, x + 1.0),
    "plus 0": lambda x: x + 0.0,
    "minus 0": lambda x: x + -0.0,
    "nan": lambda x: x + float("nan"),
    "minus nan": lambda x: x + np.float32(-np.float32("nan")),
    "an update": _update(smelt.ones(2, 3), smelt.ones(2, 3)),
    "a long constant": lambda x: x + smelt.tensor(np.arange(24).reshape(8, 3)).float()[:2],
    "an array": lambda x: x[:, np.array([0, 1, 2, 1] * 9)],
    "another array": lambda x: x[:, np.array([0, 1, 2, 2] * 9)],
    "a loop": lambda x: smelt.scan(lambda c, row: (c + row, c * 2), A, x)[1],
    "another body": lambda x: smelt.scan(lambda c, row: (c + row, c * 3), A, x)[1],
    "a loop backwards": lambda x: smelt.scan(lambda c, row: (c + row, c * 2), A, x, reverse=True)[
        1
    ],
    "a branch": lambda x: smelt.cond((x > 0).any(), lambda: x * 2, lambda: x * 3),
    "a branch the other way": lambda x: smelt.cond((x > 0).any(), lambda: x * 3, lambda: x * 2),
}


def test_whatever_differs_has_another_description() -> None:
    digests = {name: described(function).digest for name, function in VARIANTS.items()}
    arguments = {
        "shape": smelt.ones(3, 2), "dtype": X.to(smelt.float64), "axes": smelt.ones(2, 3, 1),
    }  # fmt: skip
    for name, argument in arguments.items():
        digests[f"another {name}"] = described(lambda x: x + 1.0, argument).digest
    labels = smelt.tensor([0, 1, 2])
    digests["a check"] = described(_checked, labels).digest
    digests["no argument is read"] = described(lambda x, y: x, X, X).digest
    digests["the other is read"] = described(lambda x, y: y, X, X).digest
    counts: dict[str, list[str]] = {}
    for name, digest in digests.items():
        counts.setdefault(digest, []).append(name)
    assert [names for names in counts.values() if len(names) > 1] == []


def _with(value: Any) -> Graph:
    leaf = Node(CONSTANT, (), {"array": np.zeros(2, np.float32)}, (2,), dtypes.float32)
    node = Node(exp, (leaf,), {"given": value}, (2,), dtypes.float32)
    return Graph((), (), (node,))


def test_attributes_differ_by_type_and_value() -> None:
    values = [
        None, True, False, 1, 0, 1.0, 0.0, -0.0, float("inf"), "1", b"1", (), [], (1,), [1], (1, 2),
        ((1,), 2), (1, (2,)), ("1, 2",), ("1", "2"), {}, {"a": 1}, {"a": 2}, Size((1,)),
        slice(1), slice(1, None), np.float32(1), np.float64(1), np.int64(1),
        np.array(1), np.array([1]), np.array([[1]]), np.array([1], np.int32), smelt.float32,
        smelt.int32, np.arange(99), np.arange(1, 100), np.arange(100.0), "a\nb", "a", ("a", "b\n"),
    ]  # fmt: skip
    found = [describe(_with(value)) for value in values]
    assert [value for value, one in zip(values, found, strict=True) if one is None] == []
    assert len({one.digest for one in found if one}) == len(values)


@pytest.mark.parametrize(
    "value",
    [object(), len, np.array([None]), {1}, 1j, type, X, (1, (object(),))],
    ids=["object", "function", "objects", "set", "complex", "class", "tensor", "nested"],
)
def test_what_cannot_be_described_exactly_has_none(value: Any) -> None:
    assert describe(_with(value)) is None


def test_operations_from_outside_have_none() -> None:
    own = Elementwise("of_the_users_own", np.negative, (lambda y, x: -1.0,))
    try:
        assert describe(graph_of(lambda x: own(x), X)) is None
        assert (
            describe(graph_of(lambda x: smelt.scan(lambda c, r: (own(c), r), A, x)[1], X)) is None
        )
    finally:
        del REGISTRY[own.name]


def test_every_operation_of_the_package_is_known_by_a_name_of_its_own() -> None:
    operations = {*REGISTRY.values(), scan_op, cond_op, while_op, GET_ELEMENT}
    names = [description._name(one) for one in operations]
    assert len(set(names)) == len(names) > 70
    with pytest.raises(description._Inexact):
        description._name(Leaf("argument"))


def test_constants_come_in_order_and_by_identity() -> None:
    first, second = np.arange(3, dtype=np.float32), np.arange(3, 6, dtype=np.float32)
    graph = graph_of(lambda x: x * first + second, X)
    found = describe(graph)
    assert found is not None
    kept = [node.attributes["array"] for node in graph.nodes() if node.op is CONSTANT]
    assert all(a is b for a, b in zip(found.constants, kept, strict=True))
