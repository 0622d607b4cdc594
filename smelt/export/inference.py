"""What a trained model computes from raw inputs, and what these are: ready to leave Python."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from smelt.dtypes import DType
from smelt.nn.module import Module
from smelt.tensor import Tensor, as_tensor
from smelt.version import __version__

__all__ = ["Inference", "InferenceTensor"]


class InferenceTensor(NamedTuple):
    """An input or the output of an `Inference`.

    Attributes:
        name: of an input, that of the parameter of `forward`; of the output, what it is.
        dtype: of the array.
        shape: of one row: the array has one more axis, the first, of rows.
        facts: what its numbers are, for people and programs, as values that JSON can represent.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    facts: Mapping[str, Any] = {}

    def description(self) -> dict[str, Any]:
        """Returns all of it as values that JSON can represent."""
        shape = ["rows", *self.shape]
        return {"name": self.name, "dtype": self.dtype.name, "shape": shape, **self.facts}


@dataclass(frozen=True)
class Inference:
    """A trained model together with that part of its preprocessing that is arithmetic, and a
    description of the rest.

    Attributes:
        name: what exported functions may be called, an identifier of C.
        module: in evaluation mode; its `forward` takes the inputs and returns one tensor.
        inputs: in the order of the parameters of `forward`; those that are not there are None.
        output: what `forward` returns.
        facts: what else there is to say of the whole, as values that JSON can represent.
    """

    name: str
    module: Module
    inputs: tuple[InferenceTensor, ...]
    output: InferenceTensor
    facts: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self, rows: int = 1) -> list[Tensor | None]:
        """Returns zeros of the shapes and dtypes that the module takes, for exports.

        Args:
            rows: how many rows.
        """
        known = {
            one.name: as_tensor(np.zeros((rows, *one.shape), one.dtype.storage))
            for one in self.inputs
        }
        taken = [known.get(name) for name in inspect.signature(self.module.forward).parameters]
        while taken and taken[-1] is None:
            taken.pop()
        return taken

    def description(self, rows: int | None = None) -> dict[str, Any]:
        """Returns what the inputs and the output are, as values that JSON can represent.

        Args:
            rows: how many rows a call takes; None for any number.
        """
        return {
            "made_by": f"smelt {__version__}",
            **self.facts,
            "rows": rows,
            "inputs": [one.description() for one in self.inputs],
            "output": self.output.description(),
        }
