"""Writes PyTorch's answers to a spread of its samples, for the tests that run without PyTorch.

A case is one call: the name under which Smelt has the function, its arguments with numbers in the
place of tensors, and which arrays are the value, the first and the second derivatives.
"""

from __future__ import annotations

import json
import pathlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

from smelt import dtypes
from smelt.tensor import Tensor
from tests.oracle import operators
from tests.oracle.derivatives import gradients_by_pytorch
from tests.oracle.outcome import AGREE, Case, Tally
from tests.oracle.sums import leaves
from tests.oracle.translate import Untranslatable, array_of, shown, tensors_in, to_smelt

PATH = pathlib.Path(__file__).parents[1] / "references" / "operators.npz"
CASES = 3  # of each name
ELEMENTS = 150  # of all arguments and results together


class Recorder:
    """The cases so far, and their arrays."""

    def __init__(self) -> None:
        self.cases: list[dict[str, Any]] = []
        self.arrays: list[np.ndarray] = []

    def keep(self, value: Any, wide: bool = False) -> int:
        """Keeps an array and returns its number; derivatives and values as float32."""
        array = array_of(value)
        narrow = array.dtype == np.float64 and not wide
        self.arrays.append(array.astype(np.float32) if narrow else array)
        return len(self.arrays) - 1

    def encoded(self, tree: Any) -> Any:
        """Returns arguments in the words of JSON.

        Raises:
            Untranslatable: an argument for which there are none.
        """
        if isinstance(tree, Tensor):
            return {"tensor": self.keep(tree, wide=True)}
        if isinstance(tree, dtypes.DType):
            return {"dtype": tree.name}
        if isinstance(tree, tuple):
            return {"tuple": [self.encoded(one) for one in tree]}
        if isinstance(tree, list):
            return [self.encoded(one) for one in tree]
        if tree is None or isinstance(tree, (bool, int, float, str)):
            return tree
        raise Untranslatable(type(tree).__name__)

    def write(self) -> None:
        """Writes the file, the same bytes for the same answers."""
        names = {f"array{number}": array for number, array in enumerate(self.arrays)}
        np.savez_compressed(PATH, cases=np.array(json.dumps(self.cases)), **names)


def record(names: Callable[[str], bool]) -> None:
    """Records at most `CASES` samples of every operator that Smelt has, in float64 or int64."""
    recorder = Recorder()
    for op in op_db:
        forms = operators.named(op) if op.name not in operators.RANDOM else []
        if forms and names(op.full_name):
            for sample in _fitting(op, forms[0]):
                _record(recorder, op, forms[0].text, sample)
    recorder.write()
    print(f"{len(recorder.cases)} cases, {len({case['name'] for case in recorder.cases})} names")
    print(f"{PATH.stat().st_size} bytes, from PyTorch {torch.__version__}")


def _spread(found: list[Any]) -> list[Any]:
    return found[:: max(1, -(-len(found) // CASES))][:CASES]


def _is_small(sample: Any) -> bool:
    tensors = tensors_in((sample.input, sample.args, sample.kwargs))
    return sum(x.numel() for x in tensors) <= ELEMENTS and not sample.kwargs.get("dropout_p")


def _fitting(op: Any, form: operators.Form) -> Iterator[Any]:
    """Yields a spread of the small samples, those in which Smelt and PyTorch agree."""
    supported = op.supported_dtypes("cpu")
    dtype = torch.float64 if torch.float64 in supported else torch.int64
    if dtype not in supported:
        return
    wanted = op.supports_autograd and dtype.is_floating_point
    small = [one for one in operators.samples(op, dtype, wanted) if _is_small(one)]
    for sample in _spread(small):
        arguments = (sample.input, *sample.args)
        try:
            ours = to_smelt(list(arguments)), to_smelt(sample.kwargs)
        except Untranslatable:
            continue
        tally = Tally()
        case = Case("op_db", op.full_name, form.text, str(dtype), "value", shown(arguments))
        operators.compare_sample(tally, case, op, sample, form, ours, {"value"})
        if tally.total(AGREE):
            yield sample


def _record(recorder: Recorder, op: Any, form: str, sample: Any) -> None:
    arguments = (sample.input, *sample.args)
    last = op.name.removeprefix("nn.functional.")
    reordered = operators.ORDER.get(last, lambda *given: given)(*to_smelt(list(arguments)))
    every = list(tensors_in((arguments, sample.kwargs)))
    inputs = [one for one in every if one.requires_grad]

    def call() -> Any:
        return op.op(sample.input, *sample.args, **sample.kwargs)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = leaves(call())
        gradients = _gradients(call, inputs)
    if sum(x.numel() for x in tensors_in(value)) > ELEMENTS:
        return
    before = len(recorder.arrays)
    try:
        recorder.cases.append(
            {
                "name": op.full_name,
                "form": form,
                "arguments": recorder.encoded(list(reordered)),
                "options": {
                    key: recorder.encoded(one) for key, one in to_smelt(sample.kwargs).items()
                },
                "by": [place for place, one in enumerate(_order(op, every)) if one.requires_grad],
                "value": [recorder.keep(one) for one in value],
                "gradients": [[recorder.keep(one) for one in order] for order in gradients],
            }
        )
    except Untranslatable:
        del recorder.arrays[before:]


def _order(op: Any, every: list[torch.Tensor]) -> list[torch.Tensor]:
    """Returns the tensors in the order in which Smelt's function takes them."""
    last = op.name.removeprefix("nn.functional.")
    return list(tensors_in(operators.ORDER[last](*every))) if last in _PLAIN else every


_PLAIN = ("where", "embedding")  # reordered, and all their arguments are tensors


def _gradients(call: Callable[[], Any], inputs: list[torch.Tensor]) -> list[list[Any]]:
    """Returns both orders of gradients, one where PyTorch has no second, or none."""
    return gradients_by_pytorch(call, inputs, True) if inputs else []
