"""Runs for the tests of reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, train

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>"


def classifier(folder: Path, classes: tuple[str, ...] = ("no", "yes"), **options: Any) -> Path:
    """Trains a classifier of two classes by `fit`, and returns its run folder."""
    smelt.manual_seed(0)
    x = smelt.randn(120, 4)
    y = (x[:, 0] > 0).to(smelt.int64)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    run = train.RunFolder(folder, model, {"lr": 0.01, "note": "by hand"}, classes=classes)
    train.fit(
        model,
        F.cross_entropy,
        optim.Adam(model.parameters(), lr=0.01),
        (x, y),
        validation=0.25,
        metrics=["accuracy", "f1"],
        progress=False,
        run=run,
        **{"epochs": 3, **options},
    )
    return folder


def written(folder: Path, **files: str | bytes) -> Path:
    """Writes files, whose names have "_" for the dot before the ending, into a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        stem, _, ending = name.rpartition("_")
        data = content.encode() if isinstance(content, str) else content
        (folder / f"{stem}.{ending}").write_bytes(data)
    return folder


def rows(count: int, **more: float) -> str:
    """Returns lines of metrics.jsonl."""
    every = (
        {"epoch": n, "loss": 1 / n, "held_out_loss": 2 / n, "seconds": 0.5, **more}
        for n in range(1, count + 1)
    )
    return "".join(json.dumps(row) + "\n" for row in every)
