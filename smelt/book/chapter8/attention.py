"""E8.m: multi-head attention on random vectors; what its weights and the places look like."""

from __future__ import annotations

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, plot
from smelt.book.entry import Page, entry

D_MODEL, HEADS, B, T = 64, 8, 2, 5
WORDS = "the cat sat on the mat".split()


@entry("E8.m", "Multi-head attention keeps the shape of its input")
def shape_check(page: Page) -> None:
    """Eight heads look at five vectors of 64 numbers, and return five vectors of 64 numbers.

    The book prints the shape. What happens inside is written out below it: each head compares
    queries with keys in 8 of the 64 columns, the softmax makes weights of the scores, and the
    weights mix the values. The layer of the library gives the same to the last few bits.
    """
    attention = nn.MultiheadAttention(D_MODEL, HEADS, batch_first=True)
    x = smelt.randn(B, T, D_MODEL)
    with smelt.no_grad():
        output, weights = attention(x, x, x, average_attn_weights=False)
        by_hand = attend(x, attention)
    page.print(list(output.shape))
    page.claim("shape", [2, 5, 64], list(output.shape), output.shape == (2, 5, 64))
    error = float((output - by_hand).abs().max())
    page.claim("the layer is its formula", "error < 1e-5", error, error < 1e-5)
    sums = float((weights.sum(-1) - 1).abs().max())
    page.claim("each query's weights add up to 1", "error < 1e-5", sums, sums < 1e-5)
    page.figure("weights", plot.attention(weights[0], title="Eight heads, not trained"))
    show_places(page)
    order_matters(page, attention)


def attend(x: smelt.Tensor, layer: nn.MultiheadAttention) -> smelt.Tensor:
    """Concat(head_1, ..., head_8) W_O, head_i = softmax(Q_i K_i^T / sqrt(8)) V_i."""
    width = D_MODEL // HEADS
    weights = layer.state_dict()
    packed = x @ weights["in_proj_weight"].T + weights["in_proj_bias"]  # (B, T, 192)
    q, k, v = packed.chunk(3, -1)  # (B, T, 64) each
    heads = []
    for i in range(HEADS):
        part = slice(i * width, (i + 1) * width)
        scores = q[:, :, part] @ k[:, :, part].transpose(1, 2) / width**0.5  # (B, T, T)
        heads.append(F.softmax(scores, -1) @ v[:, :, part])  # (B, T, 8)
    return layer.out_proj(smelt.cat(heads, -1))


def show_places(page: Page) -> None:
    """Draws the sines and cosines that say where a word stands, in the two layouts."""
    layouts = {name: F.sinusoidal_encoding(50, D_MODEL, name).numpy()
               for name in ("interleaved", "concatenated")}  # fmt: skip
    for name, places in layouts.items():
        figure = plot.heatmap(places, x_label="column", y_label="place", title=f"Places, {name}")
        page.figure(f"places-{name}", figure)
    pair, halves = layouts.values()
    same = np.array_equal(np.concatenate([pair[:, ::2], pair[:, 1::2]], 1), halves)
    page.claim("text (interleaved) and program (concatenated) differ by an order of columns", True,
               same, same)  # fmt: skip
    products = pair @ pair.T  # by angle addition these depend on the distance only
    spread = max(float(np.ptp(np.diagonal(products, k))) for k in range(25))
    page.claim("the product of two places depends on their distance only", "spread < 1e-3",
               spread, spread < 1e-3)  # fmt: skip


def order_matters(page: Page, attention: nn.MultiheadAttention) -> None:
    """Without places a shuffled sentence gives the shuffled output: attention sees a set."""
    tokens = nn.Embedding(len(WORDS), D_MODEL)(smelt.arange(len(WORDS)))[None]  # (1, 6, 64)
    placed = nn.PositionalEncoding(D_MODEL, batch_first=True)
    order = [5, 4, 3, 2, 1, 0]

    def change(prepare: nn.Module) -> float:
        with smelt.no_grad():
            x, y = prepare(tokens), prepare(tokens[:, order])
            difference = attention(x, x, x)[0][:, order] - attention(y, y, y)[0]
        return float(difference.abs().max())

    without, with_places = change(nn.Identity()), change(placed)
    page.claim("words backwards, no places: the output backwards", "change < 1e-5", without,
               without < 1e-5)  # fmt: skip
    page.claim("with places the order matters", "change > 0.01", with_places, with_places > 0.01)
