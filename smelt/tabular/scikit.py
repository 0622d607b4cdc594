"""What scikit-learn expects of an estimator, where it is loaded; it is never needed."""

from __future__ import annotations

import sys
from typing import Any

from smelt.errors import ArgumentError

__all__ = ["is_sparse", "not_fitted", "tags", "warning_of_conversion"]


def not_fitted(message: str) -> Exception:
    """Returns the error of an estimator that has learned nothing yet; for scikit-learn, where it
    is loaded, its own NotFittedError as well.
    """
    if sys.modules.get("sklearn") is None:
        return ArgumentError(message)
    from sklearn.exceptions import NotFittedError

    return type("NotFitted", (ArgumentError, NotFittedError), {})(message)


def warning_of_conversion() -> type[Warning]:
    """Returns the class of the warning that targets were given as a column."""
    if sys.modules.get("sklearn") is None:
        return UserWarning
    from sklearn.exceptions import DataConversionWarning

    return DataConversionWarning


def tags(kind: str) -> Any:
    """Returns what scikit-learn wants to know of a "classifier" or "regressor"."""
    from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

    return Tags(
        estimator_type=kind,
        target_tags=TargetTags(required=True),
        classifier_tags=ClassifierTags() if kind == "classifier" else None,
        regressor_tags=RegressorTags() if kind == "regressor" else None,
        input_tags=InputTags(allow_nan=True, string=True, categorical=True),
    )


def is_sparse(x: Any) -> bool:
    """Returns whether something is a sparse matrix of SciPy."""
    return type(x).__module__.startswith("scipy.sparse")
