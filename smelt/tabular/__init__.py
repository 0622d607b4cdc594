"""Tables in one call: estimators for raw tables, with scikit-learn's interface."""

from __future__ import annotations

import os

import numpy as np

from smelt.tabular.classifier import TabularClassifier
from smelt.tabular.keeping import fill_in, read_state
from smelt.tabular.regressor import TabularRegressor
from smelt.tensor.checked import checked_constructors as _checked_constructors
from smelt.tensor.checked import checked_names as _checked_names

__all__ = ["TabularClassifier", "TabularRegressor", "load"]

# settings are looked at by fit, as scikit-learn wants it
_checked_constructors(globals(), __all__, every_kind=None)


def load(path: str | os.PathLike[str]) -> TabularClassifier | TabularRegressor:
    """Returns a saved estimator, with its preprocessing, ready to predict.

    No code from the file is run or imported.

    Args:
        path: the folder of a run of `smelt fit`, or a file that `save` of the estimator wrote.

    Raises:
        FileError: there is no such file, it is damaged, or it is of another kind.
        StateError: its contents are inconsistent.
        MissingExtra: the library `safetensors` is not installed.
    """
    state = read_state(path)
    estimator: TabularClassifier | TabularRegressor
    if state["estimator"] == "classifier":
        estimator = TabularClassifier(**state["settings"])
        estimator.classes_ = np.array(state["classes"], dtype=state["classes_dtype"])
    else:
        estimator = TabularRegressor(**state["settings"])
    fill_in(estimator, state)
    return estimator


_checked_names(globals(), __all__, __name__)
