"""E7.2 to E7.7 (E7.5 apart): a recurrent network, piece by piece, that adds one to what it sees."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot
from smelt.book.entry import Page, entry

V, H, T, B = 6, 16, 8, 32  # tokens, hidden units, steps of time, sequences in a batch
EPOCHS, LR, SEED = 400, 3e-3, 42
BOOK = {10: (2.2279, 0.0), 20: (1.8359, 25.0), 30: (1.7515, 37.5), 40: (1.4042, 62.5),
        90: (0.7931, 100.0), 100: (0.6308, 100.0), 400: (0.0250, 100.0)}  # fmt: skip
BOOK_PREDICTED = [3, 4, 4, 2, 1, 4, 1, 2]  # for a sequence that it does not print


def make_batch(size: int = B) -> tuple[smelt.Tensor, smelt.Tensor, smelt.Tensor]:
    """Returns tokens and targets (size, T), and the tokens one-hot (size, T, V).

    The target of every token is the next number, and 0 after the last: y = (x + 1) mod V.
    """
    ids = smelt.randint(0, V, (size, T))
    return ids, (ids + 1) % V, F.one_hot(ids, V).float()


def wide_linear(inputs: int, outputs: int) -> nn.Linear:
    """Returns a Linear layer with the first weights of the book's library.

    They come from U(-a, a) with a = sqrt(6 / inputs), wider than PyTorch's 1 / sqrt(inputs).
    """
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    return layer


class MinimalRNN(nn.Module):
    """h(t) = tanh(W_x x(t) + b_x + W_h h(t-1) + b_h), o(t) = W_y h(t) + b_y."""

    def __init__(self) -> None:
        super().__init__()
        self.from_input = wide_linear(V, H)
        self.from_state = wide_linear(H, H)
        self.head = wide_linear(H, V)

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        """Returns logits (B, T, V) for one-hot tokens (B, T, V): the same cell at every step."""
        h = smelt.zeros(x.shape[0], H)  # (B, H)
        outputs = []
        for t in range(T):
            h = smelt.tanh(self.from_input(x[:, t]) + self.from_state(h))
            outputs.append(self.head(h))  # (B, V)
        return smelt.stack(outputs, 1)  # (B, T, V)


def sequence_loss(logits: smelt.Tensor, targets: smelt.Tensor) -> smelt.Tensor:
    """The mean cross-entropy over all sequences and all steps."""
    return F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1))


def make_step(model: nn.Module, opt: optim.Optimizer) -> smelt.CompiledStep:
    """Returns a compiled step on a fresh random batch, which is drawn inside the step."""

    @smelt.compile
    def step() -> smelt.Tensor:
        _, targets, x = make_batch()
        loss = sequence_loss(model(x), targets)
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss

    return step


def evaluate(model: nn.Module, ids: smelt.Tensor) -> tuple[list[int], float]:
    """Returns the predicted tokens of one sequence (T,), and the share that is right."""
    with smelt.no_grad():
        logits = model(F.one_hot(ids, V).float()[None])[0]  # (T, V)
    predicted = logits.argmax(1)
    return predicted.tolist(), float((predicted == (ids + 1) % V).float().mean())


def train(model: nn.Module, lr: float, epochs: int) -> Iterator[tuple[int, float, float]]:
    """Yields (epoch, loss, accuracy on one fixed sequence), every ten epochs."""
    fixed = smelt.randint(0, V, (T,))
    step = make_step(model, optim.Adam(model.parameters(), lr=lr))
    for epoch in range(10, epochs + 1, 10):
        losses = step.repeat(10)  # one native call
        yield epoch, float(losses[-1]), evaluate(model, fixed)[1]


@entry("E7.2", "Shift by one: the batch maker")
def batch_maker(page: Page) -> None:
    """Random tokens, the token after each as its target, and the tokens as one-hot vectors."""
    smelt.manual_seed(SEED)
    ids, targets, x = make_batch()
    page.print("tokens ", ids[0].tolist())
    page.print("targets", targets[0].tolist())
    page.print("one-hot", list(x.shape), "first:", x[0, 0].tolist())
    page.claim("targets are (x + 1) mod 6", True, bool((targets == (ids + 1) % V).all()),
               (targets == (ids + 1) % V).all())  # fmt: skip
    page.claim("one-hot vectors name their token", (B, T, V), x.shape,
               x.shape == (B, T, V) and (x.argmax(2) == ids).all())  # fmt: skip
    found = sorted(set(ids.reshape(-1).tolist()))
    page.claim("tokens are uniform in 0..5", list(range(V)), found, found == list(range(V)))


@entry("E7.3", "Shift by one: parameters")
def parameters(page: Page) -> None:
    """Three linear maps, each with a bias: from the input, from the state before, to the logits."""
    smelt.manual_seed(SEED)
    model = MinimalRNN()
    rows = [(name, list(p.shape), p.numel()) for name, p in model.named_parameters()]
    page.table(["parameter", "shape", "numbers"], rows)
    total = sum(count for _, _, count in rows)
    page.claim("number of parameters", 486, total, total == 486)
    widest = float(model.from_state.weight.abs().max())
    bound = math.sqrt(6 / H)
    page.claim("weights from U(-a, a), a = sqrt(6 / 16)", f"<= {bound:.4f}", widest,
               0.9 * bound < widest <= bound)  # fmt: skip


@entry("E7.4", "Shift by one: the unrolled forward pass")
def forward_pass(page: Page) -> None:
    """The same cell is applied at each of eight steps; each hands its state to the next.

    Checked against the formula in NumPy, and against `smelt.scan`, which does the same without
    writing the loop out: its program stays as short for any length.
    """
    smelt.manual_seed(SEED)
    model = MinimalRNN()
    _, _, x = make_batch()
    with smelt.no_grad():
        logits = model(x)
        scanned = forward_by_scan(model, x)
    by_hand = forward_in_numpy({name: p.numpy() for name, p in model.named_parameters()}, x.numpy())
    page.print("input", list(x.shape), "-> logits", list(logits.shape))
    page.claim("shape of the logits", (B, T, V), logits.shape, logits.shape == (B, T, V))
    error = float(np.abs(logits.numpy() - by_hand).max())
    page.claim("the formula in NumPy", "error < 1e-5", error, error < 1e-5)
    error = float((logits - scanned).abs().max())
    page.claim("the same by smelt.scan", "error < 1e-5", error, error < 1e-5)


def forward_in_numpy(weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """h(t) = tanh(...), o(t) = W_y h(t) + b_y, as the book writes them."""
    h, outputs = np.zeros((x.shape[0], H), np.float32), []
    for t in range(T):
        from_input = x[:, t] @ weights["from_input.weight"].T + weights["from_input.bias"]
        from_state = h @ weights["from_state.weight"].T + weights["from_state.bias"]
        h = np.tanh(from_input + from_state)
        outputs.append(h @ weights["head.weight"].T + weights["head.bias"])
    return np.stack(outputs, 1)


def forward_by_scan(model: MinimalRNN, x: smelt.Tensor) -> smelt.Tensor:
    """The recurrence as one operation: a loop in the graph."""

    def cell(h: smelt.Tensor, x_t: smelt.Tensor) -> tuple[smelt.Tensor, smelt.Tensor]:
        h = smelt.tanh(model.from_input(x_t) + model.from_state(h))
        return h, model.head(h)

    _, outputs = smelt.scan(cell, smelt.zeros(x.shape[0], H), x.transpose(0, 1))  # (T, B, V)
    return outputs.transpose(0, 1)


@entry("E7.6", "Shift by one: evaluation")
def evaluation(page: Page) -> None:
    """Feeds one sequence, takes the largest logit at each step, and counts what is right.

    With eight steps the accuracy moves by 12.5 %. An untrained network is near 1 in 6.
    """
    smelt.manual_seed(SEED)
    model = MinimalRNN()
    ids = smelt.randint(0, V, (T,))
    predicted, accuracy = evaluate(model, ids)
    page.print("tokens   ", ids.tolist())
    page.print("predicted", predicted, "accuracy", f"{accuracy:.1%}")
    right = sum(
        guess == (token + 1) % V for guess, token in zip(predicted, ids.tolist(), strict=True)
    )
    page.claim("accuracy counts the hits", right / T, accuracy, accuracy == right / T)
    untrained = np.mean([evaluate(model, smelt.randint(0, V, (T,)))[1] for _ in range(50)])
    page.claim("untrained: far from all right", "< 0.6", untrained, untrained < 0.6)


@entry("E7.7", "Shift by one: the training loop")
def training_loop(page: Page) -> None:
    """400 epochs of one fresh batch each, as in the book, whose numbers stand beside ours.

    Both start from random weights of the same kind, but not from the same ones. Note that the
    target depends on the present token only: no memory is needed, and the text's claim that this
    tests dependencies over time does not hold. `E7.8++` has a task that does.
    """
    smelt.manual_seed(SEED)
    model = MinimalRNN()
    log = list(train(model, LR, EPOCHS))
    page.table(
        ["epoch", "loss", "accuracy", "book: loss", "accuracy"],
        [(epoch, f"{loss:.4f}", f"{accuracy:.1%}", BOOK[epoch][0], f"{BOOK[epoch][1]}%")
         for epoch, loss, accuracy in log if epoch in BOOK],
    )  # fmt: skip
    new = smelt.randint(0, V, (T,))
    page.print("a new sequence", new.tolist(), "predicted", evaluate(model, new)[0])
    page.print("the book's predictions, of a sequence that it does not print:", BOOK_PREDICTED)
    losses = {"RNN": [loss for _, loss, _ in log]}
    page.figure("loss", plot.loss_curves(losses, every=10, start=10, x_label="epoch",
                                         levels={"blind guess, ln 6": math.log(V)}))  # fmt: skip
    by_epoch = {epoch: (loss, accuracy) for epoch, loss, accuracy in log}
    lowest = min(accuracy for epoch, _, accuracy in log if epoch >= 100)
    page.claim("all right from epoch 100 on", "100 %", f"{lowest:.0%}", lowest == 1)
    page.claim("loss at epoch 400 (book: 0.0250)", "< 0.05", by_epoch[400][0],
               by_epoch[400][0] < 0.05)  # fmt: skip
    page.claim("a new sequence is predicted", 1.0, evaluate(model, new)[1],
               evaluate(model, new)[1] == 1)  # fmt: skip
