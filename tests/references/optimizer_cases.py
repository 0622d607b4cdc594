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
    "adamax": ("Adamax", {"lr": 0.05}),
    "adamax-all": (
        "Adamax",
        {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1},
    ),
    "adamax-maximize": ("Adamax", {"lr": 1e-3, "maximize": True}),
    "adadelta": ("Adadelta", {"lr": 0.5}),
    "adadelta-all": ("Adadelta", {"rho": 0.7, "eps": 1e-3, "weight_decay": 0.1}),
    "adadelta-maximize": ("Adadelta", {"lr": 0.01, "maximize": True}),
    "nadam": ("NAdam", {"lr": 0.05}),
    "nadam-all": (
        "NAdam",
        {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "momentum_decay": 0.1},
    ),
    "nadam-decoupled": (
        "NAdam",
        {"lr": 0.02, "weight_decay": 0.3, "decoupled_weight_decay": True},
    ),
    "nadam-maximize": ("NAdam", {"lr": 1e-3, "maximize": True}),
    "radam": ("RAdam", {"lr": 0.05}),
    "radam-all": ("RAdam", {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    "radam-decoupled": (
        "RAdam",
        {"lr": 0.02, "weight_decay": 0.3, "decoupled_weight_decay": True},
    ),
    "radam-maximize": ("RAdam", {"lr": 1e-3, "maximize": True}),
    "rprop": ("Rprop", {"lr": 0.01}),
    "rprop-all": ("Rprop", {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.1)}),
    "rprop-maximize": ("Rprop", {"lr": 1e-3, "maximize": True, "step_sizes": (1e-6, 1e-2)}),
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


# name: how schedules stand together on one optimizer of two groups ("all" step, "chain", or
# milestones of a sequence), the schedules, and what happens besides
TOGETHER = {
    "two": ("all", [("StepLR", {"step_size": 4}), ("ExponentialLR", {"gamma": 0.9})], ""),
    "warm-up-cosine": (
        "all",
        [("LinearLR", {"start_factor": 0.1}), ("CosineAnnealingLR", {"T_max": 11})],
        "by hand",
    ),
    "constant-polynomial": (
        "all",
        [("ConstantLR", {"total_iters": 3}), ("PolynomialLR", {"total_iters": 15, "power": 2})],
        "by hand",
    ),
    "lambda-last": (
        "all",
        [("StepLR", {"step_size": 2}), ("LambdaLR", {"lr_lambda": lambda t: 0.9**t})],
        "by hand",
    ),
    "lambda-first": (
        "all",
        [("LambdaLR", {"lr_lambda": lambda t: 0.9**t}), ("ConstantLR", {"factor": 0.5})],
        "resumed",
    ),
    "plateau-after": (
        "all",
        [
            ("CosineAnnealingLR", {"T_max": 8, "eta_min": 0.01}),
            ("ReduceLROnPlateau", {"patience": 1, "factor": 0.5}),
        ],
        "by hand",
    ),
    "chain": (
        "chain",
        [
            ("MultiplicativeLR", {"lr_lambda": lambda t: 0.95}),
            ("MultiStepLR", {"milestones": [3, 9], "gamma": 0.5}),
        ],
        "by hand",
    ),
    "cycle-second": (
        [6],
        [("ConstantLR", {"factor": 0.5}), ("OneCycleLR", {"max_lr": 0.4, "total_steps": 30})],
        "resumed",
    ),
    "cycle-first": (
        [8],
        [("OneCycleLR", {"max_lr": 0.4, "total_steps": 9}), ("ExponentialLR", {"gamma": 0.9})],
        "",
    ),
    "sequence": (
        [5, 12],
        [
            ("LinearLR", {"start_factor": 0.1}),
            ("CosineAnnealingLR", {"T_max": 7}),
            ("StepLR", {"step_size": 2}),
        ],
        "by hand",
    ),
    "group-later": (
        "all",
        [("LinearLR", {}), ("CosineAnnealingLR", {"T_max": 30})],
        "group added",
    ),
    "last-epoch-step": ("all", [("StepLR", {"step_size": 5, "gamma": 0.5})], "last_epoch"),
    "last-epoch-linear": ("all", [("LinearLR", {"total_iters": 12})], "last_epoch"),
    "last-epoch-cosine": ("all", [("CosineAnnealingLR", {"T_max": 9})], "last_epoch"),
}


def together(how, room, optimizer, parts, last_epoch=-1):
    """Makes the schedules of a case of TOGETHER from PyTorch's or Smelt's schedules."""
    resumed = {} if last_epoch == -1 else {"last_epoch": last_epoch}
    made = [getattr(room, name)(optimizer, **own, **resumed) for name, own in parts]
    if how == "all":
        return made
    return [
        room.ChainedScheduler(made) if how == "chain" else room.SequentialLR(optimizer, made, how)
    ]


def trajectory(case, room, parameter, advance):
    """Returns rates, momenta and last rates in 24 steps.

    Args:
        case: of TOGETHER.
        room: PyTorch's or Smelt's module of optimizers.
        parameter: makes a parameter.
        advance: makes a function of a metric that steps schedules.
    """
    how, parts, event = case

    def optimizer_of():
        groups = [{"params": [parameter()], "lr": lr} for lr in (0.5, 0.3)]
        return room.SGD(groups, momentum=0.9)

    optimizer = optimizer_of()
    if event == "last_epoch":
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"] * 2
    schedules = together(
        how, room.lr_scheduler, optimizer, parts, 3 if event == "last_epoch" else -1
    )
    step, seen = advance(schedules), []
    for number in range(24):
        groups = optimizer.param_groups[:2]
        row = [float(group[key]) for group in groups for key in ("lr", "momentum")]
        row += [float(rate) for one in schedules for rate in one.get_last_lr()[:2]]
        seen.append([*row, float(optimizer.param_groups[-1]["lr"])])
        if number in (5, 13) and event == "by hand":
            optimizer.param_groups[1]["lr"] = 0.07
        if number == 7 and event == "group added":
            optimizer.add_param_group({"params": [parameter()], "lr": 0.2})
        if number == 8 and event == "resumed":
            fresh = optimizer_of()
            others = together(how, room.lr_scheduler, fresh, parts)
            for other, schedule in zip(others, schedules, strict=True):
                other.load_state_dict(schedule.state_dict())
            fresh.load_state_dict(optimizer.state_dict())
            optimizer, schedules = fresh, others
            step = advance(schedules)
        step(metric(number))
    return seen
