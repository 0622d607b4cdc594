"""Compares modules with PyTorch's over `module_db`: values, both derivatives, both modes."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_modules import module_db

import smelt
from smelt import nn
from smelt.tensor import Tensor
from tests.oracle.derivatives import compare, compare_derivatives, with_tensors
from tests.oracle.outcome import Case, Tally
from tests.oracle.translate import Untranslatable, separate, shown, tensors_in, to_smelt

KINDS = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Sample:
    """One call of a module.

    Args:
        made_with: arguments and keywords of the class.
        called_with: arguments and keywords of the call.
        training: which mode.
    """

    made_with: tuple[list[Any], dict[str, Any]]
    called_with: tuple[list[Any], dict[str, Any]]
    training: bool

    def __str__(self) -> str:
        mode = "train" if self.training else "eval"
        return f"{shown(self.made_with)} called with {shown(self.called_with)}, {mode}"


def samples(info: Any, dtype: torch.dtype) -> Iterator[Sample]:
    """Yields the database's samples of a module, the same ones in every run."""
    for training in (True, False):
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = info.module_inputs_func(
                info, device="cpu", dtype=dtype, requires_grad=dtype is torch.float64,
                training=training,
            )  # fmt: skip
            for one in found:
                made, called = one.constructor_input, one.forward_input
                yield Sample(
                    (list(made.args), dict(made.kwargs)),
                    separate((list(called.args), dict(called.kwargs)), set()),
                    training,
                )


def twin(theirs: Any, sample: Sample, dtype: str) -> Any:
    """Returns Smelt's module with the settings, weights and mode of PyTorch's module `theirs`."""
    arguments, settings = sample.made_with
    if type(theirs) is torch.nn.TransformerEncoder:  # it is made from a module
        layer = arguments[0]
        head = layer.self_attn
        inner = nn.TransformerEncoderLayer(
            head.embed_dim, head.num_heads, layer.linear1.out_features, 0.0,
            batch_first=head.batch_first, norm_first=layer.norm_first,
            bias=layer.linear1.bias is not None, activation=to_smelt(layer.activation),
        )  # fmt: skip
        arguments = [inner, *arguments[1:]]
    ours = getattr(nn, type(theirs).__name__)(*to_smelt(arguments), **to_smelt(settings))
    ours.to(dtype)
    state = {name: tensor.detach().numpy().copy() for name, tensor in theirs.state_dict().items()}
    if state:
        ours.load_state_dict({name: smelt.tensor(array) for name, array in state.items()})
    return ours.train(sample.training)


@contextmanager
def standing_in(module: Any, tensors: dict[str, Tensor]) -> Iterator[None]:
    """Lets tensors stand in the places of a module's parameters, past its own checks."""
    places = []
    for path in tensors:
        owner, _, name = path.rpartition(".")
        places.append((dict(module.named_modules())[owner], name))
    held = [vars(owner)[name] for owner, name in places]
    try:
        for (owner, name), tensor in zip(places, tensors.values(), strict=True):
            vars(owner)[name] = tensor
        yield
    finally:
        for (owner, name), parameter in zip(places, held, strict=True):
            vars(owner)[name] = parameter


def walk(tally: Tally, names: Callable[[str], bool], checks: set[str], limit: int) -> None:
    """Compares every module that Smelt has whose name `names` accepts, with all samples."""
    for info, dtype in itertools.product(module_db, KINDS):
        name = info.module_cls.__name__
        if not hasattr(nn, name) or not names(name):
            continue
        every = list(samples(info, KINDS[dtype]))
        for sample in every[:: max(1, len(every) // limit)][:limit]:
            case = Case("module_db", name, f"nn.{name}", dtype, "value", str(sample))
            _compare_sample(tally, case, info.module_cls, sample, KINDS[dtype], checks)


def _compare_sample(
    tally: Tally, case: Case, kind: Any, sample: Sample, dtype: torch.dtype, checks: set[str]
) -> None:
    torch.manual_seed(1)
    arguments, settings = sample.made_with
    theirs = kind(*arguments, **settings).to(dtype).train(sample.training)
    try:
        ours = twin(theirs, sample, case.dtype)
        called = to_smelt(sample.called_with)
    except Untranslatable:
        tally.skip(case)
        return
    except Exception as error:  # whatever was raised is counted, by its kind
        tally.error(case, error)
        return
    state = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    own_state = {name: np.array(tensor.numpy()) for name, tensor in ours.state_dict().items()}

    def by_pytorch() -> Any:
        theirs.load_state_dict(state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return theirs(*sample.called_with[0], **sample.called_with[1])

    def by_smelt(tree: Any) -> Any:
        return ours(*tree[0], **tree[1])

    try:
        expected = [by_pytorch(), dict(theirs.named_buffers())]
    except (RuntimeError, ValueError):
        tally.skip(case)  # PyTorch refuses it
        return

    def afresh(call: Callable[[], Any]) -> Any:
        ours.load_state_dict({name: smelt.tensor(array) for name, array in own_state.items()})
        return [call(), dict(ours.named_buffers())]

    if "value" in checks:
        compare(tally, case, partial(afresh, lambda: by_smelt(called)), expected)
    if "compiled" in checks:
        function, tensors = with_tensors(by_smelt, called, lambda tensor: True)
        compiled = smelt.compile(function)
        here = replace(case, check="compiled")
        compare(tally, here, partial(afresh, lambda: compiled(*tensors)), expected)
    _compare_both_orders(
        tally, case, (theirs, by_pytorch), (ours, by_smelt), sample, called, checks
    )


def _compare_both_orders(
    tally: Tally, case: Case, theirs: Any, ours: Any, sample: Sample, called: Any, checks: set[str]
) -> None:
    """Compares derivatives by the call's tensors and by the parameters, in float64."""
    if case.dtype != "float64":
        return
    module, by_pytorch = theirs
    own, by_smelt = ours
    every = list(tensors_in(sample.called_with))
    wanted = iter([one.requires_grad for one in every])
    inputs = [one for one in every if one.requires_grad]
    function, tensors = with_tensors(by_smelt, called, lambda tensor: next(wanted))
    names = [name for name, one in module.named_parameters() if one.requires_grad]
    held = dict(module.named_parameters())
    parameters = dict(own.named_parameters())

    def call(*given: Tensor) -> Any:
        changed = dict(zip(names, given[len(tensors) :], strict=True))
        with standing_in(own, changed):
            return function(*given[: len(tensors)])

    compare_derivatives(
        tally,
        case,
        by_pytorch,
        inputs + [held[name] for name in names],
        call,
        tensors + [parameters[name] for name in names],
        checks,
    )
