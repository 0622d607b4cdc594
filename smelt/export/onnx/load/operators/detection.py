"""Detecting objects: which boxes remain, and what lies within them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from smelt.export.onnx.load.card import Call, Card, Cards, Node
from smelt.tensor import Tensor, as_tensor

# --- boxes ----------------------------------------------------------------------------------------


def _corners(call: Call, boxes: np.ndarray) -> np.ndarray:
    """Returns boxes (N, 4) by their lowest and their highest coordinates (2, N, 2)."""
    first, second = boxes[:, :2], boxes[:, 2:]
    if call["center_point_box"]:
        return np.stack([first - second / 2, first + second / 2])
    return np.stack([np.minimum(first, second), np.maximum(first, second)])


def _overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the areas that a box (2, 2) shares with others (2, N, 2), by those of both together;
    0 where there is no area.
    """
    shared = np.minimum(box[1], others[1]) - np.maximum(box[0], others[0])
    common = np.prod(np.maximum(shared, 0), axis=-1)
    areas = np.prod(others[1] - others[0], axis=-1)
    whole = np.prod(box[1] - box[0]) + areas - common
    return np.divide(common, whole, out=np.zeros_like(common), where=(whole > 0) & (common > 0))


def _remaining(corners: np.ndarray, scores: np.ndarray, most: int, overlap: float) -> list[int]:
    """Returns the boxes of one class that remain, the best one first: each that overlaps none of
    the better ones that remain by more than `overlap`.
    """
    chosen: list[int] = []
    pending = np.argsort(-scores, kind="stable")
    while len(pending) and len(chosen) < most:
        best, pending = int(pending[0]), pending[1:]
        chosen.append(best)
        pending = pending[_overlaps(corners[:, best], corners[:, pending]) <= overlap]
    return chosen


def _non_max_suppression(
    call: Call,
    boxes: np.ndarray,
    scores: np.ndarray,
    most: np.ndarray | None = None,
    overlap: np.ndarray | None = None,
    least: np.ndarray | None = None,
) -> Tensor:
    """Returns which boxes remain: rows of sample, class and box (Neubeck and Van Gool, 2006)."""
    count = int(_number(most, 0))
    limit, threshold = _number(overlap, 0.0), _number(least, -np.inf)
    rows = []
    for sample, (these, classes) in enumerate(zip(boxes, scores, strict=True)):
        corners = _corners(call, these)
        for kind, given in enumerate(classes):
            likely = np.flatnonzero(given > threshold)
            found = _remaining(corners[:, likely], given[likely], count, limit)
            rows += [(sample, kind, int(likely[box])) for box in found]
    return as_tensor(np.array(rows, np.int64).reshape(-1, 3))


def _number(given: np.ndarray | None, default: float) -> float:
    return default if given is None or not given.size else given.reshape(-1)[0]


# --- regions --------------------------------------------------------------------------------------


def _means(start: float, size: float, bins: int, ratio: int, extent: int) -> np.ndarray:
    """Returns the matrix (bins, extent) by which an axis of an image becomes means over the bins
    of a region, each of some points between whose neighbors it is interpolated.
    """
    samples = ratio if ratio > 0 else max(1, int(np.ceil(size / bins)))
    steps = np.arange(bins)[:, None] + (np.arange(samples) + 0.5) / samples
    places = start + steps * (size / bins)
    inside = (places >= -1) & (places <= extent)
    places = np.clip(places, 0, extent - 1)
    below = np.minimum(places.astype(np.int64), max(0, extent - 2))
    share = places - below
    matrix = np.zeros((bins, extent))
    rows = np.broadcast_to(np.arange(bins)[:, None], places.shape)
    np.add.at(matrix, (rows, below), (1 - share) * inside / samples)
    np.add.at(matrix, (rows, np.minimum(below + 1, extent - 1)), share * inside / samples)
    return matrix


def _roi_align(call: Call, x: Tensor, regions: np.ndarray, samples: np.ndarray) -> Tensor:
    """Returns means over the bins of regions of images (He et al., "Mask R-CNN", 2017).

    Both axes are interpolated by themselves, so that a region is a product of three matrices.
    """
    is_aligned = call.opset >= 16 and call["coordinate_transformation_mode"] == "half_pixel"
    ends = regions.astype(np.float64) * call["spatial_scale"] - (0.5 if is_aligned else 0.0)
    first, sizes = ends[:, :2], ends[:, 2:] - ends[:, :2]
    sizes = sizes if is_aligned else np.maximum(sizes, 1.0)
    compute = x.dtype.compute
    matrices = []
    for place, bins in ((1, call["output_height"]), (0, call["output_width"])):
        extent = x.shape[3 - place]
        lines = [
            _means(start, size, bins, call["sampling_ratio"], extent)
            for start, size in zip(first[:, place], sizes[:, place], strict=True)
        ]
        stacked = np.array(lines).reshape(-1, 1, bins, extent)
        matrices.append(as_tensor(stacked.astype(compute.storage)))
    images = x.to(compute)[as_tensor(samples.astype(np.int64))]
    rows, columns = matrices
    result: Tensor = rows @ images @ columns.mT
    return result.to(x.dtype)


def _refused_mode(node: Node) -> str:
    mode = node.settings["mode"]
    return "" if mode == "avg" else f"mode {mode!r}"


ROI_ALIGN: Final[dict[str, Any]] = {
    "mode": "avg", "coordinate_transformation_mode": "half_pixel", "output_height": 1,
    "output_width": 1, "sampling_ratio": 0, "spatial_scale": 1.0,
}  # fmt: skip
CARDS: Final[Cards] = {
    "NonMaxSuppression": Card(
        _non_max_suppression, {"center_point_box": 0}, numbers=(0, 1, 2, 3, 4), first=10
    ),
    "RoiAlign": Card(_roi_align, ROI_ALIGN, numbers=(1, 2), first=10, refused=_refused_mode),
}
