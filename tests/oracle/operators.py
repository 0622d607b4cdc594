"""Compares every function and method that Smelt has with PyTorch's, over `op_db`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch.testing._internal.common_methods_invocations import op_db

import smelt
import smelt.nn.functional as F
from smelt.tensor import Tensor
from smelt.tensor.unsupported import Unsupported
from tests.oracle.derivatives import ORDERS, compare, compare_derivatives, with_tensors
from tests.oracle.outcome import Case, Tally
from tests.oracle.translate import DTYPES, Untranslatable, shown, tensors_in, to_smelt

# only shapes and dtypes can be compared: of random numbers, and of memory as it was found
RANDOM = {
    *"exponential uniform normal randn randn_like rand_like randint multinomial".split(),
    *"bernoulli nn.functional.dropout empty empty_like new_empty".split(),
}
IN_PLACE = {"zero_", "normal.in_place", "exponential", "uniform"}  # tensors are values
# what a trace cannot give: Python's numbers and bools, and shapes that values decide
EAGER_ONLY = {"item", "allclose", "equal"}
# the database hands these arguments over in an order of its own
ORDER: dict[str, Callable[..., Any]] = {
    "where": lambda x, condition, other: (condition, x, other),
    "einsum": lambda tensors, equation: (equation, *tensors),
    "embedding": lambda weight, indices: (indices, weight),
}
Function = Callable[..., Any]


def spellings(name: str) -> Iterator[tuple[str, Function]]:
    """Yields every way in which Smelt offers the operator `name`, with its function."""
    last = name.removeprefix("nn.functional.")
    rooms: list[tuple[str, Any]] = [("F", F)] if last != name else [("smelt", smelt), ("F", F)]
    for room, module in rooms:
        found = getattr(module, last, None)
        if callable(found):
            yield f"{room}.{last}", _reordered(last, found)
    found = getattr(Tensor, last, None) if last == name and last not in ORDER else None
    if isinstance(found, property):
        yield f"Tensor.{last}", lambda x: getattr(x, last)
    elif found is not None and last not in vars(Unsupported):
        yield f"Tensor.{last}", lambda x, *args, **kwargs: getattr(x, last)(*args, **kwargs)


def _reordered(name: str, function: Function) -> Function:
    if name not in ORDER:
        return function
    return lambda *args, **kwargs: function(*ORDER[name](*args), **kwargs)


def samples(op: Any, dtype: torch.dtype, requires_grad: bool = False) -> Iterator[Any]:
    """Yields the database's samples of an operator, the same ones in every run."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from op.sample_inputs("cpu", dtype, requires_grad=requires_grad)


def walk(tally: Tally, names: Callable[[str], bool], checks: set[str], limit: int) -> None:
    """Compares all operators whose name `names` accepts.

    Args:
        tally: what takes the ends of the comparisons.
        names: which operators.
        checks: some of "value", "first", "second", "compiled".
        limit: at most this many samples for each operator and dtype, evenly chosen.
    """
    for op in op_db:
        if op.full_name in IN_PLACE or not names(op.full_name):
            continue
        forms = dict(spellings(op.name))
        for dtype in DTYPES if forms else ():
            if dtype in op.supported_dtypes("cpu"):
                _walk_dtype(tally, op, forms, dtype, checks, limit)


def _walk_dtype(
    tally: Tally,
    op: Any,
    forms: dict[str, Function],
    dtype: torch.dtype,
    checks: set[str],
    limit: int,
) -> None:
    wanted = bool(checks & {*ORDERS}) and dtype is torch.float64
    differentiable = wanted and op.supports_autograd and op.name not in RANDOM
    chosen = list(samples(op, dtype, differentiable))
    stride = max(1, len(chosen) // limit)
    for sample in chosen[::stride][:limit]:
        arguments = (sample.input, *sample.args)
        text = shown((arguments, sample.kwargs))
        kind = str(dtype).removeprefix("torch.")
        cases = [Case("op_db", op.full_name, form, kind, "value", text) for form in forms]
        try:
            ours = to_smelt(list(arguments)), to_smelt(sample.kwargs)
        except Untranslatable:
            tally.skip(cases[0])
            continue
        for place, (case, function) in enumerate(zip(cases, forms.values(), strict=True)):
            # another spelling of the same function: its values are enough
            asked = checks if not place else checks & {"value"}
            compare_sample(tally, case, op, sample, function, ours, asked)


def compare_sample(
    tally: Tally,
    case: Case,
    op: Any,
    sample: Any,
    function: Function,
    ours: tuple[list[Any], dict[str, Any]],
    checks: set[str],
) -> None:
    """Compares one sample's value and derivatives, eagerly and compiled."""

    def by_pytorch() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return op.op(sample.input, *sample.args, **sample.kwargs)

    def by_smelt(tree: Any) -> Any:
        return function(*tree[0], **tree[1])

    only_kind = op.name in RANDOM or bool(sample.kwargs.get("dropout_p"))
    expected = by_pytorch()
    if "value" in checks:
        compare(tally, case, lambda: by_smelt(ours), expected, only_kind)
    if "compiled" in checks and op.name not in EAGER_ONLY:
        call, tensors = with_tensors(by_smelt, ours, lambda tensor: True)
        compiled = smelt.compile(call)
        here = replace(case, check="compiled")
        compare(tally, here, lambda: compiled(*tensors), expected, only_kind)
    inputs = [
        one for one in tensors_in((sample.input, sample.args, sample.kwargs)) if one.requires_grad
    ]
    if inputs and not only_kind:
        every = list(tensors_in((sample.input, sample.args, sample.kwargs)))
        wanted = iter([one.requires_grad for one in every])
        call, tensors = with_tensors(by_smelt, ours, lambda tensor: next(wanted))
        compare_derivatives(tally, case, by_pytorch, inputs, call, tensors, checks)
