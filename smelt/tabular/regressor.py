"""`TabularRegressor`: a number for each row of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.tabular.estimator import TabularEstimator
from smelt.tabular.rows import number_targets, targets_of
from smelt.tabular.task import Numbers, Task
from smelt.tensor.checked import checked

__all__ = ["TabularRegressor"]


class TabularRegressor(TabularEstimator):
    """Predicts a number for each row of a table, by networks that start from linear regression.

    Arguments and attributes are those of `TabularClassifier`, without `classes_`.

    Example:
        >>> table = {"x": [n / 20 for n in range(40)]}
        >>> model = TabularRegressor(random_state=0).fit(table, [3 * x + 1 for x in table["x"]])
        >>> bool(abs(model.predict({"x": [1.0]})[0] - 4) < 0.1)
        True
    """

    _kind = "regressor"

    def predict(self, X: Any) -> np.ndarray:
        """Returns the predicted number for each row, float64 (n,).

        Args:
            X: rows as in `fit`; of a table further columns are not looked at.

        Raises:
            ArgumentError: nothing has been fitted yet, or a column is not there.
            DTypeError: a column of numbers holds text.
            ShapeError: an array has another number of columns.
        """
        return self._predicted(X)

    @checked
    def score(self, X: Any, y: Any) -> float:
        """Returns R²: 1 - sum of squared errors / sum of squares around the mean.

        Args:
            X: rows as in `fit`.
            y: their targets (n,); or the name of the column of the table that holds them.
        """
        y = X[y] if isinstance(y, str) else y
        predicted = self.predict(X)
        target = number_targets(self._name, targets_of(self._name, y, len(predicted)))
        around = float(np.square(target - target.mean()).sum())
        return 1 - float(np.square(target - predicted).sum()) / around if around else 0.0

    def _learn_target(self, column: Any) -> tuple[Task, np.ndarray]:
        numbers = number_targets(self._name, column)
        return Numbers(float(numbers.mean()), float(numbers.std()) or 1.0), numbers
