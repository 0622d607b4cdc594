"""Models of int8 beside those of float32: accuracy, bytes, and the speed of their C code.

    python benchmarks/quantize.py --data FOLDER          # the folder above fashion-mnist/
    python benchmarks/quantize.py digits words           # some; these two need no data

Four networks are trained, on the digits, Fashion-MNIST and synthetic words: a perceptron, a CNN,
one of depthwise separable convolutions on spectrograms, and one over time with the bands as
channels. Each is quantized by 500 training samples, with the largest numbers and with percentiles
as scales, and exported to C for one sample. Flash is code and constants, as gcc -Os makes them for
this machine; RAM is that of the state. Microseconds are the shortest for one sample, by gcc -O3
-march=native, float32 and int8 in turn.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import export, nn, optim
from smelt.data import load_digits, load_fashion_mnist
from smelt.recipes import fashion, keywords

CALIBRATION = 500
OPTIONS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math")
ROUNDS, SECONDS = 60, 0.002  # short, so that some run without an interruption

Data = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Task:
    """A network, how long and how fast it is trained, and data: (samples, labels)."""

    model: nn.Module
    epochs: int
    learning_rate: float
    training: Data
    test: Data


def digits(folder: str | None) -> Task:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    return Task(model, 30, 3e-3, _arrays(*load_digits("train")), _arrays(*load_digits("test")))


def clothes(folder: str | None) -> Task:
    train, test = (_arrays(*load_fashion_mnist(part, folder)) for part in ("train", "test"))
    # the recipe's network, without the mirror images
    model = nn.Sequential(nn.Unflatten(1, (1, 28)), fashion.make_model().layers)
    return Task(model, 4, 3e-3, train, test)


def words(folder: str | None) -> Task:
    train, test = (_spectrograms(count, part) for part, count in enumerate((4096, 2048)))
    return Task(keywords.make_model(), 6, 5e-3, train, test)


def words_over_time(folder: str | None) -> Task:
    """Bands are channels: a convolution over time, then depthwise separable ones."""
    train, test = (_spectrograms(count, part) for part, count in enumerate((4096, 2048)))
    train, test = ((images[:, 0], labels) for images, labels in (train, test))

    def separable(channels: int, outputs: int, stride: int) -> list[nn.Module]:
        return [
            nn.Conv1d(channels, channels, 9, stride, padding=4, groups=channels, bias=False),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Conv1d(channels, outputs, 1, bias=False),
            nn.BatchNorm1d(outputs),
            nn.ReLU(),
        ]

    model = nn.Sequential(
        nn.BatchNorm1d(keywords.BANDS),
        nn.Conv1d(keywords.BANDS, 32, 3, padding=1, bias=False),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        *separable(32, 48, 2),
        *separable(48, 64, 2),
        *separable(64, 64, 2),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(64, len(keywords.WORDS)),
    )
    return Task(model, 6, 5e-3, train, test)


TASKS: dict[str, Callable[[str | None], Task]] = {
    "digits": digits,
    "clothes": clothes,
    "words": words,
    "words-1d": words_over_time,
}


def _arrays(samples: smelt.Tensor, labels: smelt.Tensor) -> Data:
    return np.asarray(samples), np.asarray(labels)


def _spectrograms(count: int, part: int) -> Data:
    return _arrays(*keywords.spectrograms(*keywords.made(count, [0, part])).tensors)


# --- training and measuring -----------------------------------------------------------------------


def train(task: Task) -> None:
    """Trains the network of a task; the learning rate falls along half a cosine."""
    samples, labels = task.training
    optimizer = optim.Adam(task.model.parameters(), lr=task.learning_rate)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=task.epochs)

    @smelt.compile
    def step(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(task.model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(task.epochs):
        step.over(samples, labels, batch_size=64, shuffle=True, drop_last=True)
        scheduler.step()
    task.model.eval()


def accuracy(model: Callable[..., smelt.Tensor], data: Data) -> float:
    """Returns the accuracy in percent; the model is compiled for that."""
    compiled = smelt.compile(lambda x: model(x))
    samples, labels = data
    right = sum(
        int((np.argmax(compiled(samples[at : at + 256]), -1) == labels[at : at + 256]).sum())
        for at in range(0, len(labels), 256)
    )
    return 100 * right / len(labels)


def flash(made: export.CExport) -> int:
    """Returns the bytes of code and constants, compiled to be small."""
    small = Path(made.source).with_suffix(".o")
    subprocess.run(["gcc", "-std=c99", "-Os", "-c", made.source, "-o", str(small)], check=True)
    listed = subprocess.run(["size", str(small)], capture_output=True, text=True, check=True)
    return int(listed.stdout.splitlines()[1].split()[0])


def runner(made: export.CExport, samples: np.ndarray) -> Callable[[int], None]:
    """Returns what computes one sample so many times, in C."""
    source = Path(made.source)
    loop, library = source.with_name(f"{made.name}_loop.c"), source.with_suffix(".so")
    loop.write_text(
        f'#include "{made.name}.h"\n'
        "void repeat(void *state, void *x, void *y, int count)\n"
        f"{{\n    while (count-- > 0)\n        {made.name}_step(state, x, y);\n}}\n"
    )
    command = ["gcc", "-std=c99", *OPTIONS, "-shared", "-fPIC", str(source), str(loop)]
    subprocess.run([*command, "-o", str(library)], check=True)
    code = ctypes.CDLL(str(library))
    state = np.zeros(made.state_bytes + 64, np.uint8)
    place = ctypes.c_void_p(state.ctypes.data + -state.ctypes.data % 64)
    x = np.ascontiguousarray(samples, np.float32)
    y = np.zeros(made.results[0].shape, np.float32)
    getattr(code, f"{made.name}_init")(place)

    def run(count: int, _kept: object = (state, x, y)) -> None:
        code.repeat(place, ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data), count)

    return run


def microseconds(runs: Sequence[Callable[[int], None]]) -> list[float]:
    """Returns the shortest time of each, in turns: other programs only add to it."""
    times: list[list[float]] = [[] for _ in runs]
    counts = []
    for run in runs:
        start = time.perf_counter()
        run(3)
        counts.append(max(3, int(3 * SECONDS / (time.perf_counter() - start))))
    for _ in range(ROUNDS):
        for taken, run, count in zip(times, runs, counts, strict=True):
            start = time.perf_counter()
            run(count)
            taken.append(1e6 * (time.perf_counter() - start) / count)
    return [min(taken) for taken in times]


def measure(name: str, folder: str | None) -> None:
    smelt.manual_seed(0)
    task = TASKS[name](folder)
    train(task)
    calibration = task.training[0][:CALIBRATION]
    small = export.quantize(task.model, calibration)
    cut = export.quantize(task.model, calibration, method="percentile", percentile=99.9)
    scores = [accuracy(one, task.test) for one in (task.model, small, cut)]
    one = task.test[0][:1]
    with tempfile.TemporaryDirectory() as path:
        made = [
            export.to_c(model, path, one, name=kind)
            for model, kind in ((task.model, "float32"), (small, "int8"))
        ]
        sizes = [flash(part) for part in made]
        times = microseconds([runner(part, one) for part in made])
    cells = [f"{score:>9.2f}" for score in scores]
    cells += [f"{size:>10,}" for size in (*sizes, *(part.state_bytes for part in made))]
    cells += [f"{taken:>9.1f}" for taken in times]
    print(f"{name:<10}{''.join(cells)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="the folder above fashion-mnist/")
    parser.add_argument("tasks", nargs="*", help=f"some of {', '.join(TASKS)}; all without")
    given = parser.parse_args()
    heads = ("accuracy", "int8", "99.9 %", "flash", "int8", "RAM", "int8", "us", "int8")
    widths = (9, 9, 9, 10, 10, 10, 10, 9, 9)
    titles = "".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))
    print(f"{'':<10}{titles}", flush=True)
    for name in given.tasks or TASKS:
        measure(name, given.data)


if __name__ == "__main__":
    main()
