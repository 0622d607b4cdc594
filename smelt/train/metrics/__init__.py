"""Metrics: how good a model is, exact however its data are divided into batches."""

from smelt.train.metrics.base import Figure, Metric, Total
from smelt.train.metrics.bleu import BLEU
from smelt.train.metrics.classification import (
    Accuracy,
    CountedErrors,
    F1Score,
    FBetaScore,
    Precision,
    Recall,
    TopKAccuracy,
)
from smelt.train.metrics.confusion import ConfusionMatrix, accuracy, confusion_matrix
from smelt.train.metrics.function import FunctionMetric
from smelt.train.metrics.labels import ClassificationMetric
from smelt.train.metrics.named import as_metric, as_metrics
from smelt.train.metrics.probability import ExpectedCalibrationError, LogLoss, Perplexity
from smelt.train.metrics.ranking import AUROC, AveragePrecision
from smelt.train.metrics.regression import (
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    R2Score,
    RootMeanSquaredError,
)

__all__ = [
    "AUROC",
    "BLEU",
    "Accuracy",
    "AveragePrecision",
    "ClassificationMetric",
    "ConfusionMatrix",
    "CountedErrors",
    "ExpectedCalibrationError",
    "F1Score",
    "FBetaScore",
    "Figure",
    "FunctionMetric",
    "LogLoss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "Metric",
    "Perplexity",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "TopKAccuracy",
    "Total",
    "accuracy",
    "as_metric",
    "as_metrics",
    "confusion_matrix",
]
