"""Compares optimizers with PyTorch's over `optim_db`: the parameters after each of some steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_optimizers import optim_db

import smelt
from smelt import nn, optim
from tests.oracle.derivatives import compare
from tests.oracle.outcome import Case, Tally
from tests.oracle.translate import to_smelt

STEPS = 12
STARTS = ([0.3, -1.2, 2.0], [[0.7, -0.4], [1.5, 0.1]], 0.4)
SKIPPED = (0, 5)  # steps in which the second parameter has no gradient
KINDS = {"float32": torch.float32, "float64": torch.float64}


def loss_of(a: Any, b: Any, c: Any) -> Any:
    return ((a - 1) ** 2).sum() + (a.sum() * b).tanh().sum() + (b**2).sum() + (c - b).exp().sum()


def path_by_pytorch(kind: Any, settings: dict[str, Any], dtype: torch.dtype) -> list[torch.Tensor]:
    """Returns all parameters after each step."""
    parameters = [torch.nn.Parameter(torch.tensor(start, dtype=dtype)) for start in STARTS]
    optimizer = kind([{"params": parameters[:2]}, {"params": parameters[2:]}], **settings)
    path = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss_of(*parameters).backward()
        if step in SKIPPED:
            parameters[1].grad = None
        optimizer.step()
        path += [parameter.detach().clone() for parameter in parameters]
    return path


def path_by_smelt(name: str, settings: dict[str, Any], dtype: str, compiled: bool) -> list[Any]:
    """Returns all parameters after each step; the step may be compiled as a whole."""
    parameters = [nn.Parameter(smelt.tensor(np.array(start, dtype))) for start in STARTS]
    groups = [{"params": parameters[:2]}, {"params": parameters[2:]}]
    optimizer = getattr(optim, name)(groups, **settings)

    def update(skips: bool) -> Any:
        optimizer.zero_grad()
        loss = loss_of(*parameters)
        loss.backward()
        if skips:
            parameters[1].grad = None
        optimizer.step()
        return loss

    full, part = (lambda: update(False)), (lambda: update(True))
    if compiled:
        full, part = smelt.compile(full), smelt.compile(part)
    path = []
    for step in range(STEPS):
        (part if step in SKIPPED else full)()
        path += [smelt.tensor(np.array(parameter.numpy())) for parameter in parameters]
    return path


def walk(tally: Tally, names: Callable[[str], bool], checks: set[str], limit: int) -> None:
    """Compares every optimizer that Smelt has whose name `names` accepts, with all settings."""
    for info in optim_db:
        name = info.optim_cls.__name__
        if not hasattr(optim, name) or not names(name):
            continue
        samples = info.optim_inputs_func(device="cpu")
        for sample in samples[:: max(1, len(samples) // limit)][:limit]:
            for dtype in KINDS:
                _compare_sample(tally, info.optim_cls, sample, dtype, checks)


def _compare_sample(tally: Tally, kind: Any, sample: Any, dtype: str, checks: set[str]) -> None:
    name = kind.__name__
    case = Case("optim_db", name, f"optim.{name}", dtype, "value", sample.desc)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = path_by_pytorch(kind, dict(sample.kwargs), KINDS[dtype])
    except (RuntimeError, ValueError):
        tally.skip(case)  # PyTorch refuses it
        return
    settings = to_smelt(dict(sample.kwargs))
    for check, compiled in (("value", False), ("compiled", True)):
        if check in checks:
            compare(
                tally,
                replace(case, check=check),
                lambda now=compiled: path_by_smelt(name, settings, dtype, now),
                expected,
            )
