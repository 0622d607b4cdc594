"""P7.3: which network for which task, with a measurement behind each reason."""

from __future__ import annotations

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.book.chapter7.next_value import accuracies
from smelt.book.entry import Page, entry
from smelt.data import load_digits

WINDOW, ANOMALIES = 50, 30

ANSWER = """
Handwritten digits: a CNN. What makes a 3 is the same wherever it stands, so the same small kernels
are used everywhere, and pooling forgives some pixels of displacement. Trained on digits in their
place and tested on digits moved by one pixel, a small CNN keeps more of its accuracy than a dense
network with more weights.

The next word of a sentence: a recurrent network, an LSTM as soon as what matters stands further
back than a few words (or a Transformer, chapter 8). The order counts and the length varies; a
network that sees the last word only cannot know what led to it.

Anomalies in a sensor's stream: a recurrent network (or a causal 1-D CNN) that predicts the next
value from those before. Where the prediction is far off, something new has happened. It finds
values that are quite ordinary in themselves and wrong only at this moment, which a limit on the
level misses.
"""


def digits_in_and_out_of_place(model: nn.Module) -> tuple[int, float, float]:
    """Returns the number of weights, and the accuracy on digits in place and moved by a pixel."""
    images, labels = load_digits("train")  # (1437, 8, 8)
    opt = optim.Adam(model.parameters(), lr=3e-3)

    @smelt.compile
    def step(x: smelt.Tensor, y: smelt.Tensor) -> None:
        loss = F.cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()

    for _ in range(30):
        step.over(images, labels, batch_size=64, shuffle=True)
    images, labels = load_digits("test")
    moved = F.pad(images, (1, 0))[:, :, :-1]  # a column of paper comes in at the left
    right = [float((model(x).argmax(1) == labels).float().mean()) for x in (images, moved)]
    return sum(p.numel() for p in model.parameters()), right[0], right[1]


def dense() -> nn.Sequential:
    """One hidden layer: every pixel has weights of its own."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def convolutional() -> nn.Sequential:
    """Two convolutions, each with pooling: (B, 8, 8) -> (B, 16, 2, 2) -> (B, 10)."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8)),  # (B, 1, 8, 8)
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


class Forecaster(nn.Module):
    """Predicts the next value of a stream at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, 16, batch_first=True)
        self.head = nn.Linear(16, 1)

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        """Returns (B, T, 1) for streams (B, T, 1)."""
        return self.head(self.lstm(x)[0])

    def errors(self, stream: np.ndarray) -> np.ndarray:
        """Returns by how much each value (n,) of a stream differs from what was expected."""
        with smelt.no_grad():
            expected = smelt.compile(self)(stream[None, :-1, None])[0, :, 0].numpy()
        return np.concatenate([[0], np.abs(expected - stream[1:])])


def sensor(length: int, rng: np.random.Generator) -> np.ndarray:
    """Two oscillations and a little noise."""
    t = np.arange(length)
    clean = np.sin(t / 5) + 0.5 * np.sin(t / 13)
    return (clean + 0.05 * rng.normal(size=length)).astype(np.float32)


def train_forecaster(stream: np.ndarray) -> Forecaster:
    """Returns a network that has learned to predict a stream."""
    model = Forecaster()
    opt = optim.Adam(model.parameters(), lr=1e-2)
    starts = range(0, len(stream) - WINDOW, 10)
    windows = np.stack([stream[start : start + WINDOW + 1] for start in starts])[..., None]

    @smelt.compile
    def step(x: smelt.Tensor) -> None:
        loss = F.mse_loss(model(x[:, :-1]), x[:, 1:])
        opt.zero_grad()
        loss.backward()
        opt.step()

    for _ in range(60):
        step.over(windows, batch_size=32, shuffle=True, drop_last=True)
    return model


def find_anomalies() -> tuple[float, int, float]:
    """Returns the share of anomalies found, false alarms, and the share that a limit would find."""
    rng = np.random.default_rng(0)
    normal, stream = sensor(2000, rng), sensor(1200, rng)
    places = rng.choice(np.arange(WINDOW, len(stream), 20), ANOMALIES, replace=False)
    stream[places] += rng.choice([np.float32(-0.6), np.float32(0.6)], ANOMALIES)
    model = train_forecaster(normal)
    limit = 1.2 * model.errors(normal)[WINDOW:].max()
    alarms = np.flatnonzero(model.errors(stream) > limit)
    echo = np.concatenate([places + late for late in range(4)])  # an odd value disturbs the next
    false = np.setdiff1d(alarms[alarms >= WINDOW], echo)
    by_level = np.abs(stream[places]) > np.abs(normal).max()
    return float(np.isin(places, alarms).mean()), len(false), float(by_level.mean())


@entry("P7.3", "CNN, RNN or LSTM? Three choices, with reasons")
def three_choices(page: Page) -> None:
    """Handwritten digits, the next word of a sentence, anomalies in a sensor's stream."""
    page.answer(ANSWER)
    smelt.manual_seed(page.seed)
    rows = {name: digits_in_and_out_of_place(make())
            for name, make in (("dense", dense), ("CNN", convolutional))}  # fmt: skip
    page.table(["digits", "weights", "accuracy in place", "moved by a pixel"],
               [(name, count, f"{placed:.1%}", f"{moved:.1%}")
                for name, (count, placed, moved) in rows.items()])  # fmt: skip
    dense_moved, cnn_moved = rows["dense"][2], rows["CNN"][2]
    page.claim("accuracy on moved digits, the CNN", f"above the dense network's {dense_moved:.1%}",
               f"{cnn_moved:.1%}", cnn_moved > dense_moved)  # fmt: skip
    memory, blind = (float(accuracies(name, 0)[-1]) for name in ("LSTM", "no memory"))
    page.claim("accuracy on the next token of P7.2's patterns, LSTM",
               f"half of all above {blind:.1%}, by the last token only", f"{memory:.1%}",
               memory > blind + 0.5)  # fmt: skip
    found, false, by_level = find_anomalies()
    page.print(f"anomalies: {found:.0%} found, {false} false alarms in 1,150 values (alarms in the "
               "three steps behind an anomaly count as its echo); "
               f"a limit on the level would find {by_level:.0%}")  # fmt: skip
    page.claim("anomalies found by the forecaster", "> 90 %", f"{found:.0%}", found > 0.9)
    page.claim("false alarms", "< 10", false, false < 10)
