"""Windows of convolutions and poolings: how they lie on the axes of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from smelt.export.onnx.load.card import INTS, Call
from smelt.ops.convolution import effective_extent

Sizes = tuple[Any, ...]

WINDOWS: Final[dict[str, Any]] = {  # settings that all of them have
    "kernel_shape": INTS, "strides": INTS, "pads": INTS, "auto_pad": "NOTSET", "dilations": INTS,
}  # fmt: skip


def per_axis(call: Call, name: str, count: int, default: int = 1) -> Sizes:
    """Returns a setting of one number for each axis."""
    given = call[name]
    if given is None or not given:
        return (default,) * count
    if len(given) != count:
        raise call.wrong(f"{name} {given} has not one number for each of {count} axes")
    return tuple(given)


def paddings(
    call: Call, extents: Sequence[Any], kernel: Sizes, stride: Sizes, dilation: Sizes
) -> tuple[Sizes, Sizes]:
    """Returns how many elements come before and behind each axis."""
    count, auto = len(kernel), call["auto_pad"]
    if auto in ("NOTSET", ""):
        pads = per_axis(call, "pads", 2 * count, 0)
        return pads[:count], pads[count:]
    if auto == "VALID":
        return (0,) * count, (0,) * count
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise call.wrong(f"auto_pad {auto!r} is none of ONNX's")
    before, behind = [], []
    for extent, taps, step, gap in zip(extents, kernel, stride, dilation, strict=True):
        covered = (-(-extent // step) - 1) * step + effective_extent(taps, gap)
        missing = max(0, covered - extent)
        small, large = missing // 2, missing - missing // 2
        before.append(small if auto == "SAME_UPPER" else large)
        behind.append(large if auto == "SAME_UPPER" else small)
    return tuple(before), tuple(behind)


def counts(
    call: Call,
    extents: Sequence[Any],
    kernel: Sizes,
    stride: Sizes,
    dilation: Sizes,
    pads: tuple[Sizes, Sizes],
) -> Sizes:
    """Returns how many windows there are along each axis; one may begin inside and end beyond."""
    result = []
    axes = zip(extents, kernel, stride, dilation, *pads, strict=True)
    for extent, taps, step, gap, low, high in axes:
        room = extent + low + high - effective_extent(taps, gap)
        number = (room + (step - 1 if call["ceil_mode"] else 0)) // step + 1
        if call["ceil_mode"] and (number - 1) * step >= extent + low:
            number = number - 1
        result.append(number)
    return tuple(result)
