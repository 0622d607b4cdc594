"""Training: the loop, metrics, progress, and the folder that a run leaves behind."""

from smelt.deprecated import rename
from smelt.train.background import BackgroundEvaluator, Evaluation
from smelt.train.evaluate import evaluate, evaluator, predict
from smelt.train.fit import fit, training_step
from smelt.train.history import Callback, Epoch, History
from smelt.train.metrics import (
    AUROC,
    BLEU,
    Accuracy,
    AveragePrecision,
    ClassificationMetric,
    ConfusionMatrix,
    ExpectedCalibrationError,
    F1Score,
    FBetaScore,
    LogLoss,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    Metric,
    Perplexity,
    Precision,
    R2Score,
    Recall,
    RootMeanSquaredError,
    TopKAccuracy,
    accuracy,
    as_metric,
    confusion_matrix,
)
from smelt.train.progress import progress
from smelt.train.run import RunFolder, new_folder, read_config, read_metrics, read_model
from smelt.train.writer import MetricsWriter

rename(__name__, {"examiner": "evaluator"})

__all__ = [
    "AUROC",
    "BLEU",
    "Accuracy",
    "AveragePrecision",
    "BackgroundEvaluator",
    "Callback",
    "ClassificationMetric",
    "ConfusionMatrix",
    "Epoch",
    "Evaluation",
    "ExpectedCalibrationError",
    "F1Score",
    "FBetaScore",
    "History",
    "LogLoss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "Metric",
    "MetricsWriter",
    "Perplexity",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "RunFolder",
    "TopKAccuracy",
    "accuracy",
    "as_metric",
    "confusion_matrix",
    "evaluate",
    "evaluator",
    "fit",
    "new_folder",
    "predict",
    "progress",
    "read_config",
    "read_metrics",
    "read_model",
    "training_step",
]
