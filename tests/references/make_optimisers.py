"""Makes optimisers.npz: what PyTorch's optimisers and schedules do in float64. Needs torch.

Each optimiser walks 100 steps on the same crooked function of two parameters; the second of them
now and then has no gradient. Each schedule goes with SGD for 60 steps.

Run: python tests/references/make_optimisers.py
"""

import pathlib

import numpy as np
import torch
from optimiser_cases import OPTIMISERS, SCHEDULES, SKIPPED, STARTS, STEPS, metric
from torch.optim import lr_scheduler


def loss_of(a, b):
    return (a - 1).square().sum() + (a.sum() * b).tanh().sum() + b.square().sum()


def walk(kind, options):
    parameters = [torch.nn.Parameter(torch.tensor(start)) for start in STARTS]
    optimiser = getattr(torch.optim, kind)(parameters, **options)
    seen = []
    for number in range(STEPS):
        optimiser.zero_grad()
        loss_of(*parameters).backward()
        if number in SKIPPED:
            parameters[1].grad = None
        optimiser.step()
        seen.append(np.concatenate([p.detach().numpy().ravel() for p in parameters]))
    return np.array(seen)


def rates(kind, options):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.5, momentum=0.9)
    group = optimiser.param_groups[0]
    if kind == "SequentialLR":
        parts = [
            getattr(lr_scheduler, name)(optimiser, **own) for name, own in options["schedulers"]
        ]
        scheduler = lr_scheduler.SequentialLR(optimiser, parts, options["milestones"])
    else:
        scheduler = getattr(lr_scheduler, kind)(optimiser, **options)
    seen = [(group["lr"], group["momentum"])]
    for number in range(59):
        optimiser.step()
        scheduler.step(*([metric(number)] if kind == "ReduceLROnPlateau" else []))
        seen.append((group["lr"], group["momentum"]))
    return np.array(seen)


torch.set_default_dtype(torch.float64)
found = {f"optimiser/{name}": walk(*case) for name, case in OPTIMISERS.items()}
found |= {f"schedule/{name}": rates(*case) for name, case in SCHEDULES.items()}
np.savez_compressed(pathlib.Path(__file__).with_name("optimisers.npz"), **found)
