"""Training: the loop, metrics, progress, and the folder that a run leaves behind."""

from smelt.deprecated import rename
from smelt.pytorch_names import install as _install
from smelt.tensor.checked import checked_room as _checked_room
from smelt.train.background import BackgroundEvaluator, Evaluation
from smelt.train.early_stopping import EarlyStopping
from smelt.train.evaluate import evaluate, evaluator, predict
from smelt.train.fit import fit
from smelt.train.history import Callback, Epoch, History, Progress, StopTraining
from smelt.train.learning_rate import RangeTest, find_learning_rate
from smelt.train.loggers import MLflowLogger, TensorBoardLogger
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
from smelt.train.predictions import Predictions, read_predictions, save_predictions
from smelt.train.progress import progress
from smelt.train.run import (
    RunFolder,
    new_folder,
    read_checkpoint,
    read_config,
    read_metrics,
    read_model,
)
from smelt.train.seeds import seed_everything
from smelt.train.step import training_step
from smelt.train.training import Training
from smelt.train.writer import MetricsWriter

_install(__name__)  # before the old names, which it answers for last
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
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "ExpectedCalibrationError",
    "F1Score",
    "FBetaScore",
    "History",
    "LogLoss",
    "MLflowLogger",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "Metric",
    "MetricsWriter",
    "Perplexity",
    "Precision",
    "Predictions",
    "Progress",
    "R2Score",
    "RangeTest",
    "Recall",
    "RootMeanSquaredError",
    "RunFolder",
    "StopTraining",
    "TensorBoardLogger",
    "TopKAccuracy",
    "Training",
    "accuracy",
    "as_metric",
    "confusion_matrix",
    "evaluate",
    "evaluator",
    "find_learning_rate",
    "fit",
    "new_folder",
    "predict",
    "progress",
    "read_checkpoint",
    "read_config",
    "read_metrics",
    "read_model",
    "read_predictions",
    "save_predictions",
    "seed_everything",
    "training_step",
]

_checked_room(__name__)
