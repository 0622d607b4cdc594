"""Tuple: how one operation with several results fits into a graph of operations with one each.

A loop or branch is one node, a tuple, which has no value itself; get-element gives its results.
In both walks of differentiation what arrives at the tuple is a `ResultCotangents`: a cotangent, or
tangent, for some of the results.
"""

from __future__ import annotations

import math
from typing import Any, Final

from smelt.dtypes import float32
from smelt.ir.graph import Node, carry_count
from smelt.ir.operation import Pattern
from smelt.ops.op import Gradients, Needs, Op, Shape, Type, Typed
from smelt.tensor import Tensor
from smelt.tracing.apply import apply

TUPLE: Final = float32  # a float, because only what has a float dtype has a history


class ResultCotangents:
    """Cotangents or tangents of the results of one result tuple, by their number."""

    def __init__(self, examples: Shape, values: dict[int, Tensor]) -> None:
        self.shape = examples
        self.values = values

    def __add__(self, other: ResultCotangents) -> ResultCotangents:
        merged = dict(self.values)
        for number, value in other.values.items():
            merged[number] = merged[number] + value if number in merged else value
        return ResultCotangents(self.shape, merged)


class Region(Op):
    """The family of loops and branches: runs its `bodies`, graphs, and gives a tuple.

    `examples` are the extents of the `vmap`s around it: the tuple has a number for each of them.
    """

    pattern = Pattern.REGION

    def __init__(self, name: str) -> None:
        self.name = name  # not in the registry: eagerly it is Python's own loop or branch

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        return Type(attributes["examples"], TUPLE)

    def awaited(self, node: Node) -> Node:
        """Returns a result of a loop or branch: a short one that it carries, if there is one."""
        carried, length = carry_count(node), node.attributes.get("length")
        body = node.attributes["bodies"][0]
        stacked = () if length is None else (length,)
        kinds = [(x.shape, x.dtype, False) for x in body.states]
        kinds += [((*stacked, *x.shape), x.dtype, bool(stacked)) for x in body.outputs]
        sizes = [
            (not math.prod(shape), number >= carried, math.prod(shape))
            for number, (shape, _, _) in enumerate(kinds)
        ]
        number = sizes.index(min(sizes))
        shape, dtype, is_stacked = kinds[number]
        attributes = {"number": number, "shape": shape, "dtype": dtype, "stacked": is_stacked}
        return Node(GET_ELEMENT, (node,), attributes, shape, dtype)


class GetElement(Op):
    """One result of a tuple. `stacked`: its first axis runs along the iterations of a loop."""

    pattern = Pattern.RESULT
    is_worth_saving = True

    def __init__(self) -> None:
        self.name = "get_element"  # not in the registry: it means nothing without its result tuple

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        return Type(attributes["shape"], attributes["dtype"])

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        return tangents[0].values.get(attributes["number"])

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        return (ResultCotangents(inputs[0].shape, {attributes["number"]: g}),)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        (result_tuple,), shape, stacked = inputs, attributes["shape"], attributes["stacked"]
        axis = 1 if stacked else 0
        with_batch = (*shape[:axis], result_tuple.shape[0], *shape[axis:])
        result = apply(self, (result_tuple,), {**attributes, "shape": with_batch})
        return result.movedim(1, 0) if stacked else result


GET_ELEMENT = GetElement()


def get_element(
    result_tuple: Tensor, number: int, like: Typed, length: int | None = None
) -> Tensor:
    """Returns result `number` of a result tuple; `length`: it stacks one `like` per iteration."""
    shape = like.shape if length is None else (length, *like.shape)
    attributes: dict[str, Any] = {"number": number, "shape": shape, "dtype": like.dtype}
    attributes["stacked"] = length is not None
    return apply(GET_ELEMENT, (result_tuple,), attributes)
