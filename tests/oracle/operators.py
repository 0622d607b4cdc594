"""Compares every function and method that Smelt has with PyTorch's, over `op_db`."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.testing._internal.common_methods_invocations import op_db

import smelt
import smelt.nn.functional as F
from smelt.tensor import Tensor
from smelt.tensor.in_place import InPlace
from smelt.tensor.unsupported import Unsupported
from tests.oracle.derivatives import ORDERS, compare, compare_derivatives, with_tensors
from tests.oracle.outcome import Case, Tally
from tests.oracle.translate import DTYPES, Untranslatable, shown, tensors_in, to_smelt

# only shapes and dtypes can be compared: of random numbers, and of memory as it was found
RANDOM = {
    *"exponential uniform normal randn randn_like rand_like randint multinomial".split(),
    *"bernoulli nn.functional.dropout nn.functional.dropout2d nn.functional.dropout3d".split(),
    *"empty empty_like new_empty".split(),
}
CHANGING = {"zero_", "normal.in_place", "exponential", "uniform"}  # have no form but in place
# what a trace cannot give: Python's numbers and bools, and shapes that values decide
EAGER_ONLY = {"item", "allclose", "equal", "argwhere", "nonzero", "unique"}
# the database hands these arguments over in an order of its own
ORDER: dict[str, Callable[..., Any]] = {
    "where": lambda x, condition, other: (condition, x, other),
    "einsum": lambda tensors, equation: (equation, *tensors),
    "embedding": lambda weight, indices: (indices, weight),
}
Function = Callable[..., Any]


@dataclass(frozen=True)
class Form:
    """One way in which Smelt offers an operator.

    Args:
        text: as one writes it: "smelt.add", "Tensor.add_".
        function: takes Smelt's arguments in the order of the database.
        takes: whether it can be called with these positional arguments and keywords.
        by_pytorch: makes PyTorch's result, where it is not the operator's.
    """

    text: str
    function: Function
    takes: Callable[[tuple[Any, ...], dict[str, Any]], bool] = lambda arguments, options: True
    by_pytorch: Function | None = None


def spellings(op: Any) -> list[Form]:
    """Returns all ways in which Smelt offers an operator, also by another of PyTorch's names."""
    forms = [*named(op), *_by_operator(op.operator_variant), *_in_place(op.inplace_variant)]
    return list({form.text: form for form in forms}.values())


def named(op: Any) -> list[Form]:
    """Returns the functions and methods with the names of an operator."""
    if op.full_name in CHANGING:
        return []
    names = [op.name, *(alias.name for alias in op.aliases)]
    return [form for name in names for form in _of_name(name)]


def _of_name(name: str) -> Iterator[Form]:
    last = name.removeprefix("nn.functional.")
    rooms: list[tuple[str, Any]] = [("F", F)] if last != name else [("smelt", smelt), ("F", F)]
    for room, module in rooms:
        found = getattr(module, last, None)
        if callable(found):
            yield Form(f"{room}.{last}", _reordered(last, found))
    found = getattr(Tensor, last, None) if last == name and last not in ORDER else None
    if isinstance(found, property):
        yield Form(f"Tensor.{last}", lambda x: getattr(x, last))
    elif found is not None and last not in vars(Unsupported):
        yield Form(
            f"Tensor.{last}", lambda x, *given, **options: getattr(x, last)(*given, **options)
        )


def _by_operator(function: Function | None) -> Iterator[Form]:
    """Yields Python's operator, `a + b` for `add`, where there is one."""
    if function and hasattr(Tensor, f"__{function.__name__.strip('_')}__"):
        count = len(inspect.signature(function).parameters)
        takes = lambda arguments, options: not options and len(arguments) == count  # noqa: E731
        yield Form(f"operator.{function.__name__}", function, takes)


def _in_place(function: Function | None) -> Iterator[Form]:
    """Yields the method that changes a tensor, where there is one."""
    name = getattr(function, "__name__", "")
    if function is None or not hasattr(InPlace, name):
        return

    def by_smelt(x: Any, *given: Any, **options: Any) -> Any:
        with smelt.no_grad():
            state = x.clone()
            result = getattr(state, name)(*given, **options)
        return state, result

    def by_pytorch(x: Any, *given: Any, **options: Any) -> Any:
        state = x.detach().clone()
        result = function(state, *given, **options)
        return state, result

    yield Form(f"Tensor.{name}", by_smelt, by_pytorch=by_pytorch)


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
        forms = spellings(op) if names(op.full_name) else []
        for dtype in DTYPES if forms else ():
            if dtype in op.supported_dtypes("cpu"):
                _walk_dtype(tally, op, forms, dtype, checks, limit)


def _walk_dtype(
    tally: Tally,
    op: Any,
    forms: list[Form],
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
        case = Case("op_db", op.full_name, forms[0].text, kind, "value", text)
        try:
            ours = to_smelt(list(arguments)), to_smelt(sample.kwargs)
        except Untranslatable:
            tally.skip(case)
            continue
        for place, form in enumerate(forms):
            # another spelling of the same function: its values are enough
            asked = checks if not place else checks & {"value"}
            if asked and form.takes(arguments, sample.kwargs):
                here = replace(case, form=form.text)
                compare_sample(tally, here, op, sample, form, ours, asked)


def compare_sample(
    tally: Tally,
    case: Case,
    op: Any,
    sample: Any,
    form: Form,
    ours: tuple[list[Any], dict[str, Any]],
    checks: set[str],
) -> None:
    """Compares one sample's value and derivatives, eagerly and compiled."""

    def by_pytorch() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = form.by_pytorch or op.op
            return theirs(sample.input, *sample.args, **sample.kwargs)

    def by_smelt(tree: Any) -> Any:
        return form.function(*tree[0], **tree[1])

    only_kind = op.name in RANDOM or bool(sample.kwargs.get("dropout_p"))
    try:
        expected = by_pytorch()
    except (RuntimeError, TypeError):
        tally.skip(case)  # the database's samples fit the operator, not each of its forms
        return
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
