"""Parts: how one operation with several results fits into a graph of operations with one each.

A loop or branch is one node, a token without a value. Its results are `part(token, number=...)`.
In both walks of differentiation what arrives at the token is a `Parts`: a cotangent, or tangent,
for some of the results.
"""

from __future__ import annotations

from typing import Any

from smelt.dtypes import float32
from smelt.ops.op import Op, Shape, Type, Typed
from smelt.tensor import Tensor
from smelt.tracing.apply import apply

TOKEN = float32  # a float, because only what has a float dtype has a history


class Parts:
    """Cotangents or tangents of the results of one token, by their number."""

    def __init__(self, examples: Shape, values: dict[int, Tensor]) -> None:
        self.shape = examples
        self.values = values

    def __add__(self, other: Parts) -> Parts:
        merged = dict(self.values)
        for number, value in other.values.items():
            merged[number] = merged[number] + value if number in merged else value
        return Parts(self.shape, merged)


class Part(Op):
    """One result of a token. `stacked` says that its first axis runs along a loop's turns."""

    family = "part"

    def __init__(self) -> None:
        self.name = "part"  # not in the registry: it means nothing without its token

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        return Type(attributes["shape"], attributes["dtype"])

    def jvp(self, tangents: tuple[Any, ...], output: Any, *inputs: Any, **attributes: Any) -> Any:
        return tangents[0].values.get(attributes["number"])

    def vjp(
        self, g: Any, needs: tuple[bool, ...], output: Any, *inputs: Any, **attributes: Any
    ) -> tuple[Any, ...]:
        return (Parts(inputs[0].shape, {attributes["number"]: g}),)

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        (token,), shape, stacked = inputs, attributes["shape"], attributes["stacked"]
        place = 1 if stacked else 0
        whole = (*shape[:place], token.shape[0], *shape[place:])
        result = apply(self, (token,), {**attributes, "shape": whole})
        return result.movedim(1, 0) if stacked else result


part = Part()


def part_of(token: Tensor, number: int, like: Typed, turns: int | None = None) -> Tensor:
    """Returns result `number` of a token; `turns` is given when there is one `like` per turn."""
    shape = like.shape if turns is None else (turns, *like.shape)
    attributes: dict[str, Any] = {
        "number": number, "shape": shape, "dtype": like.dtype, "stacked": turns is not None
    }  # fmt: skip
    return apply(part, (token,), attributes)


def token_type(examples: Shape) -> Type:
    """Returns the Type of a token: a number per example of each `vmap` around it."""
    return Type(examples, TOKEN)
