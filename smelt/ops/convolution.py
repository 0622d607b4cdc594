"""Convolution: a small kernel slid over spatial axes; sums of products, like the matrix product.

One primitive is enough. Padding is a `pad` before it; its gradients are convolutions again, and so
are theirs; a transposed convolution is the gradient with respect to the input, used as a forward
function. `compiler/graph/gemm_blocking.py` chooses its loops, `compiler/lower/gemm.py` writes them.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar, Final

import numpy as np

from smelt.errors import ArgumentError, ShapeError
from smelt.ir.operation import Axes, Pattern
from smelt.ops.contraction import matmul
from smelt.ops.convolution_value import convolution_value, effective_extent
from smelt.ops.movement import (
    broadcast_to,
    concatenate,
    cropped,
    flip,
    pad,
    permute,
    reshape,
    slice_,
)
from smelt.ops.op import Gradients, Needs, Op, Shape, Type, Typed, check_factors

Sizes = tuple[int, ...]


class Convolution(Op):
    """`(N, C, *S), (O, C / groups, *K) -> (N, O, *P)`, any number of spatial axes.

    y[n, o, p] = sum over c, k of x[n, c, p * stride + k * dilation] * w[o, c, k]

    With `groups`, channels are split into that many equal parts, and each output channel sees only
    the input channels of its own part. The kernel is not flipped: as usual in the field, this is a
    cross-correlation (LeCun et al., 1998). It never leaves the input:
    P = (S - effective_extent(K)) // stride + 1.
    """

    pattern = Pattern.CONTRACTION
    rereads_operands = True
    is_worth_saving = True
    linear_operands: ClassVar[int] = 2

    def infer(self, *types: Typed, **attributes: Any) -> Type:
        x, w = types
        stride, dilation, groups = (attributes[key] for key in ("stride", "dilation", "groups"))
        _check_channels(x.shape, w.shape, groups)
        check_factors("convolution", x.dtype, w.dtype)
        if min((*stride, *dilation, 1)) < 1:
            raise ArgumentError(
                f"convolution: stride and dilation must be at least 1, got {stride} and {dilation}"
            )
        covered = tuple(map(effective_extent, w.shape[2:], dilation))
        if any(extent < 1 for extent in w.shape[2:]) or any(
            taps > extent for taps, extent in zip(covered, x.shape[2:], strict=True)
        ):
            raise ShapeError(
                f"convolution: a kernel {w.shape[2:]} with dilation {dilation} covers {covered} "
                f"elements, but the (padded) input is only {x.shape[2:]}"
            )
        axes = zip(x.shape[2:], covered, stride, strict=True)
        spatial = tuple((extent - taps) // step + 1 for extent, taps, step in axes)
        return Type((x.shape[0], w.shape[0], *spatial), x.dtype)

    def value(self, *arrays: np.ndarray, **attributes: Any) -> np.ndarray:
        x, w = arrays
        return convolution_value(x, w, **attributes)

    def vjp(self, g: Any, needs: Needs, output: Any, *inputs: Any, **attributes: Any) -> Gradients:
        x, w = inputs
        return (
            _input_gradient(g, w, x.shape, **attributes) if needs[0] else None,
            _kernel_gradient(g, x, w.shape, **attributes) if needs[1] else None,
        )

    def batch(self, inputs: tuple[Any, ...], batched: tuple[bool, ...], **attributes: Any) -> Any:
        (x, w), (has_x, has_w) = inputs, batched
        if not has_w:  # the batch becomes more samples
            size, samples = x.shape[:2]
            y = self(reshape(x, shape=(size * samples, *x.shape[2:])), w, **attributes)
            return reshape(y, shape=(size, samples, *y.shape[1:]))
        if not has_x:
            x = broadcast_to(x, shape=(w.shape[0], *x.shape))
        return _each_its_kernel(x, w, **attributes)

    def operand_loops(self, node: Any) -> list[Axes]:
        """Returns N for x; O and all reduced axes for w.

        The other indices of x depend on several loops at once.
        """
        x, w = node.inputs
        inner = range(node.ndim, node.ndim + w.ndim - 1)
        return [(0, *(None,) * (x.ndim - 1)), (1, *inner)]


def _check_channels(x: Shape, w: Shape, groups: int) -> None:
    if len(x) < 3 or len(x) != len(w):
        raise ShapeError(
            f"convolution: needs an input (N, C, ...) and a kernel (O, C / groups, ...) with the "
            f"same number of spatial axes, got shapes {x} and {w}"
        )
    if groups < 1 or x[1] % groups or w[0] % groups:
        raise ShapeError(
            f"convolution: {x[1]} input and {w[0]} output channels cannot be split into {groups} "
            "groups; groups must divide both"
        )
    if x[1] // groups != w[1]:
        raise ShapeError(
            f"convolution: input {x} has {x[1] // groups} channels per group, but kernel {w} "
            f"(O, C / groups, ...) takes {w[1]}"
        )


def transposed(
    g: Any, w: Any, before: Sizes, after: Sizes, stride: Sizes, dilation: Sizes, groups: int
) -> Any:
    """Returns the sum of copies of the kernel w (O, C / groups, *K), `stride` apart, each times one
    element of g (N, O, *P); then `before` and `after` zeros are added (negative: dropped).

    The result is (N, C, *S), S = (P - 1) * stride + effective_extent(K) + before + after.
    """
    covered = map(effective_extent, w.shape[2:], dilation)
    axes = zip(g.shape[2:], stride, covered, before, after, strict=True)
    extents = tuple([(n - 1) * s + extent + low + high for n, s, extent, low, high in axes])
    outputs, inner, *kernel = w.shape
    if all(extent == 1 for extent in g.shape[2:]):
        return _of_one_position(g, w, before, after, dilation, groups)
    parts = reshape(w, shape=(groups, outputs // groups, inner, *kernel))
    parts = permute(parts, axes=(0, 2, 1, *range(3, parts.ndim)))
    flipped = reshape(parts, shape=(groups * inner, outputs // groups, *kernel))
    flipped = flip(flipped, axes=tuple(range(2, flipped.ndim)))
    if any(step > 1 and gap == 1 for step, gap in zip(stride, dilation, strict=True)):
        return _by_phases(g, flipped, before, extents, stride, dilation, groups)
    return _over_dilated(g, flipped, before, extents, stride, dilation, groups)


def _of_one_position(
    g: Any, w: Any, before: Sizes, after: Sizes, dilation: Sizes, groups: int
) -> Any:
    """The same for a g with one position: a matrix product, without a sum over padding zeros."""
    samples, (outputs, inner, *kernel) = g.shape[0], w.shape
    rows = permute(reshape(g, shape=(samples, groups, outputs // groups)), axes=(1, 0, 2))
    taps = reshape(w, shape=(groups, outputs // groups, inner * math.prod(kernel)))
    y = permute(matmul(rows, taps), axes=(1, 0, 2))
    y = reshape(y, shape=(samples, groups * inner, *kernel))
    return padded(y, (0, 0, *before), (0, 0, *after), (1, 1, *dilation))


def _over_dilated(
    g: Any, flipped: Any, before: Sizes, extents: Sizes, stride: Sizes, dilation: Sizes, groups: int
) -> Any:
    """Slides a flipped kernel over g dilated by the stride, for `extents` positions."""
    if 0 in flipped.shape[2:]:
        zero = g.literal(0, g.dtype)
        return broadcast_to(zero, shape=(g.shape[0], flipped.shape[0], *extents))
    edges = [covered - 1 for covered in map(effective_extent, flipped.shape[2:], dilation)]
    starts = [edge + count for edge, count in zip(edges, before, strict=True)]
    widths = [(extent - 1) * step + 1 for extent, step in zip(g.shape[2:], stride, strict=True)]
    axes = zip(extents, edges, starts, widths, strict=True)
    ends = [extent + edge - start - width for extent, edge, start, width in axes]
    dilated = padded(g, (0, 0, *starts), (0, 0, *ends), (1, 1, *stride))
    ones = (1,) * len(stride)
    return convolution(dilated, flipped, stride=ones, dilation=dilation, groups=groups)


def _by_phases(
    g: Any, flipped: Any, before: Sizes, extents: Sizes, stride: Sizes, dilation: Sizes, groups: int
) -> Any:
    """The same without zeros in between: positions `stride` apart see the same taps of the kernel.

    So each sub-pixel phase is a convolution with a part of the kernel, and their results are
    interleaved.
    """
    steps = tuple(s if d == 1 else 1 for s, d in zip(stride, dilation, strict=True))
    strides = tuple(s // step for s, step in zip(stride, steps, strict=True))
    counts = tuple(-(-extent // step) for extent, step in zip(extents, steps, strict=True))
    results = []
    for phases in itertools.product(*map(range, steps)):
        axes = zip(phases, before, flipped.shape[2:], steps, strict=True)
        start, stop, shift = zip(*itertools.starmap(_phase, axes), strict=True)
        stop = (*flipped.shape[:2], *stop)
        kernel = slice_(flipped, start=(0, 0, *start), stop=stop, step=(1, 1, *steps))
        results.append(_over_dilated(g, kernel, shift, counts, strides, dilation, groups))
    return _interleaved(results, extents, steps)


def _phase(phase: int, before: int, taps: int, step: int) -> tuple[int, int, int]:
    """Returns the first tap of a flipped kernel that a phase sees, the end of its taps, and how
    many elements come before its first position.

    Tap k of the unflipped kernel meets position i where k = i - before, modulo the step.
    """
    first = (phase - before) % step
    last = max(0, taps - 1 - first)
    return last % step, max(0, taps - first), (before + first - phase) // step


def _interleaved(parts: list[Any], extents: Sizes, steps: Sizes) -> Any:
    """Interleaves the elements of phases; `parts` has one array per phase, in row-major order."""
    counts = parts[0].shape[2:]
    pairs = tuple(itertools.chain(*((count, 1) for count in counts)))
    parts = [reshape(part, shape=(*part.shape[:2], *pairs)) for part in parts]
    for axis in reversed(range(len(steps))):
        step = steps[axis]
        groups = [parts[first : first + step] for first in range(0, len(parts), step)]
        parts = [concatenate(*group, axis=3 + 2 * axis) for group in groups]
    (joined,) = parts
    full = tuple(count * step for count, step in zip(counts, steps, strict=True))
    joined = reshape(joined, shape=(*joined.shape[:2], *full))
    return cropped(joined, (*joined.shape[:2], *extents))


def padded(x: Any, before: Sizes, after: Sizes, step: Sizes) -> Any:
    """Returns x with zeros before, after and between its elements; negative counts drop some."""
    x = pad(
        x,
        low=tuple(max(0, count) for count in before),
        high=tuple(max(0, count) for count in after),
        step=step,
    )
    start = tuple(max(0, -count) for count in before)
    stop = tuple(extent - max(0, -count) for extent, count in zip(x.shape, after, strict=True))
    if start == (0,) * x.ndim and stop == x.shape:
        return x
    return slice_(x, start=start, stop=stop, step=(1,) * x.ndim)


def _input_gradient(
    g: Any, w: Any, shape: Shape, stride: Sizes, dilation: Sizes, groups: int
) -> Any:
    """dx[n, c, i] = sum over o, k, p with p * stride + k * dilation = i of g[n, o, p] w[o, c, k]"""
    covered = map(effective_extent, w.shape[2:], dilation)
    axes = zip(shape[2:], g.shape[2:], stride, covered, strict=True)
    unread = tuple([extent - (count - 1) * step - taps for extent, count, step, taps in axes])
    return transposed(g, w, (0,) * len(unread), unread, stride, dilation, groups)


def _kernel_gradient(
    g: Any, x: Any, shape: Shape, stride: Sizes, dilation: Sizes, groups: int
) -> Any:
    """dw[o, c, k] = sum over n, p of x[n, c, p * stride + k * dilation] g[n, o, p]

    So g is the kernel, samples take the place of channels, and stride and dilation swap roles. Each
    o sees only the c of its own group: the N samples of each group of x form one group of channels
    (groups * N in total), and the outputs o, which are g's kernels, fall into the same groups in
    the same order.
    """
    inner, outputs = shape[1], g.shape[1]
    samples, spatial = x.shape[0], x.shape[2:]
    moved = reshape(x, shape=(samples, groups, inner, *spatial))
    moved = permute(moved, axes=(2, 1, 0, *range(3, moved.ndim)))
    moved = reshape(moved, shape=(inner, groups * samples, *spatial))
    covered = map(effective_extent, g.shape[2:], stride)
    axes = zip(shape[2:], dilation, covered, strict=True)
    read = [(taps - 1) * gap + extent for taps, gap, extent in axes]
    moved = cropped(moved, (*moved.shape[:2], *read))
    result = convolution(moved, _swapped(g), stride=dilation, dilation=stride, groups=groups)
    return _swapped(reshape(result, shape=(inner, outputs, *shape[2:])))


def _swapped(x: Any) -> Any:
    """Returns a Tensor with its first two axes swapped."""
    return permute(x, axes=(1, 0, *range(2, x.ndim)))


def _each_its_kernel(x: Any, w: Any, stride: Sizes, dilation: Sizes, groups: int) -> Any:
    """Convolves each example of a batch with its own kernel, as one group of channels each."""
    size, samples, channels, *spatial = x.shape
    _, outputs, inner, *kernel = w.shape
    settings = {"stride": stride, "dilation": dilation}
    if not size:
        types = Type(x.shape[1:], x.dtype), Type(w.shape[1:], w.dtype)
        example = convolution.infer(*types, **settings, groups=groups)
        return broadcast_to(x.literal(0, x.dtype), shape=(0, *example.shape))
    together = reshape(_swapped(x), shape=(samples, size * channels, *spatial))
    kernels = reshape(w, shape=(size * outputs, inner, *kernel))
    y = convolution(together, kernels, **settings, groups=size * groups)
    return _swapped(reshape(y, shape=(samples, size, outputs, *y.shape[2:])))


convolution: Final = Convolution("convolution")
