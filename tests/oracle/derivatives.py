"""Compares first and second derivatives, in float64, of one sample of an operator."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

import smelt
from smelt.tensor import Tensor
from tests.oracle.outcome import Case, Tally
from tests.oracle.sums import Call, gradient_function, leaves, weights
from tests.oracle.translate import difference, replaced, tensors_in

ORDERS = ("first", "second")


def weighted_sum_by_pytorch(results: Any, seed: int) -> Any:
    terms = [
        (leaf * torch.from_numpy(np.asarray(weights(tuple(leaf.shape), seed + place)))).sum()
        for place, leaf in enumerate(leaves(results))
        if isinstance(leaf, torch.Tensor) and leaf.dtype.is_floating_point
    ]
    return sum(terms[1:], terms[0]) if terms else torch.zeros((), dtype=torch.float64)


def gradients_by_pytorch(call: Call, inputs: list[torch.Tensor], second: bool) -> list[Any]:
    """Returns the orders of gradients that PyTorch has, zeros for unused inputs.

    The second is that of the weighted sum of the first.
    """
    found: list[list[Any]] = []
    value = weighted_sum_by_pytorch(call(), 0)
    for order in range(2 if second else 1):
        if not value.requires_grad:
            if order:
                found.append([torch.zeros_like(one) for one in inputs])
            break
        try:
            gradients = torch.autograd.grad(
                value, inputs, create_graph=second and not order, allow_unused=True
            )
        except (RuntimeError, NotImplementedError):
            break  # PyTorch has no derivative of this order
        filled = [
            torch.zeros_like(one) if grad is None else grad
            for one, grad in zip(inputs, gradients, strict=True)
        ]
        found.append(filled)
        value = weighted_sum_by_pytorch(filled, 10)
    return found


def compare_derivatives(
    tally: Tally,
    case: Case,
    by_pytorch: Call,
    inputs: list[torch.Tensor],
    by_smelt: Call,
    ours: list[Tensor],
    checks: set[str],
) -> None:
    """Compares the derivatives of one call.

    Args:
        tally: what takes the ends.
        case: the call.
        by_pytorch: makes PyTorch's call on `inputs`, without arguments.
        inputs: what PyTorch differentiates by.
        by_smelt: makes Smelt's call from tensors in the place of `ours`.
        ours: the same as `inputs`.
        checks: which orders, and whether compiled.
    """
    if not inputs or not checks & {*ORDERS}:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = gradients_by_pytorch(by_pytorch, inputs, "second" in checks)
    for order, check in enumerate(ORDERS):
        if check not in checks:
            continue
        if order >= len(expected):
            tally.skip(replace(case, check=check))
            continue
        gradients = expected[order]
        function = gradient_function(by_smelt, len(ours), order)
        compare(tally, replace(case, check=check), partial(function, *ours), gradients)
        if "compiled" in checks:
            compiled = smelt.compile(function)
            here = replace(case, check=f"{check} compiled")
            compare(tally, here, partial(compiled, *ours), gradients)


def compare(tally: Tally, case: Case, call: Call, expected: Any, only_kind: bool = False) -> None:
    """Makes Smelt's call, compares the result with PyTorch's, and counts how it ends."""
    try:
        got = call()
        found = difference(got, expected, only_kind)
    except Exception as error:  # whatever was raised is counted, by its kind
        tally.error(case, error)
        return
    if found is None:
        tally.agree(case)
    else:
        tally.differ(case, found)


def with_tensors(
    call: Call, tree: Any, chosen: Callable[[Tensor], bool]
) -> tuple[Call, list[Tensor]]:
    """Splits a call of a tree of arguments into a function of its chosen tensors, and those."""
    every = list(tensors_in(tree, (Tensor,)))
    places = [place for place, tensor in enumerate(every) if chosen(tensor)]

    def function(*given: Tensor) -> Any:
        standing = list(every)
        for place, tensor in zip(places, given, strict=True):
            standing[place] = tensor
        return call(replaced(tree, iter(standing)))

    return function, [every[place] for place in places]
