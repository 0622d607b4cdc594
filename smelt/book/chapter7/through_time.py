"""E7.5: loss and step of the recurrent network; its gradient goes back through time."""

from __future__ import annotations

import math

import numpy as np

import smelt
from smelt import optim
from smelt.book.chapter7.rnn import (
    LR,
    SEED,
    B,
    H,
    MinimalRNN,
    T,
    V,
    make_batch,
    make_step,
    sequence_loss,
)
from smelt.book.entry import Page, entry


@entry("E7.5", "Shift by one: loss and step")
def loss_and_step(page: Page) -> None:
    """Cross-entropy over the (B T, V) logits, its gradient through all eight steps, and Adam.

    Forward pass, gradient and update of all 486 parameters are one native function. The first loss
    is above ln 6 = 1.79, that of a blind guess: the wide first weights make guesses sure and wrong.

    h(t) depends on W_h twice, directly and through h(t-1), so the gradient goes back through time:

        dL/dW_h = sum over t of dL/dh(t) dh(t)/dW_h
        dh(t)/dW_h = [direct part] + dh(t)/dh(t-1) dh(t-1)/dW_h

    The book leaves the direct part out. As h(0) does not depend on W_h, nothing is left then.
    """
    smelt.manual_seed(SEED)
    model = MinimalRNN()
    step = make_step(model, optim.Adam(model.parameters(), lr=LR))
    losses = step.repeat(50)
    page.print("losses of steps 1, 10, 50:", *[f"{float(losses[i]):.4f}" for i in (0, 9, 49)])
    page.claim("the first loss is above a blind guess", f"> {math.log(V):.4f}", losses[0],
               losses[0] > math.log(V))  # fmt: skip
    fall = float(losses[-5:].mean() / losses[:5].mean())
    page.claim("50 steps lower the loss", "< 0.8 times the first", fall, fall < 0.8)

    fresh = MinimalRNN()
    _, targets, x = make_batch()
    sequence_loss(fresh(x), targets).backward()
    by_reverse = np.asarray(fresh.from_state.weight.grad)
    error = float(np.abs(by_reverse - through_time(fresh, x, targets, direct=True)).max())
    page.claim("dL/dW_h: the rule against backward", "error < 1e-6", error, error < 1e-6)
    left = float(np.abs(through_time(fresh, x, targets, direct=False)).max())
    page.claim("dL/dW_h without the direct part", 0.0, left, left == 0)


def through_time(
    model: MinimalRNN, x: smelt.Tensor, targets: smelt.Tensor, direct: bool
) -> np.ndarray:
    """Returns dL/dW_h (H, H) by the rule of E7.5, which goes forward in time."""
    w_x, b_x, w_h, b_h, w_y, b_y = (p.numpy() for p in model.parameters())
    h, dh = np.zeros((B, H)), np.zeros((B, H, H, H))  # dh[b, i] is dh_i / dW_h
    gradient = np.zeros((H, H))
    for t in range(T):
        dz = np.einsum("ij,bjkl->bikl", w_h, dh)  # z(t) depends on h(t-1)
        if direct:
            dz += np.einsum("ik,bl->bikl", np.eye(H), h)  # and on W_h itself
        h = np.tanh(x[:, t].numpy() @ w_x.T + b_x + h @ w_h.T + b_h)  # (B, H)
        dh = (1 - h**2)[:, :, None, None] * dz
        odds = np.exp(h @ w_y.T + b_y)  # (B, V)
        wrong = odds / odds.sum(1, keepdims=True) - np.eye(V)[targets[:, t].numpy()]
        gradient += np.einsum("bi,bikl->kl", wrong @ w_y / (B * T), dh)
    return gradient
