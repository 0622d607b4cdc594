"""QuantizedModule: the layers of a quantized model, and in which order they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from smelt.compiler.artifacts import ResultTree
from smelt.dtypes import float32, int8
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.export.quantization.capture import Captured
from smelt.export.quantization.layers import Dequantize, Layer, Quantize
from smelt.export.quantization.report import QuantizationReport
from smelt.location import computed_again
from smelt.nn.containers import ModuleDict
from smelt.nn.module import Module
from smelt.ops.op import Shape
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor
from smelt.tensor.checked import checked_flags
from smelt.tracing.engine import no_grad

__all__ = ["Instruction", "Program", "QuantizedModule", "Returned"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One call of a layer: it reads some registers and writes one; `line` is the user's."""

    layer: str
    reads: tuple[int, ...]
    writes: int
    line: str


@dataclass(frozen=True, slots=True)
class Returned:
    """What the model returns: a register, and the scale of its int8; None where it is float32."""

    register: int
    scale: float | None


@dataclass(frozen=True, slots=True)
class Program:
    """The calls in order; the first registers are the inputs, quantized."""

    instructions: tuple[Instruction, ...]
    input_scales: tuple[float, ...]
    outputs: tuple[Returned, ...]


@checked_flags
class QuantizedModule(Module):
    """A model of int8, for evaluation: float32 in and out, as the model that it was made of.

    Its layers are ordinary operations on int8 and int32 tensors, so it runs eagerly, compiles and
    is exported like any module, with the same integers each time. It has no parameters and no
    gradients. The first axis of every input counts samples; there may be any number of them.

    Attributes:
        layers: the layers by name; what they keep, such as int8 weights, is in the state_dict.
        report: what each layer needs and how it was scaled; print it.
        input_scales: of each input: the int8 number q stands for scale * q.
        output_scales: of each output; None for one that is computed in float32, as a softmax.
    """

    report: QuantizationReport

    def __init__(self, captured: Captured, layers: dict[str, Layer], program: Program) -> None:
        self.layers: ModuleDict = ModuleDict(layers)
        self.program: Program = program
        self.captured_shapes: tuple[Shape, ...] = tuple(
            [node.shape[1:] for node in captured.graph.arguments]
        )
        self._counts = captured.counts
        self._result = _without_trace(captured.traced.result)
        self.eval()

    @property
    def input_scales(self) -> tuple[float, ...]:
        """The scale of each input."""
        return self.program.input_scales

    @property
    def output_scales(self) -> tuple[float | None, ...]:
        """The scale of each output; None where it is computed in float32."""
        return tuple([one.scale for one in self.program.outputs])

    def forward(self, *inputs: Any) -> Any:
        """Returns what the model does, computed with integers.

        Args:
            inputs: float32 tensors (N, ...), as the model takes them.

        Raises:
            ShapeError: they have other shapes than the calibration data, but for N.
        """
        given = self._checked(inputs, float32)
        scales = zip(given, self.program.input_scales, strict=True)
        with no_grad():
            values = [Quantize(scale).forward(x.shape[0], x) for x, scale in scales]
            made = self._run(values)
            results = [
                made[one.register]
                if one.scale is None
                else Dequantize(one.scale).forward(0, made[one.register])
                for one in self.program.outputs
            ]
        return self._result(results)

    def forward_int8(self, *inputs: Any) -> Any:
        """Returns the outputs as int8 for inputs of int8: for C code without a float.

        Args:
            inputs: int8 tensors (N, ...), clip(round(x / scale), -127, 127) with `input_scales`.

        Returns:
            int8: q stands for scale * q with `output_scales`.

        Raises:
            ArgumentError: an output is computed in float32; the report names the operations.
        """
        if None in self.output_scales:
            operations = ", ".join(self.report.float_operations)
            raise ArgumentError(
                f"forward_int8: an output is computed in float32, by {operations}; quantize the "
                "model without them, or call forward"
            )
        with no_grad():
            made = self._run(self._checked(inputs, int8))
        return self._result([made[one.register] for one in self.program.outputs])

    def _checked(self, inputs: Sequence[Any], dtype: Any) -> list[Tensor]:
        if len(inputs) != len(self.captured_shapes):
            raise ArgumentError(
                f"the quantized model takes {len(self.captured_shapes)} inputs, got {len(inputs)}"
            )
        given = [as_tensor(x) for x in inputs]
        for x, shape in zip(given, self.captured_shapes, strict=True):
            if not x.ndim or tuple(x.shape[1:]) != tuple(shape):
                axes = "".join(f", {extent}" for extent in shape)
                raise ShapeError(
                    f"the quantized model was calibrated on inputs (N{axes}), got {tuple(x.shape)}"
                )
            if (dtype is int8) is not (x.dtype is int8):
                raise DTypeError(
                    f"the quantized model takes {dtype.name} here, got {x.dtype.name}: forward "
                    "takes numbers, forward_int8 takes int8"
                )
        samples = {x.shape[0] for x in given}
        if len(samples) != 1:
            raise ShapeError(f"the inputs have {sorted(samples)} samples, in their first axes")
        self._counts.check(given[0].shape[0])
        return [x.to(dtype) for x in given]

    def _run(self, inputs: list[Tensor]) -> dict[int, Tensor]:
        """Returns what is in each register at the end."""
        samples = inputs[0].shape[0]
        values = dict(enumerate(inputs))
        for one in self.program.instructions:
            layer = self.layers[one.layer]
            with computed_again(one.line, "", None):
                values[one.writes] = layer(samples, *[values[number] for number in one.reads])
        return values

    def train(self, mode: bool = True) -> QuantizedModule:
        """Returns the module itself; `mode` must be False: a quantized model is for evaluation.

        Raises:
            ArgumentError: `mode` is True.
        """
        if mode:
            raise ArgumentError(
                "train: a quantized model is for evaluation; train the float32 model, and quantize "
                "it again"
            )
        return super().train(False)


def _without_trace(result: Callable[[list[Tensor]], Any]) -> Callable[[list[Tensor]], Any]:
    """Returns how a result is built, without the nodes of the trace that stand in it."""
    if not isinstance(result, ResultTree):
        return result
    leaves = [as_tensor(0) if isinstance(leaf, Tensor) else leaf for leaf in result.leaves]
    return ResultTree(leaves, result.structure)
