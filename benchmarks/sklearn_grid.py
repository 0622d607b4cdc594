"""A search over 20 settings of a network beside scikit-learn's own: time, score, compilations.

    python benchmarks/sklearn_grid.py [--table digits|cancer|wine]

Both get the same data, folds, settings and seeds, and make the same updates, in float64 and, for
Smelt, in float32 as well. The first search compiles, with an empty cache; the second has nothing to
compile any more. Threads are those that each takes by itself; `OMP_NUM_THREADS=1 SMELT_THREADS=1`
gives each one.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from typing import Any

import numpy as np

GRID = {
    "mlp__learning_rate_init": [0.0003, 0.001, 0.003, 0.01, 0.03],
    "mlp__alpha": [1e-5, 1e-3, 1e-1, 1.0],
}
FOLDS = 5


def table(name: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn import datasets

    names = {"digits": "load_digits", "cancer": "load_breast_cancer", "wine": "load_wine"}
    return getattr(datasets, names[name])(return_X_y=True)


def searched(kind: Any, x: np.ndarray, y: np.ndarray) -> tuple[float, Any]:
    """Returns the seconds of a search, and the search."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    mlp = kind((64,), max_iter=50, random_state=0)
    pipeline = Pipeline([("scale", StandardScaler()), ("mlp", mlp)])
    search = GridSearchCV(pipeline, GRID, cv=FOLDS)
    start = time.perf_counter()
    search.fit(x, y)
    return time.perf_counter() - start, search


def count_compilations() -> list[Any]:
    """Returns a list that grows by an item with each function that is compiled."""
    from smelt.compiler.frontend.builder import Builder

    made: list[Any] = []
    compile_one = Builder.executable

    def counted(self: Builder, *arguments: Any) -> Any:
        made.append(self)
        return compile_one(self, *arguments)

    Builder.executable = counted  # type: ignore[method-assign]
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--table", default="digits", choices=["digits", "cancer", "wine"])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # 50 epochs are not enough for some settings
    os.environ["SMELT_CACHE"] = tempfile.mkdtemp()
    from sklearn.neural_network import MLPClassifier as Theirs

    from smelt.sklearn import MLPClassifier

    made = count_compilations()
    x, y = table(arguments.table)
    x32 = x.astype(np.float32)
    rows = [
        ("scikit-learn, float64", Theirs, x),
        ("scikit-learn, float32", Theirs, x32),
        ("Smelt, float64, first", MLPClassifier, x),
        ("Smelt, float64, second", MLPClassifier, x),
        ("Smelt, float32, first", MLPClassifier, x32),
        ("Smelt, float32, second", MLPClassifier, x32),
    ]
    print(f"{arguments.table}: {x.shape}, 20 settings, {FOLDS} folds, 101 fits of 50 epochs")
    print(f"{'':24}{'seconds':>9}{'best score':>12}{'compiled':>10}")
    for name, kind, data in rows:
        made.clear()
        seconds, search = searched(kind, data, y)
        print(f"{name:24}{seconds:9.1f}{search.best_score_:12.4f}{len(made):10}", flush=True)


if __name__ == "__main__":
    main()
