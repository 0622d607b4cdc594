"""Slice hoisting: a slice moves before an operation, so that dropped elements are not computed.

The gradient of a padded convolution is a convolution whose edges, the gradient of the padding, are
dropped at once.
"""

from __future__ import annotations

from collections.abc import Set

from smelt.ir.graph import Node
from smelt.ops import movement
from smelt.ops.convolution import convolution, effective_extent


def narrower_padding(node: Node) -> Node | None:
    """slice(pad(x)) -> pad(x) with less padding, if only padding is dropped"""
    (x,) = node.inputs
    if x.op is not movement.pad or set(node.attributes["step"]) > {1}:
        return None
    ends = zip(x.shape, node.attributes["stop"], strict=True)
    dropped = (node.attributes["start"], tuple([extent - stop for extent, stop in ends]))
    before, after = (
        tuple([zeros - less for zeros, less in zip(x.attributes[side], drop, strict=True)])
        for side, drop in zip(("low", "high"), dropped, strict=True)
    )
    if min((*before, *after, 0)) < 0:
        return None
    attributes = {"low": before, "high": after, "step": x.attributes["step"]}
    return Node(x.op, x.inputs, attributes, node.shape, node.dtype, x.origin)


def sliced_convolution(node: Node, single_use: Set[Node]) -> Node | None:
    """slice(convolution(x, w)) -> convolution(slice(x), w), if nothing else reads it"""
    if node.op is not movement.slice_ or node.inputs[0] not in single_use:
        return None
    (y,) = node.inputs
    if y.op is not convolution:
        return None
    start, stop = node.attributes["start"], node.attributes["stop"]
    if set(node.attributes["step"]) > {1} or node.shape[:2] != y.shape[:2] or not node.size:
        return None
    x, w = y.inputs
    strides = y.attributes["stride"]
    extents = list(map(effective_extent, w.shape[2:], y.attributes["dilation"]))
    starts = [first * stride for first, stride in zip(start[2:], strides, strict=True)]
    ends = zip(stop[2:], strides, extents, strict=True)
    attributes = {
        "start": (0, 0, *starts),
        "stop": (*x.shape[:2], *[(end - 1) * stride + extent for end, stride, extent in ends]),
        "step": (1,) * x.ndim,
    }
    bounds = zip(attributes["start"], attributes["stop"], strict=True)
    shape = tuple([end - first for first, end in bounds])
    part = Node(movement.slice_, (x,), attributes, shape, x.dtype, node.origin)
    part = narrower_padding(part) or part
    return Node(y.op, (part, w), y.attributes, node.shape, node.dtype, y.origin)
