"""Loading estimators from files, without running code from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt.data import Preprocessing
from smelt.errors import FileError
from smelt.export import load as load_values
from smelt.tabular.network import Design, TabularNetwork
from smelt.tabular.task import task_from

if TYPE_CHECKING:
    from smelt.tabular.estimator import TabularEstimator

__all__ = ["FORMAT", "fill_in", "read_state"]

FORMAT = "estimator.safetensors"  # in the folder of a run
KEYS = {
    "estimator", "settings", "preprocessing", "design", "network", "task", "columns", "names",
    "target", "summary",
}  # fmt: skip


def read_state(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns what an estimator wrote.

    Args:
        path: of the file, or of the folder of a run.

    Raises:
        FileError: there is none, it is damaged, or it is another kind of file or run.
    """
    place = Path(os.fsdecode(path))
    if place.is_dir():
        if not (place / FORMAT).exists():
            raise FileError(f"{place}: holds no run of smelt fit (it has no {FORMAT})")
        place = place / FORMAT
    state = load_values(place)
    if not isinstance(state, dict) or not set(state) >= KEYS:
        raise FileError(f"{place}: holds no estimator of smelt.tabular")
    return state


def fill_in(estimator: TabularEstimator, state: dict[str, Any]) -> None:
    """Gives a new estimator what another has learned.

    Raises:
        StateError: the parts do not fit each other.
    """
    estimator.preprocessing_ = Preprocessing().load_state_dict(state["preprocessing"])
    design = {**state["design"], "cardinalities": tuple(state["design"]["cardinalities"])}
    estimator.design_ = Design(**design)
    estimator.network_ = TabularNetwork(estimator.design_)
    estimator.network_.load_state_dict(state["network"])
    estimator._task = task_from(state["task"])
    estimator._columns, estimator.target_ = list(state["columns"]), state["target"]
    estimator.n_features_in_ = len(estimator._columns)
    if state["names"] is not None:
        estimator.feature_names_in_ = np.array(state["names"], dtype=object)
    estimator.summary_ = dict(state["summary"])
