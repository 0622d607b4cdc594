"""Makes optimizers.npz: what PyTorch's optimizers and schedules do in float64. Needs torch.

Each optimizer walks 100 steps on the same crooked function of two parameters; the second of them
now and then has no gradient. Each schedule goes with SGD for 60 steps, several together for 24.

Run: python tests/references/make_optimizers.py
"""

import pathlib

import numpy as np
import torch
from optimizer_cases import (
    OPTIMIZERS,
    SCHEDULES,
    SKIPPED,
    STARTS,
    STEPS,
    TOGETHER,
    metric,
    trajectory,
)
from torch.optim import lr_scheduler


def loss_of(a, b):
    return (a - 1).square().sum() + (a.sum() * b).tanh().sum() + b.square().sum()


def walk(kind, options):
    parameters = [torch.nn.Parameter(torch.tensor(start)) for start in STARTS]
    optimizer = getattr(torch.optim, kind)(parameters, **options)
    seen = []
    for number in range(STEPS):
        optimizer.zero_grad()
        loss_of(*parameters).backward()
        if number in SKIPPED:
            parameters[1].grad = None
        optimizer.step()
        seen.append(np.concatenate([p.detach().numpy().ravel() for p in parameters]))
    return np.array(seen)


def rates(kind, options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.5, momentum=0.9)
    group = optimizer.param_groups[0]
    if kind == "SequentialLR":
        parts = [
            getattr(lr_scheduler, name)(optimizer, **own) for name, own in options["schedulers"]
        ]
        scheduler = lr_scheduler.SequentialLR(optimizer, parts, options["milestones"])
    else:
        scheduler = getattr(lr_scheduler, kind)(optimizer, **options)
    seen = [(group["lr"], group["momentum"])]
    for number in range(59):
        optimizer.step()
        scheduler.step(*([metric(number)] if kind == "ReduceLROnPlateau" else []))
        seen.append((group["lr"], group["momentum"]))
    return np.array(seen)


def advance(schedules):
    def step(value):
        for one in schedules:
            wants = isinstance(one, lr_scheduler.ReduceLROnPlateau)
            one.step(*([value] if wants else []))

    return step


def parameter():
    return torch.nn.Parameter(torch.ones(2))


torch.set_default_dtype(torch.float64)
found = {f"optimizer/{name}": walk(*case) for name, case in OPTIMIZERS.items()}
found |= {f"schedule/{name}": rates(*case) for name, case in SCHEDULES.items()}
found |= {
    f"together/{name}": np.array(trajectory(case, torch.optim, parameter, advance))
    for name, case in TOGETHER.items()
}
np.savez_compressed(pathlib.Path(__file__).with_name("optimizers.npz"), **found)
