"""P8.2: why attention suits the sum, how to scale the network, and what grows with T squared."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot
from smelt.book.chapter8.sum_mod import DIGITS, LR, MODULUS, T, make_block
from smelt.book.entry import Page, entry

LENGTHS, WIDTH, WINDOW = (128, 256, 512, 1024), 16, 64
SIZES = {  # d_model, heads, d_ff, blocks
    "book": (64, 4, 256, 2), "wider, d_model 128": (128, 8, 256, 2),
    "wider FFN, d_ff 512": (64, 4, 512, 2), "deeper, 4 blocks": (64, 4, 256, 4),
}  # fmt: skip
SHORT, UPDATES = 4, 200  # digits of the sum on which sizes are compared


class ShallowCNN(nn.Module):
    """Two convolutions of width 3 over the sequence: (B, T, 64) -> (B, T, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv1d(64, 64, 3, padding=1) for _ in range(2))

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        """Returns features of each place, from the five places about it."""
        return self.second(F.relu(self.first(x.transpose(1, 2)))).transpose(1, 2)


def places_seen(model: Callable[[smelt.Tensor], smelt.Tensor]) -> int:
    """Returns how many of the 16 places the output in the middle depends on: gradients not 0."""
    x = smelt.randn(1, T, 64)
    slopes = smelt.grad(lambda x: model(x)[0, T // 2].sum())(x)[0]  # (T, 64)
    return int((slopes.abs().sum(1) > 0).sum())


class Adder(nn.Module):
    """The sum-modulo-5 Transformer in any size."""

    def __init__(self, d_model: int, heads: int, d_ff: int, blocks: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(DIGITS, d_model)
        self.places = nn.PositionalEncoding(d_model, batch_first=True)
        self.blocks = nn.Sequential(*(make_block(d_model, heads, d_ff) for _ in range(blocks)))
        self.norm = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, MODULUS)

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        """Returns logits (B, 5) for digits (B, T)."""
        return self.head(self.norm(self.blocks(self.places(self.embedding(x)))).mean(1))


def learn(size: tuple[int, int, int, int]) -> tuple[int, float, float]:
    """Returns parameters, accuracy on sums of four digits, and milliseconds an update."""
    smelt.manual_seed(0)
    model = Adder(*size)
    opt = optim.Adam(model.parameters(), lr=LR)

    @smelt.compile
    def step() -> smelt.Tensor:
        x = smelt.randint(0, DIGITS, (128, SHORT))
        y = x.sum(1) % MODULUS
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        return (logits.argmax(1) == y).float().mean()

    step()
    start = time.perf_counter()
    right = step.repeat(UPDATES)
    seconds = (time.perf_counter() - start) / UPDATES
    numbers = sum(p.numel() for p in model.parameters())
    return numbers, float(right[-20:].mean()), 1e3 * seconds


def full(x: smelt.Tensor) -> smelt.Tensor:
    """Every place attends to every place: T x T scores; x is (T, 16)."""
    return F.softmax(x @ x.T / WIDTH**0.5, -1) @ x


def windowed(x: smelt.Tensor) -> smelt.Tensor:
    """Places attend within their block of 64: T x 64 scores."""
    blocks = x.reshape(-1, WINDOW, WIDTH)  # (T / 64, 64, 16)
    scores = blocks @ blocks.transpose(1, 2) / WIDTH**0.5
    return (F.softmax(scores, -1) @ blocks).reshape(x.shape)


def milliseconds(attend: Callable[[smelt.Tensor], smelt.Tensor]) -> list[float]:
    """Returns the times of one attention over so many places, the best of 30 rounds.

    All lengths take part in every round, so that whatever else is busy slows all of them.
    """
    step = smelt.compile(attend)
    inputs = [smelt.randn(length, WIDTH) for length in LENGTHS]
    for x in inputs:
        step(x)
    rounds = np.array([[seconds(step, x) for x in inputs] for _ in range(30)])
    return (1e3 * rounds.min(0)).tolist()


def seconds(step: Callable[[smelt.Tensor], smelt.Tensor], x: smelt.Tensor) -> float:
    """Returns the time of one call."""
    start = time.perf_counter()
    step(x)
    return time.perf_counter() - start


def exponent(times: list[float]) -> float:
    """Returns p where the time grows like T^p."""
    return float(np.polyfit(np.log(LENGTHS), np.log(times), 1)[0])


@entry("P8.2", "Sum modulo C: attention or convolution, three ways to scale, and T squared")
def scaling(page: Page) -> None:
    """Three questions, each with something measured beside the answer."""
    attention, convolution = make_block(64, 4, 256), ShallowCNN()
    seen = {"self-attention, one block": places_seen(attention),
            "CNN, two layers of width 3": places_seen(convolution)}  # fmt: skip
    page.table(["network", "places that one output sees"], list(seen.items()))
    page.answer(
        """
        Why attention: the answer depends on every digit alike, wherever it stands. After one block
        of self-attention each place has seen all 16; after two convolutions of width 3 it has seen
        five, and only the mean at the end brings the rest together, when it is too late to
        compute anything of them. A CNN would need seven layers, or dilation, to see them all.
        """
    )
    page.claim("places seen by attention, by the CNN", (16, 5), tuple(seen.values()),
               tuple(seen.values()) == (16, 5))  # fmt: skip
    compare_sizes(page)
    times = {"full": milliseconds(full), "windows of 64": milliseconds(windowed)}
    powers = {name: exponent(row) for name, row in times.items()}
    page.table(["T", *LENGTHS, "grows like"],
               [(name, *(f"{t:.3f} ms" for t in row), f"T^{powers[name]:.2f}")
                for name, row in times.items()])  # fmt: skip
    page.answer(
        """
        What is O(T^2): the matrix of scores, Q K^T, its softmax, and its product with V; all else
        is linear in T. One way out is to attend within windows: T x 64 scores instead of T x T.
        Others are sparse or linear attention, and pooling keys and values first.
        """
    )
    apart = powers["full"] - powers["windows of 64"]
    page.claim("powers of T, full and within windows, differ by", "about 1: > 0.4", apart,
               apart > 0.4)  # fmt: skip
    ratio = times["full"][-1] / times["windows of 64"][-1]
    page.claim(f"T = {LENGTHS[-1]:,}: full attention, 16 times the scores, takes longer",
               "> 3 times", f"{ratio:.1f} times", ratio > 3)  # fmt: skip


def compare_sizes(page: Page) -> None:
    """Trains four sizes on sums of four digits, which they can begin to learn."""
    results = {name: learn(size) for name, size in SIZES.items()}
    page.table(
        ["size", "parameters", f"accuracy after {UPDATES} updates", "ms an update"],
        [(name, n, f"{a:.1%}", f"{ms:.1f}") for name, (n, a, ms) in results.items()],
    )
    page.figure("sizes", plot.bars({name: a for name, (_, a, _) in results.items()},
                title=f"Accuracy on four digits after {UPDATES} updates"))  # fmt: skip
    page.answer(
        """
        Three ways to scale: a wider model, a wider FFN, more blocks. All cost parameters and time;
        the table says how much, and what they bring on sums of four digits. On the book's 16
        digits none of them brings anything: there the gradient has nothing to say (E8.1+), and a
        larger network hears no more of it. To be taught the sums on the way brings everything,
        with the book's own size and its 300 updates.
        """
    )
    book, best = results["book"][1], max(a for _, a, _ in results.values())
    page.claim("four digits: the best of the larger over the book's size", "> 10 % more",
               f"{best:.1%} and {book:.1%}", best > book + 0.1)  # fmt: skip
