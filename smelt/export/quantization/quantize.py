"""`quantize`: a trained model as one of int8, scaled by what it computes on calibration data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from smelt.compiler.frontend.step import compile as compiled
from smelt.errors import ArgumentError
from smelt.export.evaluated import evaluated
from smelt.export.quantization.analysis import Analysis, analysed
from smelt.export.quantization.capture import captured, located
from smelt.export.quantization.layers import bytes_of
from smelt.export.quantization.module import QuantizedModule
from smelt.export.quantization.ranges import METHODS, Range
from smelt.export.quantization.report import QuantizationReport
from smelt.export.quantization.rewrite import Rewriting
from smelt.ir.graph import Node
from smelt.nn.module import Module
from smelt.ops import movement
from smelt.tensor import Tensor
from smelt.tensor.apply import as_tensor
from smelt.tracing.engine import no_grad

__all__ = ["quantize"]

BATCH = 64  # calibration samples that are computed at once
COUNTED = 256  # samples of `evaluate` that are
Batch = tuple[np.ndarray, ...]
Evaluate = tuple[Any, Any] | Callable[[Callable[..., Any]], float]


def quantize(
    model: Callable[..., Any],
    calibration: Any,
    *,
    method: str = "max",
    percentile: float = 99.99,
    keep_float: bool = False,
    evaluate: Evaluate | None = None,
) -> QuantizedModule:
    """Returns a trained model as one of int8: post-training quantization.

    A tensor x is held as int8 numbers q with x ~ s * q, symmetric about 0: weights with one scale s
    for each output channel, activations with one for each tensor, from the calibration data. Sums
    of products and biases are int32, and become int8 of the next scale by a fixed-point multiplier
    and a rounding shift (Jacob et al., 2018, arXiv:1712.05877). So all is integer arithmetic, with
    the same integers eagerly, compiled, and in C (`export.to_c`).

    Quantized are linear layers and other matrix products, convolutions with any stride, padding,
    dilation and groups, max, average and adaptive pooling, sums, maxima and minima over axes, the
    ReLU family and every other function of one number (a table of 256 entries), additions and
    products of tensors, concatenation, and reshape and its like. Normalizations in evaluation mode
    are folded into the layer before. What has no such form, as a softmax, is computed in float32 of
    dequantized numbers if no further product depends on it; so is a function of one number that is
    the model's output.

    Args:
        model: a module, which is taken in evaluation mode, or a function; float32 in and out. The
            first axis of every input counts samples.
        calibration: example inputs, like those that will come: an array or a tensor (N, ...), or
            an iterable of batches. A batch is an array, or a tuple of one for each input. Some
            hundred samples are enough.
        method: how a tensor's scale is found: "max", the largest |x| over 127; or "percentile",
            that of `percentile` over 127, beyond which numbers saturate.
        percentile: of |x|, in (0, 100).
        keep_float: whether operations without an integer form are computed in float32, on
            dequantized numbers, also where products depend on them. Otherwise they are errors.
        evaluate: (inputs, labels), to compare the accuracy of both models; or a function that is
            given a model and returns a number.

    Returns:
        A module for evaluation with `report`, which says by layer scales, saturation and bytes,
        and what `evaluate` gave.

    Raises:
        ArgumentError: an argument is none of these, the calibration data is empty or not finite,
            or sums of products may not fit into 30 bits.
        CompileError: an operation has no integer form; the message names it, the module and the
            line.

    Example:
        >>> import numpy as np, smelt
        >>> from smelt import export, nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> small = export.quantize(model, np.random.default_rng(0).normal(size=(100, 4)))
        >>> small(smelt.zeros(2, 4)).shape
        (2, 3)
    """
    _check_method(method, percentile)
    batches = _batches(calibration)
    first = next(batches, None)
    if first is None or not len(first[0]):
        raise ArgumentError("quantize: the calibration data has no samples")
    found = captured(model, first)
    analysis = analysed(found, keep_float)
    ranges = _ranges(analysis, first, batches, percentile if method == "percentile" else 100.0)
    function = getattr(model, "function", model)
    rewriting = Rewriting(analysis, ranges, isinstance(function, Module))
    program = rewriting.program()
    made = QuantizedModule(found, rewriting.layers, program)
    weights = [x for x in found.traced.states if x.dtype.is_float]
    made.report = QuantizationReport(
        tuple(rewriting.rows),
        tuple(rewriting.float_operations),
        sum(x.size * x.dtype.itemsize for x in weights),
        bytes_of(made),
    )
    if evaluate is not None:
        before, after = (_score(evaluate, one) for one in (model, made))
        made.report = replace(made.report, score_before=before, score_after=after)
    return made


def _check_method(method: str, percentile: float) -> None:
    if method not in METHODS:
        raise ArgumentError(f"quantize: method is one of {METHODS}, got {method!r}")
    if not 0 < percentile < 100:
        raise ArgumentError(f"quantize: percentile lies between 0 and 100, got {percentile!r}")


# --- calibration ----------------------------------------------------------------------------------


def _batches(calibration: Any) -> Iterator[Batch]:
    """Yields the inputs of the model, a few samples at a time."""
    given: Iterable[Any]
    if isinstance(calibration, (np.ndarray, Tensor)):
        given = [calibration]
    elif isinstance(calibration, Iterable) and not isinstance(calibration, (str, bytes, dict)):
        given = calibration
    else:
        raise ArgumentError(
            "quantize: calibration is an array of inputs, or an iterable of batches, got "
            f"{type(calibration).__name__}"
        )
    for batch in given:
        inputs = batch if isinstance(batch, (tuple, list)) else (batch,)
        arrays = [as_tensor(x).detach().float().numpy() for x in inputs]
        if not arrays or any(not x.ndim for x in arrays):
            raise ArgumentError("quantize: a batch of calibration data holds numbers, no arrays")
        for start in range(0, max(1, len(arrays[0])), BATCH):
            yield tuple([x[start : start + BATCH] for x in arrays])


def _ranges(
    analysis: Analysis, first: Batch, others: Iterator[Batch], percentile: float
) -> dict[Node, Range]:
    """Returns what the numbers of each node were on all batches."""
    found = analysis.captured
    ranges: dict[Node, Range] = {
        node: Range(percentile)
        for node in analysis.nodes
        if node.dtype.is_float and (not node.op.is_movement or node.op is movement.concatenate)
    }
    for node in found.graph.arguments:
        ranges.setdefault(node, Range(percentile))  # one that nothing reads
    batch: Batch | None = first
    while batch is not None:
        _check_batch(batch, first)
        found.counts.check(len(batch[0]))
        for node, value in found.run(batch):
            if node in ranges:
                ranges[node].see(value, located(f"the result of {node.op.name}", node))
        batch = next(others, None)
    return ranges


def _check_batch(batch: Batch, first: Batch) -> None:
    shapes, wanted = ([x.shape[1:] for x in one] for one in (batch, first))
    if shapes != wanted or len({len(x) for x in batch}) != 1:
        raise ArgumentError(
            f"quantize: batches of calibration data differ: inputs of {wanted}, then of {shapes}; "
            "samples must have one shape, and each input as many of them"
        )


# --- what it costs --------------------------------------------------------------------------------


def _score(evaluate: Evaluate, model: Callable[..., Any]) -> float:
    if callable(evaluate):
        return float(evaluate(model))
    try:
        inputs, labels = evaluate
        labels = np.asarray(labels)
        given = as_tensor(inputs).detach().float()
    except (TypeError, ValueError):
        raise ArgumentError(
            "quantize: evaluate is (inputs, labels), or a function that is given a model"
        ) from None
    if not labels.ndim or len(labels) != given.shape[0]:
        raise ArgumentError(
            f"quantize: evaluate has {given.shape[0]} inputs and {labels.shape} labels"
        )
    step = compiled(lambda x: model(x))  # of any model, and without marking it as compiled
    with evaluated(model), no_grad():
        right = [
            np.argmax(step(given[start : start + COUNTED]).numpy(), -1)
            == labels[start : start + COUNTED]
            for start in range(0, len(labels), COUNTED)
        ]
    return float(np.concatenate(right).mean())
