"""Sweeps: the same network at many sizes."""

from __future__ import annotations

from smelt.bench.workload import Workload
from smelt.bench.workloads import gpt, recurrent
from smelt.bench.workloads.convolutional import Size as Images
from smelt.bench.workloads.convolutional import convolutional
from smelt.bench.workloads.dense import Size as Layers
from smelt.bench.workloads.dense import perceptron

__all__ = ["SWEEPS"]


def mlp_sweep() -> dict[str, Workload]:
    """Returns perceptrons of three layers, of growing width, batch 64."""
    sizes = [Layers(width, 3, 64) for width in (8, 16, 32, 64, 128, 256, 512, 1024)]
    return {
        f"mlp-{size.width}": perceptron(f"MLP, 3 layers of {size.width}, batch 64", size)
        for size in sizes
    }


def convolution_sweep() -> dict[str, Workload]:
    """Returns networks of two convolutions, of growing number of channels."""
    sizes = [Images(channels, 16, 32) for channels in (1, 4, 8, 16, 32, 64, 128)]
    return {
        f"conv-{size.channels}": convolutional(
            f"2 convolutions 3x3, {size.channels} channels, 32 images of 16x16", size
        )
        for size in sizes
    }


def recurrent_sweep(cell: str) -> dict[str, Workload]:
    """Returns recurrent networks of growing width, and of growing length and batch."""
    sizes = [recurrent.Size(32, hidden, 32, 32) for hidden in (8, 16, 32, 64, 128, 256, 512)]
    sizes += [recurrent.Size(32, 64, 256, 32), recurrent.Size(32, 64, 32, 256)]
    return {
        f"{cell.lower()}-{size.hidden}-{size.length}-{size.batch}": recurrent.recurrent(
            f"{cell}, hidden {size.hidden}, {size.length} steps, batch {size.batch}", cell, size
        )
        for size in sizes
    }


def transformer_sweep() -> dict[str, Workload]:
    """Returns GPTs of two blocks, of growing width, and of growing length."""
    sizes = [gpt.Size(2, width, 4, 32, 16) for width in (16, 32, 64, 128, 256, 512)]
    sizes += [gpt.Size(2, 128, 4, length, 4) for length in (128, 256)]
    return {
        f"transformer-{size.width}-{size.length}-{size.batch}": gpt.gpt(
            f"GPT, 2 blocks, width {size.width}, batch {size.batch} x {size.length}", size
        )
        for size in sizes
    }


SWEEPS: dict[str, dict[str, Workload]] = {
    "mlp": mlp_sweep(),
    "convolution": convolution_sweep(),
    "lstm": recurrent_sweep("LSTM"),
    "gru": recurrent_sweep("GRU"),
    "transformer": transformer_sweep(),
}
