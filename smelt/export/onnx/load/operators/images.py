"""Images: resizing them, and reading them at computed positions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from smelt import dtypes
from smelt.creation import arange
from smelt.export.onnx.load.card import FLOATS, INTS, Call, Card, Cards, Node
from smelt.export.onnx.load.operators.shapes import axes_from_front
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.elementary import abs, clamp, floor, round, where
from smelt.tensor.shaping import stack

Settings = Call | Mapping[str, Any]

# --- resizing: each axis by itself, as a matrix of weights ----------------------------------------


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Returns the weights of Keys (1981) by distance."""
    x = np.abs(distance)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _linear(distance: np.ndarray, a: float) -> np.ndarray:
    return np.clip(1 - np.abs(distance), 0, 1)


KERNELS: Final = {"linear": (_linear, 1), "cubic": (_cubic, 2)}  # and how far they reach


def _positions(
    call: Call, extent: int, wanted: int, scale: float, region: tuple[float, float]
) -> np.ndarray:
    """Returns where the new elements of an axis lie among the old ones."""
    mode, places = call["coordinate_transformation_mode"], np.arange(wanted, dtype=np.float64)
    length = scale * extent
    if mode == "align_corners":
        return places * (extent - 1) / (length - 1) if length != 1 else places * 0
    if mode == "asymmetric":
        return places / scale
    if mode == "tf_crop_and_resize":
        low, high = region
        if length == 1:
            return places * 0 + (low + high) * (extent - 1) / 2
        return places * (high - low) * (extent - 1) / (length - 1) + low * (extent - 1)
    centers = (places + 0.5) / scale - 0.5
    if mode == "pytorch_half_pixel" and length == 1:
        return centers * 0 - 0.5
    if mode == "half_pixel_symmetric":
        return centers + extent / 2 * (1 - wanted / length)
    return centers


def _nearest(call: Call, positions: np.ndarray, extent: int) -> np.ndarray:
    mode, below = call["nearest_mode"], np.floor(positions)
    share = positions - below
    if mode == "floor":
        places = below
    elif mode == "ceil":
        places = np.ceil(positions)
    elif mode == "round_prefer_ceil":
        places = below + (share >= 0.5)
    else:
        places = below + (share > 0.5)
    return np.clip(places, 0, extent - 1).astype(np.int64)


def _weights(call: Call, positions: np.ndarray, extent: int, scale: float) -> np.ndarray:
    """Returns the matrix (new, old) by which an axis is multiplied."""
    kernel, reach = KERNELS[call["mode"]]
    narrow = min(scale, 1.0) if call["antialias"] else 1.0
    width = math.ceil(reach / narrow)
    first = np.floor(positions).astype(np.int64)
    taps = first[:, None] + np.arange(-width, width + 2)
    weights = kernel((taps - positions[:, None]) * narrow, call["cubic_coeff_a"])
    if call["exclude_outside"]:
        weights = np.where((taps < 0) | (taps >= extent), 0.0, weights)
    weights = weights / weights.sum(1, keepdims=True)
    matrix = np.zeros((len(positions), extent))
    np.add.at(matrix, (np.arange(len(positions))[:, None], np.clip(taps, 0, extent - 1)), weights)
    return matrix


def _resized(call: Call, x: Tensor, axis: int, wanted: int, scale: float, region: Any) -> Tensor:
    extent = x.shape[axis]
    positions = _positions(call, extent, wanted, scale, region)
    if call["mode"] == "nearest":
        places = as_tensor(_nearest(call, positions, extent))
        result: Tensor = x[(slice(None),) * axis + (places,)]
    else:
        matrix = as_tensor(_weights(call, positions, extent, scale).astype(x.dtype.storage))
        result = (x.movedim(axis, -1) @ matrix.T).movedim(-1, axis)
    if call["coordinate_transformation_mode"] != "tf_crop_and_resize":
        return result
    inside = (positions >= 0) & (positions <= extent - 1)
    shape = [-1 if other == axis else 1 for other in range(x.ndim)]
    outside = as_tensor(call["extrapolation_value"], result.dtype)
    return where(as_tensor(inside).reshape(shape), result, outside)


