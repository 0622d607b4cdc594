"""Training: the loop, metrics, progress, and the folder that a run leaves behind."""

from smelt.train.evaluate import examiner, predict
from smelt.train.fit import fit, training_step
from smelt.train.history import Callback, Epoch, History
from smelt.train.metrics import accuracy, confusion_matrix
from smelt.train.progress import progress
from smelt.train.run import RunFolder, new_folder, read_config, read_metrics, read_model

__all__ = [
    "Callback",
    "Epoch",
    "History",
    "RunFolder",
    "accuracy",
    "confusion_matrix",
    "examiner",
    "fit",
    "new_folder",
    "predict",
    "progress",
    "read_config",
    "read_metrics",
    "read_model",
    "training_step",
]
