"""Lower a convolution: an element of it as a sum over channels and taps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smelt.ir.graph import Node
from smelt.ir.loops import Binary, Expression
from smelt.ops.movement import plus, quotient, times

if TYPE_CHECKING:
    from smelt.compiler.lower import Lowering

Index = tuple[Expression, ...]
Loops = list[tuple[Expression, int]]


def convolution_taps(lowering: Lowering, node: Node, index: Index) -> tuple[Expression, Loops]:
    """Returns the product that is summed up for the element at `index`, and the loops it needs.

    y[n, o, p] = sum over c, k of x[n, o's group of channels + c, p * stride + k * dilation]
    * w[o, c, k]
    """
    x, w = node.inputs
    extents = w.shape[1:]
    inner = [lowering.loop("k", extent) for extent in extents]
    n, o, *places = index
    outputs = w.shape[0] // node.attributes["groups"]
    channel = plus(times(quotient(o, outputs), w.shape[1]), inner[0])
    strides, gaps = node.attributes["stride"], node.attributes["dilation"]
    at = [
        plus(times(place, stride), times(tap, gap))
        for place, stride, tap, gap in zip(places, strides, inner[1:], gaps, strict=True)
    ]
    product = Binary("mul", lowering.read(x, (n, channel, *at)), lowering.read(w, (o, *inner)))
    return product, list(zip(inner, extents, strict=True))
