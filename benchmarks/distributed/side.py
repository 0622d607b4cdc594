"""One rank of one library, for `compare.py`: step times of a network, with three kinds of exchange.

python side.py LIBRARY NETWORK ROUNDS STEPS, LIBRARY "smelt" or "torch"

"none" leaves each rank's gradients, "blocking" sums them up when all are there, "overlap" while
the rest of the backward pass runs. Rank 0 prints the seconds of a step for each round, as JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np

LIBRARY, NAME, ROUNDS, STEPS = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
BUCKET_MB = 1.0  # so that there are several
MODES = ("none", "blocking", "overlap")

if LIBRARY == "smelt":
    import smelt as library
    import smelt.distributed as distributed
    import smelt.nn.functional as F
    from smelt import nn, optim
    from smelt.distributed import exchange
else:
    import torch as library
    import torch.distributed as distributed
    import torch.nn.functional as F
    from torch import nn, optim


class Convolutional(nn.Module):
    """Two convolutions with normalization by the batch, a hidden layer, an output."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16)
        self.second, self.other = nn.Conv2d(16, 32, 3, stride=2), nn.BatchNorm2d(32)
        self.hidden, self.output = nn.Linear(32 * 36, 256), nn.Linear(256, 10)

    def forward(self, x: Any) -> Any:
        """Returns the logits of images (B, 1, 16, 16)."""
        x = F.relu(self.norm(self.first(x)))
        x = F.relu(self.other(self.second(x)))
        return self.output(F.relu(self.hidden(x.flatten(1))))


