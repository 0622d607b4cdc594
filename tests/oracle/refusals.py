"""Calls that PyTorch refuses, over its databases of them: Smelt refuses them too, in its words."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import ModuleErrorEnum, module_db
from torch.testing._internal.common_optimizers import OptimizerErrorEnum, optim_db

import smelt
from smelt import nn, optim
from smelt.errors import SmeltError
from tests.oracle.operators import named
from tests.oracle.outcome import Case, Tally
from tests.oracle.translate import Untranslatable, shown, to_smelt

# the name of what is called, the call in words, what makes it, and what PyTorch says
Wrong = tuple[str, str, Callable[[], Callable[[], Any]], str]


def walk(tally: Tally, names: Callable[[str], bool], checks: set[str], limit: int) -> None:
    """Makes the wrong calls of everything whose name `names` accepts, if "refused" is asked for."""
    if "refused" not in checks:
        return
    for calls in (_of_operators, _of_modules, _of_optimizers):
        for name, text, make, words in calls(names):
            case = Case("refusals", name, name, "", "refused", text)
            try:
                call = make()
            except (Untranslatable, ValueError):  # NumPy has no arrays of more than 64 axes
                tally.skip(case)
                continue
            _expect_refusal(tally, case, call, words)


def _expect_refusal(tally: Tally, case: Case, call: Callable[[], Any], words: str) -> None:
    try:
        call()
    except SmeltError:
        tally.agree(case)
    except Exception as error:  # whatever was raised is counted, by its kind
        tally.error(case, error)
    else:
        tally.differ(case, f"accepted: PyTorch says {words[:100]}")


def _of_operators(names: Callable[[str], bool]) -> Iterator[Wrong]:
    for op in op_db:
        forms = named(op) if op.error_inputs_func and names(op.full_name) else []
        for wrong in _error_inputs(op) if forms else ():
            sample = wrong.sample_input
            arguments = (sample.input, *sample.args)
            for form in forms:
                is_method = form.text.startswith("Tensor.")
                if is_method and not isinstance(sample.input, torch.Tensor):
                    continue

                def make(f: Any = form.function, s: Any = sample) -> Callable[[], Any]:
                    given = to_smelt([s.input, *s.args])
                    return partial(f, *given, **to_smelt(s.kwargs))

                text = f"{form.text}: {shown((arguments, sample.kwargs))}"
                yield op.full_name, text, make, str(wrong.error_regex)


def _error_inputs(op: Any) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(op.error_inputs("cpu"))


def _of_modules(names: Callable[[str], bool]) -> Iterator[Wrong]:
    for info in module_db:
        name = info.module_cls.__name__
        if info.module_error_inputs_func is None or not hasattr(nn, name) or not names(name):
            continue
        for training in (True, False):
            for wrong in info.module_error_inputs_func(
                info, "cpu", torch.float32, requires_grad=False, training=training
            ):
                given = wrong.module_error_input
                made, called = given.constructor_input, given.forward_input
                while_called = wrong.error_on is ModuleErrorEnum.FORWARD_ERROR
                text = shown((made.args, made.kwargs))
                text += f" called with {shown((called.args, called.kwargs))}" if called else ""

                def make(
                    name: str = name,
                    made: Any = made,
                    called: Any = called,
                    runs: Any = while_called,
                ) -> Callable[[], Any]:
                    module = partial(
                        getattr(nn, name), *to_smelt(list(made.args)), **to_smelt(made.kwargs)
                    )
                    if not runs:
                        return module
                    given, settings = to_smelt(list(called.args)), to_smelt(called.kwargs)
                    return lambda: module()(*given, **settings)

                yield name, text, make, str(wrong.error_regex)


def _of_optimizers(names: Callable[[str], bool]) -> Iterator[Wrong]:
    for info in optim_db:
        name = info.optim_cls.__name__
        if info.optim_error_inputs_func is None or not hasattr(optim, name) or not names(name):
            continue
        for wrong in info.optim_error_inputs_func("cpu", torch.float32):
            given = wrong.optimizer_error_input
            steps = wrong.error_on is OptimizerErrorEnum.STEP_ERROR

            def make(
                name: str = name, given: Any = given, steps: bool = steps
            ) -> Callable[[], Any]:
                groups, settings = _groups(given.params, {}), to_smelt(dict(given.kwargs))

                def call() -> Any:
                    optimizer = getattr(optim, name)(groups, **settings)
                    return optimizer.step() if steps else optimizer

                return call

            yield name, f"{given.desc} {given.kwargs}", make, str(wrong.error_regex)


def _groups(given: Any, made: dict[int, Any]) -> Any:
    """Returns groups of Smelt's parameters, one for each of PyTorch's, wherever it stands."""
    if isinstance(given, torch.Tensor):
        plain = smelt.tensor(np.array(given.detach().numpy()))
        one = nn.Parameter(plain) if isinstance(given, torch.nn.Parameter) else plain
        return made.setdefault(id(given), one)
    if isinstance(given, dict):
        return {key: _groups(one, made) for key, one in given.items()}
    if isinstance(given, (list, tuple)):
        return type(given)(_groups(one, made) for one in given)
    return given
