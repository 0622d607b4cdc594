"""Slices come early: what is cut off is not computed.

The gradient of a padded convolution is a convolution whose edges, the gradient of the padding, are
cut off at once.
"""

from __future__ import annotations

from collections.abc import Set

from smelt.ir.graph import Node
from smelt.ops import movement
from smelt.ops.convolution import convolution, reach


def narrower_padding(node: Node) -> Node | None:
    """slice(pad(x)) -> pad(x) with less padding, where only padding is cut off"""
    (x,) = node.inputs
    if x.op is not movement.pad or set(node.attributes["step"]) > {1}:
        return None
    ends = zip(x.shape, node.attributes["stop"], strict=True)
    cuts = (node.attributes["start"], tuple([extent - stop for extent, stop in ends]))
    low, high = (
        tuple([zeros - less for zeros, less in zip(x.attributes[side], cut, strict=True)])
        for side, cut in zip(("low", "high"), cuts, strict=True)
    )
    if min((*low, *high, 0)) < 0:
        return None
    attributes = {"low": low, "high": high, "step": x.attributes["step"]}
    return Node(x.op, x.inputs, attributes, node.shape, node.dtype, x.origin)


def sliced_convolution(node: Node, alone: Set[Node]) -> Node | None:
    """slice(convolution(x, w)) -> convolution(slice(x), w), where the convolution is in `alone`:
    nothing else reads it
    """
    if node.op is not movement.slice_ or node.inputs[0] not in alone:
        return None
    (y,) = node.inputs
    if y.op is not convolution:
        return None
    start, stop = node.attributes["start"], node.attributes["stop"]
    if set(node.attributes["step"]) > {1} or node.shape[:2] != y.shape[:2] or not node.size:
        return None
    x, w = y.inputs
    strides, gaps = y.attributes["stride"], y.attributes["dilation"]
    taps = [reach(extent, gap) for extent, gap in zip(w.shape[2:], gaps, strict=True)]
    ends = zip(stop[2:], strides, taps, strict=True)
    attributes = {
        "start": (0, 0, *[first * step for first, step in zip(start[2:], strides, strict=True)]),
        "stop": (*x.shape[:2], *[(end - 1) * step + most for end, step, most in ends]),
        "step": (1,) * x.ndim,
    }
    bounds = zip(attributes["start"], attributes["stop"], strict=True)
    shape = tuple([end - first for first, end in bounds])
    part = Node(movement.slice_, (x,), attributes, shape, x.dtype, node.origin)
    part = narrower_padding(part) or part
    return Node(y.op, (part, w), y.attributes, node.shape, node.dtype, y.origin)
