"""Fourier transforms, as products with matrices of angles; pairs of real and imaginary parts."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from smelt.creation import arange
from smelt.export.onnx.load.card import INT, Call, Card, Cards, Node
from smelt.export.onnx.load.operators.movement import padded
from smelt.export.onnx.load.operators.shapes import axes_from_front
from smelt.export.onnx.load.tensors import KINDS, type_name
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.shaping import stack


def _angles(length: int, count: int, dtype: Any) -> tuple[Tensor, Tensor]:
    """Returns cos and sin of 2 pi n k / length, for n below length and k below count."""
    steps = np.outer(np.arange(length), np.arange(count)) % length
    angles = steps * (2 * math.pi / length)
    return tuple([as_tensor(f(angles).astype(dtype.storage)) for f in (np.cos, np.sin)])  # type: ignore[return-value]


def _transformed(rows: Tensor, inverse: bool, count: int) -> Tensor:
    """Returns the transform of rows (..., N, 1 or 2) along N: (..., count, 2)."""
    length = rows.shape[-2]
    cosines, sines = _angles(length, count, rows.dtype)
    real = rows[..., 0]
    parts = [real @ cosines, -(real @ sines)]
    if rows.shape[-1] == 2:
        imaginary = rows[..., 1]
        sign = -1.0 if inverse else 1.0
        parts = [
            real @ cosines + (imaginary @ sines) * sign,
            imaginary @ cosines - (real @ sines) * sign,
        ]
    elif inverse:
        parts[1] = -parts[1]
    y = stack(parts, -1)
    return y / length if inverse else y


def _dft(
    call: Call, x: Tensor, length: np.ndarray | None = None, axis: np.ndarray | None = None
) -> Tensor:
    given = call["axis"] if axis is None else int(axis.reshape(()))
    given = (1 if call.opset < 20 else -2) if given is None else given
    (place,) = axes_from_front([given], x.ndim)
    inverse, one_sided = bool(call["inverse"]), bool(call["onesided"])
    whole = 2 * (x.shape[place] - 1) if inverse and one_sided else x.shape[place]
    extent = whole if length is None else int(length.reshape(()))
    half = extent // 2 + 1
    rows = x.movedim(place, -2)
    if inverse and one_sided:
        rows = _whole_spectrum(rows, extent)
    missing = extent - rows.shape[-2]
    if missing:
        edge = [0] * (x.ndim - 2)
        rows = padded(rows, [0] * x.ndim, [*edge, missing, 0])
    y = _transformed(rows, inverse, half if one_sided and not inverse else extent)
    y = y[..., :1] if inverse and one_sided else y
    return y.movedim(-2, place)


def _whole_spectrum(rows: Tensor, extent: int) -> Tensor:
    """Returns a spectrum of real numbers of which the second half was left out."""
    places = np.arange(extent)
    mirrored = np.where(places < rows.shape[-2], places, extent - places)
    sign = np.where(places < rows.shape[-2], 1.0, -1.0)
    found = rows[..., as_tensor(mirrored), :]
    return stack([found[..., 0], found[..., 1] * as_tensor(sign.astype(rows.dtype.storage))], -1)


def _stft(
    call: Call,
    x: Tensor,
    step: np.ndarray,
    window: Tensor | None = None,
    length: np.ndarray | None = None,
) -> Tensor:
    """Transforms of frames of a signal (B, N, 1 or 2): (B, frames, frequencies, 2)."""
    stride = int(step.reshape(()))
    if length is not None:
        size = int(length.reshape(()))
    elif window is not None:
        size = window.shape[0]
    else:
        raise call.wrong("has neither a window nor a frame_length")
    frames = (x.shape[1] - size) // stride + 1
    places = arange(frames).unsqueeze(1) * stride + arange(size)
    rows = x[:, places]
    if window is not None:
        rows = rows * window.unsqueeze(-1)
    return _transformed(rows, False, size // 2 + 1 if call["onesided"] else size)


def _mel_weights(call: Call, *given: np.ndarray) -> Tensor:
    """Returns the matrix (frequencies, bands) of triangles of equal width on the mel scale, on
    which 1000 Hz is 1000 (O'Shaughnessy, 1987); their corners are rounded to frequencies.
    """
    bands, length, rate, lowest, highest = (number.reshape(()).item() for number in given)
    ends = [2595 * math.log10(1 + frequency / 700) for frequency in (lowest, highest)]
    steps = ends[0] + np.arange(bands + 2) * ((ends[1] - ends[0]) / (bands + 2))
    hertz = 700 * (10 ** (steps / 2595) - 1)
    corners = ((length + 1) * hertz // rate).astype(np.int64)
    frequencies = np.arange(length // 2 + 1)[:, None]
    low, center, high = corners[:-2], corners[1:-1], corners[2:]
    rising = (frequencies - low) / np.maximum(center - low, 1)
    falling = (high - frequencies) / np.maximum(high - center, 1)
    rises = (frequencies >= low) & (frequencies <= center)
    falls = (frequencies >= center) & (frequencies < high)
    weights = np.where(rises, np.where(center == low, 1.0, rising), 0.0)
    weights = np.where(falls, falling, weights)
    dtype = KINDS[call["output_datatype"]].dtype
    return as_tensor(weights).to(dtype)


def _refused_dtype(node: Node) -> str:
    wanted = node.settings["output_datatype"]
    is_float = wanted in KINDS and KINDS[wanted].dtype.is_float
    return "" if is_float else f"numbers of {type_name(wanted)}"


CARDS: Final[Cards] = {
    "DFT": Card(_dft, {"axis": INT, "inverse": 0, "onesided": 0}, numbers=(1, 2), first=17),
    "MelWeightMatrix": Card(
        _mel_weights,
        {"output_datatype": 1},
        numbers=(0, 1, 2, 3, 4),
        first=17,
        refused=_refused_dtype,
    ),
    "STFT": Card(_stft, {"onesided": 1}, numbers=(1, 3), first=17),
}
