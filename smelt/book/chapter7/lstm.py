"""E7.8: an LSTM on the task of the RNN, as the book compares them, and on equal terms."""

from __future__ import annotations

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot
from smelt.book.chapter7.rnn import (
    LR,
    SEED,
    H,
    MinimalRNN,
    T,
    V,
    evaluate,
    make_batch,
    make_step,
    train,
    wide_linear,
)
from smelt.book.entry import Page, entry

BOOK_LR, BOOK_EPOCHS = 1e-3, 120  # the RNN had 3e-3 and 400
BOOK = {10: ("1.7266", "37.5%"), 100: ("1.3891", "100.0%")}
RNN_AT_100 = 0.6308  # the book's RNN, with three times the learning rate
BOOK_PREDICTED = [0, 1, 2, 3, 3, 3, 2, 1]  # for a sequence that it does not print


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


def each_right(model: nn.Module, ids: smelt.Tensor) -> np.ndarray:
    """Returns the share that is right of each of n sequences (n, T)."""
    with smelt.no_grad():
        predicted = model(F.one_hot(ids, V).float()).argmax(2)
    return (predicted == (ids + 1) % V).float().mean(1).numpy()


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z))."""
    return 1 / (1 + np.exp(-z))


@entry("E7.8", "An LSTM on the same task")
def lstm_on_the_same_task(page: Page) -> None:
    """The task of E7.2 to E7.7: of each of eight random tokens in 0..5, say (token + 1) mod 6.

    Batches and the training loop are those of `E7.2` and `E7.7`. The book's LSTM has a learning
    rate of 1e-3 and 120 epochs, where the RNN had 3e-3 and 400.

    The text says that both have the same rate, and that the LSTM gets to a high accuracy faster and
    more steadily. Its own numbers say otherwise: at epoch 100 the LSTM's loss is 1.3891, the RNN's
    0.6308. Ours do as well. What is left of the claim on equal terms is measured in `E7.8+`.

    The accuracies do not agree, though the losses do: the book has 37.5 % at epoch 10 and 100 % at
    epoch 100, ours are 0 % and 50 %. They are of one sequence of eight tokens, so they move in
    steps of 12.5 %, and half way through a training some of the six tokens are known and others
    not: all hangs on which of them that sequence has. Of 256 sequences, at epoch 100, some are all
    right and others not even half; the table has the least, the mean and the most.
    """
    smelt.manual_seed(SEED)
    model = LSTMTagger()
    total = sum(p.numel() for p in model.parameters())
    _, _, x = make_batch()
    weights = {name: p.numpy() for name, p in model.lstm.named_parameters()}
    with smelt.no_grad():
        error = float(np.abs(model.lstm(x)[0].numpy() - lstm_in_numpy(weights, x.numpy())).max())
    many = smelt.tensor(np.random.default_rng(SEED).integers(V, size=(256, T)))
    log = [(*row, each_right(model, many)) for row in train(model, BOOK_LR, BOOK_EPOCHS)]
    page.table(
        ["epoch", "loss", "accuracy", "of 256: least", "mean", "most", "book: loss", "accuracy"],
        [(epoch, f"{loss:.4f}", f"{accuracy:.1%}",
          *(f"{share:.1%}" for share in (each.min(), each.mean(), each.max())),
          *BOOK.get(epoch, ("", ""))) for epoch, loss, accuracy, each in log],
    )  # fmt: skip
    new = smelt.randint(0, V, (T,))
    predicted, accuracy = evaluate(model, new)
    page.print("a new sequence", new.tolist(), "predicted", predicted)
    page.print("the book's predictions, of a sequence that it does not print:", BOOK_PREDICTED)
    page.claim("number of parameters", 1638, total, total == 1638)
    page.claim("the formulas in NumPy", "error < 1e-5", error, error < 1e-5)
    loss, each = next((loss, each) for epoch, loss, _, each in log if epoch == 100)
    page.claim("loss at epoch 100 (book: 1.3891)", "1.2 to 1.6", loss, 1.2 < loss < 1.6)
    page.claim("behind the RNN, as in the book's own numbers", f"> {RNN_AT_100}", loss,
               loss > RNN_AT_100)  # fmt: skip
    page.claim(
        "at epoch 100 one sequence says little: accuracies of 256",
        "50 % or less, to 100 %",
        f"{each.min():.1%} to {each.max():.1%}",
        each.min() <= 0.5 and each.max() == 1,
    )
    page.claim("a new sequence, after 120 epochs: right", "> 0.8", accuracy, accuracy > 0.8)


def learn(network: type[nn.Module], lr: float, seed: int) -> tuple[list[float], list[float]]:
    """Returns losses, and accuracies on 256 fixed sequences, every ten epochs of 400."""
    smelt.manual_seed(seed)
    model = network()
    ids = smelt.randint(0, V, (256, T))
    x, targets = F.one_hot(ids, V).float(), (ids + 1) % V
    step = make_step(model, optim.Adam(model.parameters(), lr=lr))
    share_right = smelt.compile(lambda: (model(x).argmax(2) == targets).float().mean())
    losses, accuracies = [], []
    for _ in range(40):
        losses.append(float(step.repeat(10)[-1]))
        accuracies.append(float(share_right()))
    return losses, accuracies


@entry("E7.8+", "RNN and LSTM on equal terms")
def equal_terms(page: Page) -> None:
    """Both with the same rate, the same 400 epochs, and five seeds each, at either rate.

    On equal terms the text is right: the LSTM names more tokens rightly after 50 epochs, and its
    seeds differ less in loss. It is not surer, though: its output is a product of two numbers below
    1, so its logits grow more slowly, and its loss at epoch 100 is a little behind.
    The difference is small, for the task needs no memory. `E7.8++` has one that does.
    """
    networks = {"RNN": MinimalRNN, "LSTM": LSTMTagger}
    runs = {
        (name, lr): [learn(network, lr, seed) for seed in range(5)]
        for lr in (BOOK_LR, LR)
        for name, network in networks.items()
    }
    losses = {run: np.array([loss for loss, _ in seeds]) for run, seeds in runs.items()}
    accuracies = {run: np.array([right for _, right in seeds]) for run, seeds in runs.items()}
    page.table(
        ["network", "rate", "accuracy at 50", "at 100", "at 200", "loss at 100", "its spread"],
        [(*run, *(f"{right[:, n].mean():.3f}" for n in (4, 9, 19)),
          f"{losses[run][:, 9].mean():.3f}", f"{losses[run][:, 9].std():.3f}")
         for run, right in accuracies.items()],
    )  # fmt: skip
    curves = {f"{name}, rate {lr:g}": right.mean(0) for (name, lr), right in accuracies.items()}
    figure = plot.loss_curves(curves, title="Accuracy, mean of five seeds", y_label="accuracy",
                              x_label="epoch", every=10, start=10, log=False)  # fmt: skip
    page.figure("accuracy", figure)
    for lr in (BOOK_LR, LR):
        rnn, lstm = (float(accuracies[name, lr][:, 4].mean()) for name in networks)
        page.claim(
            f"rate {lr:g}: accuracy at epoch 50", f"> {rnn:.3f}, the RNN's", lstm, lstm > rnn
        )
        rnn, lstm = (float(losses[name, lr][:, 9].std()) for name in networks)
        page.claim(f"rate {lr:g}: spread of losses", f"< {rnn:.3f}, the RNN's", lstm, lstm < rnn)
    last = min(accuracies[name, LR][:, -1].min() for name in networks)
    page.claim("at 3e-3 all ten runs end all right", 1.0, last, last == 1)
