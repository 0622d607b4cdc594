"""How often a classifier is right, compared with its confidence."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["BINS", "reliability"]

BINS = 10  # of confidence, each as wide


def reliability(confidence: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Returns how often answers are right, compared with their confidence.

    Args:
        confidence: the probability of each answer, 0 to 1, (n,).
        right: whether it is right, bool (n,).

    Returns:
        "bins", for each tenth of confidence that occurs its "rows", mean "confidence" and
        "accuracy"; "error", the expected calibration error: the mean over the answers of
        |confidence - accuracy| of their bins (Guo and others 2017).
    """
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = [
        {
            "rows": int((places == place).sum()),
            "confidence": float(confidence[places == place].mean()),
            "accuracy": float(right[places == place].mean()),
        }
        for place in np.unique(places)
    ]
    apart = sum(each["rows"] * abs(each["confidence"] - each["accuracy"]) for each in bins)
    return {"bins": bins, "error": float(apart / max(len(right), 1))}
