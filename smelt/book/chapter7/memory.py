"""E7.8++: a task that needs memory: add two numbers that stand far apart in a long sequence."""

from __future__ import annotations

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot
from smelt.book.entry import Page, entry

T, B = 100, 50
STEPS, LR = 2000, 1e-2
# the LSTM's cell has four times the weights: the RNN makes up for it by more units
LAYERS: dict[str, tuple[type[nn.RNN | nn.LSTM], int]] = {"RNN": (nn.RNN, 66), "LSTM": (nn.LSTM, 32)}
SEEDS = (0, 1, 2)
BLIND = 1 / 6  # the error of always answering 1: the variance of a sum of two uniform numbers


def make_batch(size: int = B) -> tuple[smelt.Tensor, smelt.Tensor]:
    """Returns sequences (size, T, 2) and targets (size, 1) of the adding problem.

    Every step brings a number from U(0, 1) and a mark that is 0, but 1 at one place in the first
    half and at one in the second. The target is the sum of the two marked numbers (Hochreiter and
    Schmidhuber, 1997).
    """
    numbers = smelt.rand(size, T)
    first = F.one_hot(smelt.randint(0, T // 2, (size,)), T)
    second = F.one_hot(smelt.randint(T // 2, T, (size,)), T)
    marks = (first + second).float()  # (size, T)
    return smelt.stack([numbers, marks], 2), (numbers * marks).sum(1, keepdim=True)


class Adder(nn.Module):
    """A recurrent layer that reads the sequence, and a linear map of its last state."""

    def __init__(self, name: str) -> None:
        super().__init__()
        layer, self.units = LAYERS[name]
        self.layer = layer(2, self.units, batch_first=True)
        self.head = nn.Linear(self.units, 1)

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        """Returns sums (B, 1) of sequences (B, T, 2)."""
        states, _ = self.layer(x)  # (B, T, units)
        return self.head(states[:, -1])


def train(name: str, seed: int) -> tuple[Adder, np.ndarray]:
    """Returns a trained network and its losses (STEPS,): on the same terms for either kind."""
    smelt.manual_seed(seed)
    model = Adder(name)
    opt = optim.Adam(model.parameters(), lr=LR)

    @smelt.compile
    def step() -> smelt.Tensor:
        x, y = make_batch()
        loss = F.mse_loss(model(x), y)
        opt.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        return loss

    return model, step.repeat(STEPS).numpy()


def test_error(model: Adder) -> float:
    """Returns the mean squared error on 2,000 fresh sequences."""
    x, y = make_batch(2000)
    with smelt.no_grad():
        return float(smelt.compile(lambda x, y: F.mse_loss(model(x), y))(x, y))


def gradient_norms(model: Adder) -> np.ndarray:
    """Returns |dL/ds(t)| for t = 1 to T, where s(t) is all that is handed to the next step."""
    x, y = make_batch(16)
    lstm = isinstance(model.layer, nn.LSTM)
    cell = nn.LSTMCell(2, model.units) if lstm else nn.RNNCell(2, model.units)
    cell.load_state_dict(
        {name.removesuffix("_l0"): p for name, p in model.layer.state_dict().items()}
    )
    zeros = smelt.zeros(16, model.units)
    return plot.gradients_through_time(
        cell,
        (zeros, zeros) if lstm else zeros,
        x.transpose(0, 1),
        lambda state: F.mse_loss(model.head(state[0] if lstm else state), y),
    )


@entry("E7.8++", "A task that needs memory: the plain RNN fails, the LSTM solves it")
def adding_problem(page: Page) -> None:
    """Sequences of a hundred steps; the sum of two marked numbers in them is wanted at the end.

    Same data, optimizer, rate, clipping, number of steps and (nearly) of weights for both. The RNN
    does no better than to answer 1 every time (mean squared error 1/6). The LSTM finds the marks.

    The second figure says why. It shows how strongly the loss at the end depends on what the
    network knew at step t. With the first weights that falls off exponentially in both: at every
    step it is multiplied by the same kind of Jacobian, and vanishes because that shrinks vectors
    (its spectral radius is below 1; above 1 it would explode). But the LSTM's memory is carried on
    by a sum, c(t) = f c(t-1) + i g. Learning from marks that happen to stand near the end it can
    open the forget gate, and with f near 1 the gradient is handed back as it is, from any distance.
    The RNN has nothing to open.
    """
    fresh = {name: Adder(name) for name in LAYERS}
    trained = {(name, seed): train(name, seed) for name in LAYERS for seed in SEEDS}
    errors = {run: test_error(model) for run, (model, _) in trained.items()}
    page.table(
        ["network", "seed", "parameters", "error on 2,000 fresh sequences"],
        [(name, seed, sum(p.numel() for p in trained[name, seed][0].parameters()), error)
         for (name, seed), error in errors.items()],
    )  # fmt: skip
    losses = {name: trained[name, 0][1] for name in LAYERS}
    page.figure("loss", plot.loss_curves(losses, smooth=50, levels={"always 1: 1/6": BLIND}))
    flow = {f"{name}, first weights": gradient_norms(model) for name, model in fresh.items()}
    flow |= {f"{name}, trained": gradient_norms(trained[name, 0][0]) for name in LAYERS}
    page.figure("gradient-flow", plot.gradient_flow(flow))
    claim_memory(page, errors, flow)


def claim_memory(
    page: Page, errors: dict[tuple[str, int], float], flow: dict[str, np.ndarray]
) -> None:
    """The RNN stays at the blind guess, the LSTM is far below it; and gradients tell why."""
    rnn, lstm = ([errors[name, seed] for seed in SEEDS] for name in LAYERS)
    page.claim(f"RNN, seeds {SEEDS}: no better than a constant", f"> {0.8 * BLIND:.3f}", rnn,
               min(rnn) > 0.8 * BLIND)  # fmt: skip
    page.claim(f"LSTM, seeds {SEEDS}: solved", "< 0.01", lstm, max(lstm) < 0.01)
    left = {name: float(norms[0] / norms[-1]) for name, norms in flow.items()}
    page.claim("of the trained RNN's gradient, left after 99 steps", "< 1e-6", left["RNN, trained"],
               left["RNN, trained"] < 1e-6)  # fmt: skip
    page.claim("of the trained LSTM's", "> 1e-3", left["LSTM, trained"],
               left["LSTM, trained"] > 1e-3)  # fmt: skip
