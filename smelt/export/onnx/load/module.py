"""The module that an ONNX file becomes."""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smelt.dtypes import decode, int8
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.export.onnx.load.card import Scope
from smelt.export.onnx.load.evaluate import evaluated
from smelt.export.onnx.load.graph import Graph, Initializer, Input
from smelt.export.onnx.load.known import Known, Value, lifted
from smelt.export.onnx.load.places import paths
from smelt.export.onnx.load.tensors import INT8, KINDS, type_name
from smelt.ir.symbolic import is_symbolic
from smelt.nn.module import Module
from smelt.nn.parameter import Buffer, Parameter
from smelt.tensor import Tensor, as_tensor

__all__ = ["OnnxModule", "module_of"]


class _Part(Module):
    """A part of the path to a tensor."""


class OnnxModule(Module):
    """What the graph of an ONNX file computes; `smelt.export.load_onnx` makes it.

    It is called with the inputs of the graph, in order or by name, and returns its output, or the
    tuple of them.

    Attributes:
        input_names: of the graph, in order.
        output_names: likewise.
        tensor_names: what the file calls each parameter and buffer, by path.
    """

    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    tensor_names: Mapping[str, str] = {}

    def __init__(self, graph: Graph, initializers: Mapping[str, Initializer]) -> None:
        super().__init__()
        read = {key: one for key, one in initializers.items() if one.is_read}
        held = {key: one for key, one in read.items() if one.note != "constant"}
        places = paths([one.name for one in held.values()], type(self))
        self._graph = graph
        self._keys = dict(zip(held, places, strict=True))
        self._known = {
            key: Known(decode(one.array, one.dtype), one.dtype)
            for key, one in read.items()
            if key not in held or not (one.dtype.is_float and one.array.ndim)
        }
        self.input_names = tuple([one.name for one in graph.inputs])
        self.output_names = graph.outputs
        self.tensor_names = {
            place: one.name for place, one in zip(places, held.values(), strict=True)
        }
        for place, one in zip(places, held.values(), strict=True):
            self._hold(place, one)

    def _hold(self, place: str, initializer: Initializer) -> None:
        *path, name = place.split(".")
        module: Module = self
        for part in path:
            if part not in vars(module):
                setattr(module, part, _Part())
            module = vars(module)[part]
        kind = Parameter if _is_learned(initializer) else Buffer
        tensor = kind.__new__(kind)
        Tensor.__init__(tensor, initializer.array, initializer.dtype, kind is Parameter)
        if kind is Buffer:
            module.register_buffer(name, tensor)
        else:
            setattr(module, name, tensor)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Returns the graph's output, or a tuple of its outputs.

        Args:
            inputs: tensors or arrays, in the order of `input_names`; lists of them for sequences.
            named: likewise, by name.

        Raises:
            ArgumentError: too many or too few inputs, or an unknown name.
            DTypeError, ShapeError: an input that is not what the graph declares.
        """
        given = self._given(inputs, named)
        bound = {key: self._bound(key) for key in {**self._keys, **self._known}}
        outputs = evaluated(self._graph, Scope({}, bound), given)
        results = tuple([lifted(value) for value in outputs])
        return results[0] if len(results) == 1 else results

    def _bound(self, key: str) -> Value:
        """Returns what stands for an initializer: a tensor, or numbers that are known."""
        known = self._known.get(key)
        if key not in self._keys:
            return known
        tensor: Any = self
        for part in self._keys[key].split("."):
            tensor = vars(tensor)[part]
        return tensor if known is None else Known(known.array, known.dtype, tensor)

    def _given(self, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> list[Value]:
        """Returns the inputs in order; one may be named as in the file, or as an argument."""
        plain = dict(zip(_identifiers(self.input_names), self.input_names, strict=True))
        by_name = {plain.get(name, name): value for name, value in named.items()}
        left = self.input_names[len(inputs) :]
        missing = [name for name in left if name not in by_name]
        unknown = [name for name in by_name if name not in left]
        if len(inputs) > len(self.input_names) or missing or unknown:
            wrong = [f"{', '.join(missing)} missing"] if missing else []
            wrong += [f"{', '.join(unknown)} unknown or given twice"] if unknown else []
            raise ArgumentError(
                f"the ONNX graph takes {len(self.input_names)} inputs "
                f"({', '.join(self.input_names)}), got {len(inputs)} in order and {len(named)} by "
                f"name{': ' if wrong else ''}{', '.join(wrong)}"
            )
        values = [*inputs, *(by_name[name] for name in left)]
        return [_checked(*pair) for pair in zip(self._graph.inputs, values, strict=True)]

    def extra_repr(self) -> str:
        """Returns the names of inputs and outputs."""
        return f"{', '.join(self.input_names)} -> {', '.join(self.output_names)}"


def module_of(graph: Graph, initializers: Mapping[str, Initializer]) -> OnnxModule:
    """Returns the module of a graph, whose `forward` has the inputs as its parameters."""
    names = _identifiers([one.name for one in graph.inputs])

    def forward(self: OnnxModule, *inputs: Any, **named: Any) -> Any:
        return OnnxModule.forward(self, *inputs, **named)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind) for name in ("self", *names)]
    forward.__doc__ = OnnxModule.forward.__doc__
    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    own = {"forward": forward, "__module__": __name__, "__doc__": OnnxModule.__doc__}
    made: type[OnnxModule] = type("OnnxModule", (OnnxModule,), own)
    return made(graph, initializers)


def _identifiers(names: Sequence[str]) -> list[str]:
    """Returns names of inputs as those of parameters of a function."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        if not plain.isidentifier() or keyword.iskeyword(plain) or plain == "self":
            plain = f"input_{plain}"
        while plain in found:
            plain = f"{plain}_"
        found.append(plain)
    return found


