"""Optimizers, learning-rate schedules, gradient clipping."""

from smelt.optim import lr_scheduler
from smelt.optim.adadelta import (
    Adadelta,
)
from smelt.optim.adagrad import Adagrad
from smelt.optim.adam import Adam, AdamW
from smelt.optim.adamax import (
    Adamax,
)
from smelt.optim.clip import clip_grad_norm_, clip_grad_value_, get_total_norm
from smelt.optim.descent import Descent, gradient_descent
from smelt.optim.nadam import (
    NAdam,
)
from smelt.optim.optimizer import Optimizer
from smelt.optim.radam import (
    RAdam,
)
from smelt.optim.rmsprop import RMSprop
from smelt.optim.rprop import (
    Rprop,
)
from smelt.optim.sgd import SGD
from smelt.pytorch_names import install as _install
from smelt.tensor.checked import checked_names as _checked_names

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Descent",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "gradient_descent",
    "lr_scheduler",
]

_checked_names(globals(), __all__, __name__)

_install(__name__)
