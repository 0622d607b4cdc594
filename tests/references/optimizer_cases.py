"""What both sides of optimizers.npz share: the settings of each case. Needs no torch, no Smelt."""

import math

STARTS = ([0.3, -1.2, 2.0], [[0.7, -0.4], [1.5, 0.1]])
SKIPPED = (0, 1, 7, 50)  # steps in which the second parameter has no gradient
STEPS = 100

OPTIMIZERS = {
    "sgd": ("SGD", {"lr": 0.02}),
    "sgd-momentum": ("SGD", {"lr": 0.02, "momentum": 0.9}),
    "sgd-dampening": ("SGD", {"lr": 0.02, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    "sgd-nesterov": ("SGD", {"lr": 0.01, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    "sgd-maximize": ("SGD", {"lr": 1e-4, "maximize": True, "momentum": 0.5}),
    "adam": ("Adam", {"lr": 0.05}),
    "adam-decay": ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}),
    "adam-amsgrad": ("Adam", {"lr": 0.1, "amsgrad": True}),
    "adam-maximize": ("Adam", {"lr": 1e-3, "maximize": True}),
    "adamw": ("AdamW", {"lr": 0.05}),
    "adamw-amsgrad": ("AdamW", {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True}),
    "rmsprop": ("RMSprop", {"lr": 0.01}),
    # a large eps: v - a^2 cancels where the gradient rests, and eps bounds what that does
    "rmsprop-centered": ("RMSprop", {"lr": 0.005, "centered": True, "alpha": 0.98, "eps": 0.05}),
    "rmsprop-all": (
        "RMSprop",
        {"lr": 1e-3, "centered": True, "momentum": 0.9, "weight_decay": 0.1},
    ),
    "rmsprop-maximize": ("RMSprop", {"lr": 1e-4, "momentum": 0.5, "maximize": True}),
    "adagrad": ("Adagrad", {"lr": 0.1}),
    "adagrad-all": (
        "Adagrad",
        {"lr": 0.3, "lr_decay": 0.05, "weight_decay": 0.1, "initial_accumulator_value": 0.2},
    ),
    "adagrad-maximize": ("Adagrad", {"lr": 1e-3, "maximize": True}),
}

# name: (class, settings); a SequentialLR's settings hold its parts as (class, settings)
SCHEDULES = {
    "step": ("StepLR", {"step_size": 7, "gamma": 0.5}),
    "multistep": ("MultiStepLR", {"milestones": [5, 6, 20, 40], "gamma": 0.3}),
    "constant": ("ConstantLR", {"factor": 0.25, "total_iters": 9}),
    "linear": ("LinearLR", {"start_factor": 0.1, "end_factor": 0.9, "total_iters": 15}),
    "exponential": ("ExponentialLR", {"gamma": 0.93}),
    "polynomial": ("PolynomialLR", {"total_iters": 30, "power": 1.7}),
    "cosine": ("CosineAnnealingLR", {"T_max": 23, "eta_min": 0.01}),
    "lambda": ("LambdaLR", {"lr_lambda": lambda t: 0.95**t}),
    "cycle": ("OneCycleLR", {"max_lr": 0.4, "total_steps": 60}),
    "cycle-linear": (
        "OneCycleLR",
        {"max_lr": 0.4, "epochs": 6, "steps_per_epoch": 10, "anneal_strategy": "linear"},
    ),
    "cycle-three": (
        "OneCycleLR",
        {
            "max_lr": 0.4,
            "total_steps": 60,
            "three_phase": True,
            "pct_start": 0.4,
            "div_factor": 10.0,
        },
    ),
    "cycle-rate-only": (
        "OneCycleLR",
        {"max_lr": 0.2, "total_steps": 70, "cycle_momentum": False, "final_div_factor": 50.0},
    ),
    "sequential": (
        "SequentialLR",
        {
            "schedulers": [
                ("LinearLR", {"start_factor": 0.1, "total_iters": 8}),
                ("CosineAnnealingLR", {"T_max": 30}),
                ("ExponentialLR", {"gamma": 0.9}),
            ],
            "milestones": [8, 35],
        },
    ),
    "plateau": ("ReduceLROnPlateau", {"patience": 3, "factor": 0.5}),
    "plateau-all": (
        "ReduceLROnPlateau",
        {
            "mode": "max",
            "patience": 2,
            "factor": 0.3,
            "cooldown": 4,
            "threshold": 0.05,
            "threshold_mode": "abs",
            "min_lr": 0.01,
        },
    ),
}


def metric(step):
    """A metric that falls, rests, rises and rests again."""
    return math.cos(step / 9.0) + 0.3 * math.sin(step)
