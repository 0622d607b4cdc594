"""Sources: the sums of which a quantized layer makes int8, and how each becomes a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from smelt.errors import ArgumentError
from smelt.export.quantization import layers
from smelt.export.quantization.capture import located
from smelt.export.quantization.fixed_point import (
    ACCUMULATOR_BITS,
    LARGEST,
    fixed_point,
    fixed_point_terms,
)
from smelt.export.quantization.values import Pending, Quantized
from smelt.ir.graph import Node

if TYPE_CHECKING:
    from smelt.export.quantization.rewrite import Rewriting

__all__ = ["Combined", "Source", "Total", "Weighted", "clip_bounds"]

BIAS_BITS = ACCUMULATOR_BITS - 1


class Source:
    """What a value is computed from; `node` is the operation."""

    node: Node
    is_combination: ClassVar[bool] = False

    def takes(self, constant: np.ndarray) -> bool:
        """Whether a constant that is no number can be folded in: one number for each channel."""
        return False

    def finish(self, rewriting: Rewriting, pending: Pending, scale: float) -> Quantized:
        """Writes the layers that make an int8 of a pending value; returns its register."""
        raise NotImplementedError


def clip_bounds(low: float, high: float, scale: float) -> tuple[int, int]:
    """Returns the least and the largest int8 of what lies between two numbers."""
    first, last = (round(min(max(one / scale, -LARGEST), LARGEST)) for one in (low, high))
    return first, last


def _requantized(
    rewriting: Rewriting,
    source: Source,
    made: Any,
    reads: Sequence[int],
    factors: np.ndarray,
    pending: Pending,
    scale: float,
) -> Quantized:
    """Writes a layer that sums and, before or after its elements are moved, what makes int8."""
    multiplier, shift = fixed_point(factors)
    output = layers.Requantize(multiplier, shift, *clip_bounds(pending.low, pending.high, scale))
    if pending.extra is None:
        made.output = output
    register = rewriting.emit(made, reads, source.node)
    for node in pending.moves:
        register = rewriting.emit_movement(register, node)
    if pending.extra is not None:
        register = rewriting.emit(output, [register], source.node)
    return Quantized(register, scale)


def _check_sums(largest: float, node: Node) -> None:
    if largest >= 1 << ACCUMULATOR_BITS:
        raise ArgumentError(
            located(
                f"quantize: {node.op.name}: a sum of int8 products may reach {largest:,.0f}, "
                f"beyond the {ACCUMULATOR_BITS} bits of an accumulator; make the layer narrower",
                node,
            )
        )


@dataclass(frozen=True, eq=False)
class Weighted(Source):
    """A product with weights: a linear layer or a convolution.

    Attributes:
        read: the input.
        weight: float64 (O, ...), the channels of the output first.
        axis: that of the channels in the output, counted from the back.
        layer: makes the layer of int8 weights and an int32 bias.
    """

    node: Node
    read: Quantized
    weight: np.ndarray
    axis: int
    layer: Callable[[np.ndarray, np.ndarray | None], layers.Layer]

    def takes(self, constant: np.ndarray) -> bool:
        """Whether it has one number for each channel."""
        place = constant.ndim + self.axis
        wanted = [1] * constant.ndim
        if place >= 0:
            wanted[place] = len(self.weight)
        return list(constant.shape) == wanted and constant.ndim <= self.node.ndim

    def finish(self, rewriting: Rewriting, pending: Pending, scale: float) -> Quantized:
        """Writes the layer, with all that is constant folded into weights and bias."""
        count = len(self.weight)
        rows = self.weight.reshape(count, -1)
        gain, offset = (
            np.broadcast_to(one.reshape(-1), count) for one in (pending.gain, pending.offset)
        )
        rows = rows * gain[:, None]
        # the elements of a channel lie anywhere once they are moved: then there is one scale
        steps = self._steps(rows, offset, bool(pending.moves) and pending.extra is not None)
        whole = np.clip(np.rint(rows / steps[:, None]), -LARGEST, LARGEST)
        bias = np.rint(offset / (self.read.scale * steps))
        _check_sums(float((np.abs(whole).sum(1) * LARGEST + np.abs(bias)).max()), self.node)
        made = self.layer(
            whole.astype(np.int8).reshape(self.weight.shape),
            bias.astype(np.int32) if offset.any() else None,
        )
        factors = self.read.scale * steps / scale
        if (steps == steps[0]).all():
            factors = factors[0].reshape(())
        else:
            factors = factors.reshape((-1,) + (1,) * (-1 - self.axis))
        if pending.extra is not None:
            factors = factors * pending.extra
        made.bytes_before = 4 * (self.weight.size + count * bool(offset.any()))
        return _requantized(rewriting, self, made, [self.read.register], factors, pending, scale)

    def _steps(self, rows: np.ndarray, offset: np.ndarray, is_shared: bool) -> np.ndarray:
        """Returns the scale of the weights of each channel.

        It is the largest weight over 127, and more where the bias would not fit into its bits: then
        the weights are next to nothing beside it.
        """
        largest = np.abs(rows).max(1, initial=0.0)
        least = np.abs(offset) / (self.read.scale * 2.0**BIAS_BITS)
        steps = np.maximum(largest / LARGEST, least)
        if is_shared or not steps.any():
            return np.full(len(rows), steps.max() or 1.0)
        return np.where(steps > 0, steps, steps.max())


@dataclass(frozen=True, eq=False)
class Total(Source):
    """A sum without weights for each channel: over axes, of products of two tensors, of both.

    Attributes:
        reads: the inputs.
        step: what 1 in the sum stands for.
        largest: how large the sum may become.
        layer: makes the layer of a bias, int32 of shape (), or None.
    """

    node: Node
    reads: tuple[int, ...]
    step: float
    largest: float
    layer: Callable[[np.ndarray | None], layers.Layer]

    def finish(self, rewriting: Rewriting, pending: Pending, scale: float) -> Quantized:
        """Writes the layer, and what makes int8 of its sums."""
        gain, offset = float(pending.gain), float(pending.offset)
        bias = np.rint(np.float64(offset / (self.step * gain)))
        _check_sums(self.largest + abs(float(bias)), self.node)
        made = self.layer(bias.astype(np.int32) if bias else None)
        factors = np.asarray(self.step * gain / scale)
        if pending.extra is not None:
            factors = factors * pending.extra
        return _requantized(rewriting, self, made, self.reads, factors, pending, scale)


@dataclass(frozen=True, eq=False)
class Combined(Source):
    """A sum of tensors of different scales; what constants do to it is a part of it.

    Attributes:
        terms: the inputs, and what each is multiplied by.
    """

    node: Node
    terms: tuple[tuple[Quantized, float], ...]
    is_combination: ClassVar[bool] = True

    def takes(self, constant: np.ndarray) -> bool:
        """Whether a constant has no more axes than the result: it may be any other."""
        return constant.ndim <= self.node.ndim

    def finish(self, rewriting: Rewriting, pending: Pending, scale: float) -> Quantized:
        """Writes the layer."""
        factors = [
            np.asarray(one.scale * times * pending.gain / scale) for one, times in self.terms
        ]
        constant = np.asarray(pending.offset / scale)
        multipliers, offset, shift = fixed_point_terms(factors, constant)
        made = layers.Combination(
            multipliers, offset, shift, *clip_bounds(pending.low, pending.high, scale)
        )
        reads = [one.register for one, _ in self.terms]
        return Quantized(rewriting.emit(made, reads, self.node), scale)