def _is_learned(initializer: Initializer) -> bool:
    """Whether a tensor becomes a parameter: numbers without axes are settings of the network."""
    learned = initializer.is_learned and initializer.dtype.is_float
    if initializer.note in ("parameter", "buffer"):  # what `save_onnx` says
        return learned and initializer.note == "parameter"
    return learned and initializer.array.ndim > 0


def _checked(declared: Input, value: Any) -> Value:
    """Returns an input as a tensor of what the graph declares."""
    if declared.kind != "tensor":
        if declared.kind == "optional" and value is None:
            return None
        if isinstance(value, (list, tuple)):
            return [as_tensor(item) for item in value]
        if declared.kind == "sequence":
            raise ArgumentError(f"input {declared.name!r} is a sequence: give a list of tensors")
        return as_tensor(value)
    if value is None or isinstance(value, str):
        raise ArgumentError(f"input {declared.name!r} is a tensor, got {value!r}")
    tensor = as_tensor(np.asarray(value) if isinstance(value, (list, tuple)) else value)
    kind = KINDS.get(declared.data_type)
    if kind is None:
        raise DTypeError(
            f"input {declared.name!r} is of {type_name(declared.data_type)}, which Smelt does not "
            "have"
        )
    if tensor.dtype is int8 and declared.data_type == INT8:
        tensor = tensor.to(kind.dtype)  # computed in it, as the other narrow integers are
    if tensor.dtype is not kind.dtype:
        raise DTypeError(
            f"input {declared.name!r} is of {kind.dtype.name}, got {tensor.dtype.name}; bring a "
            f"tensor to it with .to(smelt.{kind.dtype.name}), an array with "
            f".astype('{kind.dtype.name}')"
        )
    if declared.shape is not None and not _fits(declared, tensor):
        shown = ", ".join("?" if extent is None else str(extent) for extent in declared.shape)
        raise ShapeError(f"input {declared.name!r} has shape ({shown}), got {tensor.shape}")
    return tensor


def _fits(declared: Input, tensor: Tensor) -> bool:
    assert declared.shape is not None
    if len(declared.shape) != tensor.ndim:
        return False
    pairs = zip(declared.shape, tensor.shape, strict=True)
    return all(
        own == extent
        for own, extent in pairs
        if isinstance(own, int) and (not is_symbolic(extent) or own >= 0)
    )