class Recurrent(nn.Module):
    """An LSTM and a linear layer on its last output."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.output = nn.LSTM(64, 256, batch_first=True), nn.Linear(256, 10)

    def forward(self, x: Any) -> Any:
        """Returns the logits of sequences (B, 16, 64)."""
        return self.output(self.lstm(x)[0][:, -1])


class Attending(nn.Module):
    """Two layers of an encoder with dropout, and a linear layer on the mean of the outputs."""

    def __init__(self) -> None:
        super().__init__()
        layers = [
            nn.TransformerEncoderLayer(128, 4, 512, dropout=0.1, batch_first=True) for _ in range(2)
        ]
        self.layers, self.output = nn.Sequential(*layers), nn.Linear(128, 10)

    def forward(self, x: Any) -> Any:
        """Returns the logits of sequences (B, 16, 128)."""
        return self.output(self.layers(x).mean(1))


def perceptron() -> Any:
    """Returns three hidden layers."""
    sizes = (784, 1024, 1024, 1024)
    hidden = [part for a, b in itertools.pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(1024, 10))


def generator() -> Any:
    """Returns a network from latents to pictures."""
    return nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 784))


def discriminator() -> Any:
    """Returns a network from pictures to one number."""
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 1))


NETWORKS: dict[str, tuple[list[Any], tuple[int, ...], int]] = {  # made of, a sample, samples
    "mlp": ([perceptron], (784,), 64),
    "cnn": ([Convolutional], (1, 16, 16), 64),
    "lstm": ([Recurrent], (16, 64), 32),
    "transformer": ([Attending], (16, 128), 16),
    "gan": ([generator, discriminator], (784,), 64),
}
_mode = "overlap"


@contextmanager
def exchanging(models: list[Any]) -> Any:
    """Within the block `backward` exchanges gradients in the present way."""
    if LIBRARY == "smelt" and _mode == "blocking":

        def at_once(x: Any) -> Any:
            result = distributed.all_reduce(x)
            return lambda: result

        with mock.patch.object(exchange, "begin_all_reduce", at_once):
            yield
    elif _mode == "overlap":
        yield
    else:
        with ExitStack() as stack:
            for model in models:
                stack.enter_context(model.no_sync())
            yield
        if LIBRARY == "torch" and _mode == "blocking":
            _sum_up([x.grad for model in models for x in model.parameters() if x.grad is not None])


def _sum_up(gradients: list[Any]) -> None:
    """Makes gradients of PyTorch their means, a bucket at a time."""
    bucket: list[Any] = []
    for gradient in [*reversed(gradients), None]:
        if gradient is not None:
            bucket.append(gradient)
        if bucket and (gradient is None or sum(x.nbytes for x in bucket) >= BUCKET_MB * 2**20):
            flat = library.cat([x.reshape(-1) for x in bucket])
            distributed.all_reduce(flat)
            flat /= distributed.get_world_size()
            for x, part in zip(bucket, flat.split([x.numel() for x in bucket]), strict=True):
                x.copy_(part.view_as(x))
            bucket = []


def made() -> tuple[Any, tuple[Any, ...], list[Any]]:
    """Returns a step, what it reads, and the models."""
    makers, shape, samples = NETWORKS[NAME]
    random = np.random.default_rng(0)
    models = []
    for make in makers:
        model = make()
        with library.no_grad():
            for _, x in sorted(model.named_parameters()):
                drawn = random.uniform(-1, 1, tuple(x.shape)) / np.sqrt(max(x.shape))
                x.copy_(library.tensor(drawn.astype(np.float32)))
        if LIBRARY == "smelt":
            models.append(distributed.DistributedDataParallel(model, bucket_cap_mb=BUCKET_MB))
        else:
            wrap = nn.parallel.DistributedDataParallel
            models.append(wrap(model, bucket_cap_mb=BUCKET_MB))
    optimizers = [optim.Adam(model.parameters(), lr=1e-4) for model in models]
    own = np.random.default_rng(1 + distributed.get_rank())
    x = library.tensor(own.standard_normal((samples, *shape)).astype(np.float32))
    y = library.tensor(own.integers(0, 10, samples))
    z = library.tensor(own.standard_normal((samples, 64)).astype(np.float32))

    def called(number: int, x: Any) -> Any:
        # the hooks of PyTorch's wrapper are armed by its forward pass
        is_bare = LIBRARY == "torch" and _mode != "overlap"
        return models[number].module(x) if is_bare else models[number](x)

    def classify(x: Any, y: Any) -> Any:
        optimizers[0].zero_grad()
        loss = F.cross_entropy(called(0, x), y)
        with exchanging(models):
            loss.backward()
        optimizers[0].step()
        return loss.detach()

    def play(x: Any, z: Any) -> Any:
        optimizers[1].zero_grad()
        made = called(0, z).detach()
        judged = F.softplus(-called(1, x)).mean() + F.softplus(called(1, made)).mean()
        with exchanging([models[1]]):
            judged.backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        loss = F.softplus(-called(1, called(0, z))).mean()
        with exchanging([models[0]]):
            loss.backward()
        optimizers[0].step()
        return (judged + loss).detach()

    return (play, (x, z), models) if NAME == "gan" else (classify, (x, y), models)


def main() -> None:
    """Measures, and prints on the first rank."""
    global _mode
    if LIBRARY == "smelt":
        distributed.init_process_group()
    else:
        library.set_num_threads(1)
        distributed.init_process_group("gloo")
    library.manual_seed(0)
    function, batch, models = made()
    steps = {}
    for mode in MODES:
        if LIBRARY == "smelt":
            steps[mode] = library.compile(lambda *batch: function(*batch))
        else:
            steps[mode] = function
    losses = []
    seconds: dict[str, list[float]] = {mode: [] for mode in MODES}
    for number in range(ROUNDS + 1):
        for mode in reversed(MODES):
            _mode = mode
            distributed.barrier()
            begin = time.perf_counter()
            for _ in range(STEPS):
                loss = steps[mode](*batch)
            last = float(loss)
            if number:
                seconds[mode].append((time.perf_counter() - begin) / STEPS)
            losses.append(last)
    gradients = sum(4 * int(np.prod(x.shape)) for model in models for x in model.parameters())
    if distributed.get_rank() == 0:
        print(json.dumps({"seconds": seconds, "losses": losses, "bytes": gradients}), flush=True)
    if LIBRARY == "torch":
        distributed.destroy_process_group()
        os._exit(0)


main()
