"""Estimators of scikit-learn that are trained by Smelt; they need the extra `sklearn`."""

from importlib.util import find_spec

from smelt.errors import MissingExtra

if find_spec("sklearn") is None:
    raise MissingExtra("smelt.sklearn", "sklearn")

from smelt.sklearn.mlp import MLPClassifier, MLPRegressor
from smelt.sklearn.neural_net import NeuralNetClassifier, NeuralNetRegressor
from smelt.tensor.checked import checked_constructors as _checked_constructors

__all__ = ["MLPClassifier", "MLPRegressor", "NeuralNetClassifier", "NeuralNetRegressor"]

# settings are looked at by fit, as scikit-learn wants it
_checked_constructors(globals(), __all__, every_kind=None)
