"""Single layers: what each and its gradients take, in Smelt and PyTorch.

A step gives the layer's output for a fixed input, and the gradients of its mean square by the input
and all parameters. Nothing is fused with a neighbor, so this is the worst that a layer can do.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from smelt.bench.sides import timed_steps
from smelt.bench.workload import normal, steps_for

Make = Callable[[Any], Any]  # from `nn` of either library to a layer


@dataclass(frozen=True)
class Layer:
    """A layer, and what it is given.

    Args:
        title: the layer and its extents.
        make: from the library's `nn` to the layer.
        shape: of its input, the batch first.
        operations: floating-point operations of its products, forward and backward.
    """

    title: str
    make: Make
    shape: tuple[int, ...]
    operations: float = 0.0


def smelt_layer(layer: Layer) -> Iterator[dict[str, Any]]:
    """A compiled function of input and gradients."""
    import smelt
    from smelt import autograd, nn

    model = _filled(layer.make(nn), smelt.tensor)
    x = smelt.tensor(normal(layer.shape, 0)).requires_grad_()
    step = smelt.compile(partial(_step, model, autograd.grad))
    return timed_steps(step, (x,), steps_for(_work(layer)))


def torch_layer(layer: Layer) -> Iterator[dict[str, Any]]:
    """The same, eagerly."""
    import torch
    from torch import nn

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = _filled(layer.make(nn), torch.tensor)
    x = torch.tensor(normal(layer.shape, 0)).requires_grad_()
    step = partial(_step, model, torch.autograd.grad)
    return timed_steps(step, (x,), steps_for(_work(layer)))


def _work(layer: Layer) -> float:
    """Returns about how many operations a step has, some an element where it has no products."""
    return max(layer.operations, 100.0 * math.prod(layer.shape))


def _filled(model: Any, tensor: Callable[[np.ndarray], Any]) -> Any:
    """Returns a layer whose parameters are the same numbers in every library."""
    state = model.state_dict()
    numbers = {
        name: tensor(normal(tuple(value.shape), seed) * 0.1)
        for seed, (name, value) in enumerate(sorted(state.items()), 1)
        if "num_batches" not in name and "running" not in name
    }
    model.load_state_dict({**state, **numbers})
    return model


def _step(model: Any, gradients: Callable[..., Any], x: Any) -> Any:
    output = model(x)
    loss = ((output[0] if isinstance(output, tuple) else output) ** 2).mean()
    gradients(loss, [x, *model.parameters()])
    return loss


# --- which ----------------------------------------------------------------------------------------


def layers() -> dict[str, Layer]:
    """Returns the layers that users build of, at sizes of small and middle-sized networks."""
    cases = [
        *_linear(), *_convolutions(), *_transposed(), *_pooling(), *_norms(), *_recurrent(),
        *_pointwise(),
    ]  # fmt: skip
    return dict(cases)


def _linear() -> Iterator[tuple[str, Layer]]:
    for inputs, outputs, batch in (
        (10, 64, 256), (784, 256, 64), (64, 64, 4096), (256, 1, 256), (512, 2048, 8),
        (129, 127, 257),
    ):  # fmt: skip
        title = f"Linear({inputs}, {outputs}), batch {batch}"
        make = partial(_made, "Linear", inputs, outputs)
        products = 6.0 * inputs * outputs * batch
        yield f"linear-{inputs}-{outputs}", Layer(title, make, (batch, inputs), products)


def _convolutions() -> Iterator[tuple[str, Layer]]:
    for inputs, outputs, taps, width, batch, settings in (
        (1, 8, 3, 28, 64, {}),
        (3, 16, 3, 32, 32, {"padding": 1}),
        (16, 16, 3, 32, 32, {"padding": 1}),
        (64, 64, 3, 16, 32, {"padding": 1}),
        (128, 128, 3, 8, 32, {"padding": 1}),
        (256, 256, 3, 4, 32, {"padding": 1}),
        (32, 64, 5, 12, 32, {}),
        (16, 120, 5, 5, 64, {}),
        (32, 64, 3, 32, 32, {"padding": 1, "stride": 2}),
        (3, 64, 7, 64, 8, {"padding": 3, "stride": 2}),
        (64, 128, 1, 16, 32, {}),
        (32, 32, 3, 32, 32, {"padding": 2, "dilation": 2}),
        (64, 64, 3, 32, 32, {"padding": 1, "groups": 64}),
        (64, 64, 3, 32, 32, {"padding": 1, "groups": 64, "stride": 2}),
        (64, 64, 3, 16, 32, {"padding": 1, "groups": 4}),
    ):
        words = "".join(f", {name} {value}" for name, value in settings.items())
        title = f"Conv2d({inputs}, {outputs}, {taps}{words}), {batch} images of {width}x{width}"
        covered = (taps - 1) * settings.get("dilation", 1) + 1
        extent = (width + 2 * settings.get("padding", 0) - covered) // settings.get("stride", 1) + 1
        depth = inputs // settings.get("groups", 1) * taps**2
        make = partial(_made, "Conv2d", inputs, outputs, taps, **settings)
        suffix = "".join(f"-{name[0]}{value}" for name, value in settings.items())
        name = f"conv-{inputs}-{outputs}-k{taps}-{width}{suffix}"
        products = 6.0 * batch * outputs * extent**2 * depth
        yield name, Layer(title, make, (batch, inputs, width, width), products)
    for inputs, outputs, taps, groups in ((16, 32, 9, 1), (64, 64, 3, 1), (64, 64, 9, 64)):
        title = f"Conv1d({inputs}, {outputs}, {taps}, groups {groups}), 32 series of 256"
        make = partial(_made, "Conv1d", inputs, outputs, taps, padding=taps // 2, groups=groups)
        products = 6.0 * 32 * outputs * 256 * inputs // groups * taps
        yield (
            f"conv1d-{inputs}-{outputs}-k{taps}-g{groups}",
            Layer(title, make, (32, inputs, 256), products),
        )


def _transposed() -> Iterator[tuple[str, Layer]]:
    for inputs, outputs, taps, width, settings in (
        (100, 128, 7, 1, {}),
        (128, 64, 4, 8, {"stride": 2, "padding": 1}),
        (32, 3, 4, 16, {"stride": 2, "padding": 1}),
    ):
        title = f"ConvTranspose2d({inputs}, {outputs}, {taps}), 32 images of {width}x{width}"
        make = partial(_made, "ConvTranspose2d", inputs, outputs, taps, **settings)
        products = 6.0 * 32 * inputs * outputs * taps**2 * width**2
        yield (
            f"transposed-{inputs}-{outputs}",
            Layer(title, make, (32, inputs, width, width), products),
        )


def _pooling() -> Iterator[tuple[str, Layer]]:
    for kind in ("MaxPool2d", "AvgPool2d"):
        for window in ((2,), (3, 2, 1)):
            title = f"{kind}({', '.join(map(str, window))}), 32 images of 32 channels, 32x32"
            make = partial(_made, kind, *window)
            yield f"{kind[:3].lower()}pool-{window[0]}", Layer(title, make, (32, 32, 32, 32))


def _norms() -> Iterator[tuple[str, Layer]]:
    yield "batchnorm2d", _plain("BatchNorm2d", (64,), (32, 64, 16, 16))
    yield "groupnorm-8", _plain("GroupNorm", (8, 64), (32, 64, 16, 16))
    yield "groupnorm-1", _plain("GroupNorm", (1, 32), (16, 32, 32, 32))
    yield "layernorm-64", _plain("LayerNorm", (64,), (2048, 64))
    yield "layernorm-768", _plain("LayerNorm", (768,), (256, 768))


def _recurrent() -> Iterator[tuple[str, Layer]]:
    for kind, gates in (("RNN", 1), ("LSTM", 4), ("GRU", 3)):
        title = f"{kind}(64, 64), 32 sequences of 32"
        make = partial(_made, kind, 64, 64, batch_first=True)
        products = 6.0 * 32 * 32 * gates * 64 * 128
        yield f"layer-{kind.lower()}", Layer(title, make, (32, 32, 64), products)


def _pointwise() -> Iterator[tuple[str, Layer]]:
    for name in ("ReLU", "GELU", "SiLU", "Tanh"):
        yield name.lower(), _plain(name, (), (512, 512))
    yield "softmax-64", _plain("Softmax", (-1,), (2048, 64))
    yield "softmax-1000", _plain("Softmax", (-1,), (256, 1000))


def _plain(kind: str, arguments: tuple[Any, ...], shape: tuple[int, ...]) -> Layer:
    title = f"{kind}({', '.join(map(str, arguments))}), {' x '.join(map(str, shape))}"
    return Layer(title, partial(_made, kind, *arguments), shape)


def _made(kind: str, *arguments: Any, **settings: Any) -> Any:
    """Returns a layer of a library, whose `nn` is the last argument."""
    *given, nn = arguments
    return getattr(nn, kind)(*given, **settings)
