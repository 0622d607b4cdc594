"""A whole MNIST training as a user starts it: read the files, train, test; time and peak memory.

Each side is a process of its own, from the start of Python to its end, and is the shortest program
that a user of that library would write: the same network (a small CNN), Adam, batches of 64,
shuffled, no augmentation. The sides take turns.

python benchmarks/whole_process.py --data FOLDER --peers /path/to/python/with/torch/and/keras
"""

from __future__ import annotations

import argparse
import gzip
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BATCH = 64


def _mnist(folder: str, split: str):
    """Returns images (n, 1, 28, 28) from 0 to 1 and labels (n,), by NumPy alone, for the peers."""
    import numpy as np

    name = {"train": "train", "test": "t10k"}[split]
    base = Path(folder) / "mnist"
    pixels = gzip.decompress((base / f"{name}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((base / f"{name}-labels-idx1-ubyte.gz").read_bytes())[8:]
    images = np.frombuffer(pixels, np.uint8).reshape(-1, 1, 28, 28).astype(np.float32) / 255
    return images, np.frombuffer(labels, np.uint8).astype(np.int64)


def smelt(folder: str, epochs: int) -> float:
    """Trains with Smelt; returns the test accuracy."""
    import smelt.nn.functional as F
    from smelt import manual_seed, nn, optim, train
    from smelt.data import load_mnist

    manual_seed(0)
    (images, labels), (test_images, test_labels) = (
        load_mnist(split, folder) for split in ("train", "test")
    )
    model = nn.Sequential(
        *(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(800, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    data = images.unsqueeze(1), labels
    train.fit(model, F.cross_entropy, optimizer, data, epochs=epochs, batch_size=BATCH)
    found = train.evaluate(model, (test_images.unsqueeze(1), test_labels), ["accuracy"])
    return float(found["accuracy"])


def torch(folder: str, epochs: int) -> float:
    """Trains with PyTorch, eagerly, as its tutorials do; returns the test accuracy."""
    import torch as library
    import torch.nn.functional as F
    from torch import nn, optim
    from torch.utils.data import DataLoader, TensorDataset

    library.manual_seed(0)
    training, test = (
        TensorDataset(*map(library.tensor, _mnist(folder, split))) for split in ("train", "test")
    )
    model = nn.Sequential(
        *(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(800, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for images, labels in DataLoader(training, batch_size=BATCH, shuffle=True):
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with library.no_grad():
        images, labels = test.tensors
        return float((model(images).argmax(1) == labels).float().mean())


def keras(folder: str, epochs: int) -> float:
    """Trains with Keras on JAX; returns the test accuracy."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras as library
    from keras import layers

    library.utils.set_random_seed(0)
    (images, labels), (test_images, test_labels) = (
        _mnist(folder, split) for split in ("train", "test")
    )
    channels_last = (0, 2, 3, 1)
    model = library.Sequential(
        [
            library.Input((28, 28, 1)),
            *(layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(2)),
            *(layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2)),
            *(layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10)),
        ]
    )
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(library.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    data = images.transpose(channels_last), labels
    model.fit(*data, epochs=epochs, batch_size=BATCH, verbose=0)
    found = model.evaluate(
        test_images.transpose(channels_last), test_labels, batch_size=1000, verbose=0
    )
    return float(found[1])


SIDES: dict[str, Callable[[str, int], float]] = {"smelt": smelt, "torch": torch, "keras": keras}


def measured(side: str, python: str, data: str, epochs: int, cache: str) -> tuple[float, ...]:
    """Returns seconds, CPU seconds, MiB at the peak and the test accuracy of one process."""
    from smelt.bench.process import run_process  # not at the top: the peers load no Smelt

    command = [python, __file__, "--data", data, "--epochs", str(epochs), "--side", side]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SMELT_CACHE": cache}
    took = run_process(command, capture=True, env=environment)
    return took.seconds, took.cpu, took.mebibytes, float(took.output.split()[-1])


def main() -> None:
    """Prints a line for each side, medians of the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="the folder above mnist/")
    parser.add_argument("--peers", default=sys.executable, help="a Python with torch and keras")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(SIDES), choices=list(SIDES))
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(f"\n{SIDES[options.side](options.data, options.epochs)}")
        return
    seen: dict[str, list[tuple[float, ...]]] = {side: [] for side in options.only}
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(options.rounds):
            for side in options.only:
                python = sys.executable if side == "smelt" else options.peers
                seen[side].append(measured(side, python, options.data, options.epochs, cache))
                if side == "smelt" and len(seen[side]) == 1:
                    print(f"smelt, nothing compiled before: {seen[side][0][0]:.1f} s", flush=True)
    print(f"{options.epochs} epochs; medians of {options.rounds} processes")
    print(f"{'':<8}{'seconds':>10}{'CPU':>10}{'peak MiB':>10}{'test':>10}")
    for side, rounds in seen.items():
        seconds, cpu, memory, accuracy = map(statistics.median, zip(*rounds, strict=True))
        print(f"{side:<8}{seconds:>10.1f}{cpu:>10.1f}{memory:>10.0f}{accuracy:>10.4f}")


if __name__ == "__main__":
    main()
