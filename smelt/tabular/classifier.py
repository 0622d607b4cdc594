"""`TabularClassifier`: the class of each row of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from smelt.tabular.estimator import TabularEstimator
from smelt.tabular.rows import class_numbers, targets_of
from smelt.tabular.task import Classes, Task
from smelt.tensor.checked import checked

__all__ = ["TabularClassifier"]


class TabularClassifier(TabularEstimator):
    """Predicts the class of each row of a table, by networks that start from logistic regression.

    Columns are numbers, categories, dates or text, with possibly missing values; their kind is
    inferred, as in `data.Preprocessing`. A member of the ensemble is logistic regression plus
    hidden layers that learn what it misses. The rows that a member has not seen decide when to
    stop, and calibrate the probabilities.

    Args:
        types: name -> "number", "category", "date", "text", "presence" or "ignore", for columns
            whose kind should not be inferred.
        max_categories: maximum number of different texts in a column of categories.
        text_features: number of columns for each column of text.
        members: number of networks, each of which holds out a different part of the rows; None: 8,
            and 4 from 4,000 rows on.
        width: units of a hidden layer; None: 128, and 256 from 4,000 rows on.
        blocks: hidden layers after the first.
        dropout: the share of units that is dropped; None: 0.3, and 0.1 from 4,000 rows on.
        bins: number of intervals into which the range of a number is divided; None: 16, and 32 from
            4,000 rows on.
        learning_rate: of AdamW at the start; None: 0.001, and 0.002 from 4,000 rows on.
        weight_decay: of AdamW.
        batch_size: rows per step; None: 32 to 256, depending on the number of rows.
        max_epochs: maximum number of passes over the rows; None: 100, fewer for large tables.
        patience: number of passes without a better held-out loss after which training ends.
        random_state: a seed, a generator of NumPy, or None.
        verbose: whether to show the progress.

    Attributes:
        classes_: (classes,), the labels, sorted.
        preprocessing_: the fitted `data.Preprocessing`; its `types_` and `reasons_` say how each
            column is used.
        network_: the trained module.
        history_: the epochs, a `train.History`.
        n_iter_: number of epochs.
        summary_: rows, members, penalty of the linear part, held-out losses of the linear part
            alone and of the network, and the best epoch.
        n_features_in_: number of columns in `fit`.
        feature_names_in_: their names, if they had any.

    Example:
        >>> table = {"size": [1.0, 2.0, 3.0, 4.0] * 10, "kind": ["a", "b"] * 20}
        >>> labels = ["small", "small", "large", "large"] * 10
        >>> model = TabularClassifier(random_state=0).fit(table, labels)
        >>> model.predict({"size": [1.5, 3.5], "kind": ["b", "unseen"]}).tolist()
        ['small', 'large']
    """

    _kind = "classifier"
    classes_: np.ndarray

    def predict(self, X: Any) -> np.ndarray:
        """Returns the most probable class of each row, (n,).

        Args:
            X: rows as in `fit`; further columns of a table are ignored.

        Raises:
            ArgumentError: the estimator has not been fitted yet, or a column is missing.
            DTypeError: a column of numbers holds text.
            ShapeError: an array has a different number of columns.
        """
        chosen = self.predict_proba(X).argmax(1)
        return self.classes_[chosen]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Returns the probability of each class, float64 (n, classes), in the order of `classes_`.

        Args and errors are as in `predict`.
        """
        return self._predicted(X)

    @checked
    def score(self, X: Any, y: Any) -> float:
        """Returns the accuracy: the share of rows whose class is predicted correctly.

        Args:
            X: rows as in `fit`.
            y: their classes (n,); or the name of the column of the table that holds them.
        """
        y = X[y] if isinstance(y, str) else y
        predicted = self.predict(X)
        return float(np.mean(predicted == np.array(targets_of(self._name, y, len(predicted)))))

    def _learn_target(self, column: Any) -> tuple[Task, np.ndarray]:
        self.classes_, numbers = class_numbers(self._name, column)
        return Classes(len(self.classes_)), numbers

    def _state(self) -> dict[str, Any]:
        kind = self.classes_.dtype.str
        return {**super()._state(), "classes": self.classes_.tolist(), "classes_dtype": kind}