def _resize(
    call: Call,
    x: Tensor,
    roi: np.ndarray | None = None,
    scales: np.ndarray | None = None,
    sizes: np.ndarray | None = None,
) -> Tensor:
    if call.opset < 11:
        roi, scales = None, roi
    axes = (
        list(range(x.ndim)) if call["axes"] is None else list(axes_from_front(call["axes"], x.ndim))
    )
    given = [] if scales is None else [float(scale) for scale in scales.reshape(-1)]
    wanted = [] if sizes is None else [int(size) for size in sizes.reshape(-1)]
    extents = [x.shape[axis] for axis in axes]
    if wanted:
        given = [size / extent for size, extent in zip(wanted, extents, strict=True)]
        if call["keep_aspect_ratio_policy"] != "stretch":
            choose = min if call["keep_aspect_ratio_policy"] == "not_larger" else max
            given = [choose(given)] * len(axes)
            wanted = [math.floor(given[0] * extent + 0.5) for extent in extents]
    else:
        pairs = zip(extents, given, strict=True)
        wanted = [extent if scale == 1 else math.floor(extent * scale) for extent, scale in pairs]
    kind, y = x.dtype, x if call["mode"] == "nearest" else x.to(x.dtype.compute)
    regions = [(0.0, 1.0)] * len(axes)
    if roi is not None and roi.size:
        count = len(axes)
        regions = [(float(roi[k]), float(roi[k + count])) for k in range(count)]
    crops = call["coordinate_transformation_mode"] == "tf_crop_and_resize"
    for axis, size, scale, region in zip(axes, wanted, given, regions, strict=True):
        if scale != 1 or (crops and region != (0.0, 1.0)):
            y = _resized(call, y, axis, size, scale, region)
    return y.to(kind)


def _refused_resize(node: Node) -> str:
    mode = node.settings["mode"]
    return "" if mode in ("nearest", *KERNELS) else f"mode {mode!r}"


# --- sampling -------------------------------------------------------------------------------------


def _affine_grid(call: Call, theta: Tensor, size: np.ndarray) -> Tensor:
    """Returns the positions that an affine map gives the pixels of an image."""
    samples, _, *extents = size.tolist()
    lines = []
    for extent in extents:
        place = arange(extent).to(theta.dtype)
        if call["align_corners"]:
            lines.append(place * (2 / max(1, extent - 1)) - 1.0)
        else:
            lines.append((place * 2.0 + 1.0) / extent - 1.0)
    ndim = len(extents)
    grids = [
        line.reshape([-1 if other == axis else 1 for other in range(ndim)]).expand(extents)
        for axis, line in enumerate(lines)
    ]
    one = as_tensor(1.0, theta.dtype).expand(tuple(extents))
    points = stack([*reversed(grids), one], -1).reshape(-1, ndim + 1)
    grid = points @ theta.transpose(-2, -1)
    return grid.reshape(samples, *extents, ndim)


def _unnormalized(call: Call, position: Tensor, extent: int) -> Tensor:
    if call["align_corners"]:
        return (position + 1.0) * ((extent - 1) / 2)
    return ((position + 1.0) * extent - 1.0) / 2.0


def _reflected(position: Tensor, low: float, high: float) -> Tensor:
    """Returns positions that go back and forth between two ends."""
    span = high - low
    if span == 0:
        return position * 0
    away = abs(position - low)
    turns = floor(away / span)
    rest = away - turns * span
    return where(turns % 2 == 0, rest + low, high - rest)


def _sampled(call: Settings, x: Tensor, places: list[Tensor]) -> Tensor:
    """Returns the elements at whole positions (N, P) of each axis, with the padding around."""
    extents, flat, inside = x.shape[2:], None, None
    for place, extent in zip(places, extents, strict=True):
        if call["padding_mode"] == "border":
            place = clamp(place, 0, extent - 1)
        elif call["padding_mode"] == "reflection":
            ends = (0.0, extent - 1.0) if call["align_corners"] else (-0.5, extent - 0.5)
            place = clamp(_reflected(place, *ends), 0, extent - 1)
        here = (place >= 0) & (place <= extent - 1)
        whole = clamp(place, 0, extent - 1).to(dtypes.int64)
        flat = whole if flat is None else flat * extent + whole
        inside = here if inside is None else inside & here
    assert flat is not None
    assert inside is not None
    samples, channels = x.shape[:2]
    rows = x.reshape(samples, channels, math.prod(extents)).transpose(1, 2)
    found = rows[arange(samples).unsqueeze(1), flat]  # (N, P, C)
    return where(inside.unsqueeze(-1), found, 0.0)


