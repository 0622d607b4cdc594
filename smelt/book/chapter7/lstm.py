"""E7.8: an LSTM on the task of the RNN, as the book compares them, and on equal terms."""

from __future__ import annotations

import numpy as np

import smelt
from smelt import nn, plot
from smelt.book.chapter7.rnn import LR, SEED, H, MinimalRNN, V, make_batch, train, wide_linear
from smelt.book.entry import Page, entry

BOOK_LR, BOOK_EPOCHS = 1e-3, 120  # the RNN had 3e-3 and 400
BOOK = {10: (1.7266, 37.5), 100: (1.3891, 100.0)}
RNN_AT_100 = 0.6308  # the book's RNN, with three times the learning rate


class LSTMTagger(nn.Module):
    """One LSTM layer and a linear head; first weights wide, biases zero, as in the book."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(V, H, batch_first=True)
        self.head = wide_linear(H, V)
        for name, p in self.lstm.named_parameters():
            if name.startswith("weight"):
                nn.init.kaiming_uniform_(p, nonlinearity="relu")
            else:
                nn.init.zeros_(p)

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        """Returns logits (B, T, V) for one-hot tokens (B, T, V)."""
        states, _ = self.lstm(x)  # (B, T, H)
        return self.head(states)


def lstm_in_numpy(weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Returns the states (B, T, H) by the book's formulas.

    f = s(W_f x + U_f h + b_f)      what to keep of the memory
    i = s(W_i x + U_i h + b_i)      what to write into it
    g = tanh(W_g x + U_g h + b_g)   the candidate that is written
    o = s(W_o x + U_o h + b_o)      what to show of it
    c = f c + i g,  h = o tanh(c)
    """
    h = c = np.zeros((x.shape[0], H), np.float32)
    states = []
    for t in range(x.shape[1]):
        z = x[:, t] @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
        z = z + h @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]  # (B, 4 H)
        i, f, g, o = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.stack(states, 1)


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z))."""
    return 1 / (1 + np.exp(-z))


@entry("E7.8", "An LSTM on the same task")
def lstm_on_the_same_task(page: Page) -> None:
    """The book's LSTM: learning rate 1e-3 and 120 epochs, where the RNN had 3e-3 and 400.

    The text says that both have the same rate, and that the LSTM gets to a high accuracy faster and
    more steadily. Its own numbers say otherwise: at epoch 100 the LSTM's loss is 1.3891, the RNN's
    0.6308. Ours do as well. What is left of the claim on equal terms is measured in `E7.8+`.
    """
    smelt.manual_seed(SEED)
    model = LSTMTagger()
    total = sum(p.numel() for p in model.parameters())
    _, _, x = make_batch()
    weights = {name: p.numpy() for name, p in model.lstm.named_parameters()}
    with smelt.no_grad():
        error = float(np.abs(model.lstm(x)[0].numpy() - lstm_in_numpy(weights, x.numpy())).max())
    log = train(model, BOOK_LR, BOOK_EPOCHS)
    page.table(
        ["epoch", "loss", "accuracy", "book: loss", "accuracy"],
        [(epoch, f"{loss:.4f}", f"{accuracy:.1%}", *BOOK.get(epoch, ("", "")))
         for epoch, loss, accuracy in log],
    )  # fmt: skip
    page.claim("number of parameters", 1638, total, total == 1638)
    page.claim("the formulas in NumPy", "error < 1e-5", error, error < 1e-5)
    loss = next(loss for epoch, loss, _ in log if epoch == 100)
    page.claim("loss at epoch 100 (book: 1.3891)", "1.2 to 1.6", loss, 1.2 < loss < 1.6)
    page.claim("behind the RNN, as in the book's own numbers", f"> {RNN_AT_100}", loss,
               loss > RNN_AT_100)  # fmt: skip


def first_epoch_of_all_right(log: list[tuple[int, float, float]]) -> int:
    """Returns the epoch from which on the accuracy stays at 1, or 0 when it never does."""
    wrong = [epoch for epoch, _, accuracy in log if accuracy < 1]
    return (wrong[-1] if wrong else 0) + 10 if not wrong or wrong[-1] < log[-1][0] else 0


@entry("E7.8+", "RNN and LSTM on equal terms")
def equal_terms(page: Page) -> None:
    """Both with the same rate, the same number of epochs, and three seeds each.

    The task needs no memory, so the LSTM's gates are of no use to it, and its output, a product of
    two numbers below 1, starts small: it is the RNN that learns faster at either rate.
    """
    logs = {}
    for lr in (BOOK_LR, LR):
        for name, network in (("RNN", MinimalRNN), ("LSTM", LSTMTagger)):
            for seed in range(3):
                smelt.manual_seed(seed)
                logs[name, lr, seed] = train(network(), lr, 400)
    page.table(
        ["network", "rate", "seed", "loss at 100", "loss at 400", "all right from"],
        [(name, lr, seed, f"{log[9][1]:.4f}", f"{log[-1][1]:.4f}", first_epoch_of_all_right(log))
         for (name, lr, seed), log in logs.items()],
    )  # fmt: skip
    curves = {
        f"{name}, rate {lr:g}": [loss for _, loss, _ in logs[name, lr, 0]]
        for name, lr, seed in logs if seed == 0
    }  # fmt: skip
    page.figure("equal-terms", plot.loss_curves(curves, every=10, start=10, x_label="epoch"))
    for lr in (BOOK_LR, LR):
        rnn, lstm = (
            np.mean([logs[name, lr, seed][9][1] for seed in range(3)]) for name in ("RNN", "LSTM")
        )
        page.claim(
            f"rate {lr:g}: mean loss at epoch 100", "RNN below LSTM", (rnn, lstm), rnn < lstm
        )
    last = [logs[name, LR, seed][-1][2] for name in ("RNN", "LSTM") for seed in range(3)]
    page.claim("both solve it in 400 epochs at 3e-3", [1.0] * 6, last, min(last) == 1)
