"""scikit-learn's base classes, and for type checkers what scikit-learn itself does not type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

__all__ = ["BaseEstimator", "ClassifierMixin", "RegressorMixin"]

if TYPE_CHECKING:

    class BaseEstimator:
        """What every estimator has."""

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """Returns the settings, by name."""

        def set_params(self, **params: Any) -> Self:
            """Changes settings; returns the estimator."""

        def get_metadata_routing(self) -> Any:
            """Returns which metadata the methods ask for."""

        def __sklearn_tags__(self) -> Any: ...

    class _Scored:
        def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
            """Returns how good predictions are."""

        def __sklearn_tags__(self) -> Any: ...

    class ClassifierMixin(_Scored):
        """What every classifier has; `score` is the accuracy."""

    class RegressorMixin(_Scored):
        """What every regressor has; `score` is R^2."""

else:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