def _grid_sample(call: Call, x: Tensor, grid: Tensor) -> Tensor:
    samples, *shape, ndim = grid.shape
    points = grid.reshape(samples, -1, ndim)
    positions = [
        _unnormalized(call, points[..., ndim - 1 - axis], extent)
        for axis, extent in enumerate(x.shape[2:])
    ]
    if call["padding_mode"] != "zeros" and call["mode"] not in ("cubic", "bicubic"):
        positions = [_kept(call, place, n) for place, n in zip(positions, x.shape[2:], strict=True)]
    if call["mode"] == "nearest":
        found = _sampled(call, x, [round(position) for position in positions])
    else:
        found = interpolated(call, x, positions)
    return found.transpose(1, 2).reshape(*x.shape[:2], *shape)


def _kept(call: Call, position: Tensor, extent: int) -> Tensor:
    if call["padding_mode"] == "reflection":
        ends = (0.0, extent - 1.0) if call["align_corners"] else (-0.5, extent - 0.5)
        position = _reflected(position, *ends)
    return clamp(position, 0, extent - 1)


def interpolated(call: Settings, x: Tensor, positions: list[Tensor]) -> Tensor:
    """Returns the sum of the elements around each position, by their distance.

    Args:
        call: the settings: mode, padding_mode and align_corners of GridSample.
        x: (N, C, *S).
        positions: for each axis of S, (N, P).

    Returns:
        (N, P, C).
    """
    is_cubic = call["mode"] in ("cubic", "bicubic")
    offsets = (-1, 0, 1, 2) if is_cubic else (0, 1)
    firsts = [floor(position) for position in positions]
    shares = [position - first for position, first in zip(positions, firsts, strict=True)]
    total: Any = 0
    for taps in itertools.product(offsets, repeat=len(positions)):
        weight: Any = 1
        for tap, share in zip(taps, shares, strict=True):
            weight = weight * (_cubic_weight(share - tap) if is_cubic else 1.0 - abs(share - tap))
        found = _sampled(call, x, [first + tap for first, tap in zip(firsts, taps, strict=True)])
        total = total + found * weight.unsqueeze(-1)
    result: Tensor = total
    return result


def _cubic_weight(distance: Tensor, a: float = -0.75) -> Tensor:
    x = abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return where(x <= 1, near, where(x < 2, far, 0.0))


RESIZE: Final[dict[str, Any]] = {
    "mode": "nearest", "antialias": 0, "axes": INTS, "cubic_coeff_a": -0.75, "exclude_outside": 0,
    "coordinate_transformation_mode": "half_pixel", "extrapolation_value": 0.0,
    "keep_aspect_ratio_policy": "stretch", "nearest_mode": "round_prefer_floor",
}  # fmt: skip


def _upsample(call: Call, x: Tensor, scales: np.ndarray | None = None) -> Tensor:
    given = np.array(call["scales"]) if scales is None else scales
    return _resize(_Asymmetric(call), x, None, given)  # type: ignore[arg-type]


class _Asymmetric:
    """A node of Upsample, as Resize reads its settings."""

    opset = 11

    def __init__(self, call: Call) -> None:
        mode = "linear" if call["mode"] in ("linear", "bilinear") else "nearest"
        own = {
            "mode": mode,
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
        self._settings = {**RESIZE, "axes": None, **own}

    def __getitem__(self, name: str) -> Any:
        return self._settings[name]


CARDS: Final[Cards] = {
    "Resize": Card(_resize, RESIZE, numbers=(1, 2, 3), first=10, refused=_refused_resize),
    "Upsample": Card(
        _upsample, {"mode": "nearest", "scales": FLOATS}, numbers=(1,), first=7, before=10
    ),
    "AffineGrid": Card(_affine_grid, {"align_corners": 0}, numbers=(1,), first=20),
    "GridSample": Card(
        _grid_sample, {"mode": "linear", "padding_mode": "zeros", "align_corners": 0}, first=16
    ),
}
