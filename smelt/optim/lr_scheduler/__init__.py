"""Learning-rate schedules: functions of a step count that is a tensor, for compiled steps too."""

from smelt.optim.lr_scheduler.closed import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from smelt.optim.lr_scheduler.one_cycle import OneCycleLR
from smelt.optim.lr_scheduler.plateau import ReduceLROnPlateau
from smelt.optim.lr_scheduler.schedule import LRScheduler
from smelt.optim.lr_scheduler.together import ChainedScheduler, SequentialLR
from smelt.pytorch_names import install as _install

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

_install(__name__)
