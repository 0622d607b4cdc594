"""Policy: a network learns to balance a pole on a cart by trial and error.

A pole stands on a cart, hinged at its foot; at each step the cart is pushed to the left or to the
right. The episode ends when the pole leans by more than 12 degrees or the cart leaves the track,
and at the latest after 500 steps; the return is the number of steps. It counts as solved when the
mean return of 100 episodes is 475.

The equations are those of Barto, Sutton and Anderson ("Neuronlike adaptive elements that can solve
difficult learning control problems", 1983), with the numbers of Gymnasium's CartPole-v1, and
written in Smelt: many carts move in parallel, and one update (500 steps of all carts, their
returns, the gradient, Adam) is one native function. An epoch is ten updates. The network learns by
REINFORCE, where the return of an action is compared with the mean return of the other carts at the
same moment, or by actor-critic, where a second network learns to predict the return.

The final test is 100 new episodes, in which actions are drawn from the policy, as in training. The
learning rate, the length of training and the critic's smoothing were chosen with seeds 10 to 12.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot, train
from smelt.data import TensorDataset
from smelt.errors import ArgumentError
from smelt.export.inference import Inference
from smelt.limits import Within
from smelt.random import Generator, manual_seed
from smelt.recipes.inference import classifier
from smelt.recipes.recipe import Epochs, Rate, Result, Seed
from smelt.tensor import Tensor

__all__ = ["Agent", "advance", "has_failed", "inference", "make_model", "run"]

GRAVITY, CART_MASS, POLE_MASS = 9.8, 1.0, 0.1  # m/s^2, kg, kg
HALF_LENGTH, FORCE, INTERVAL = 0.5, 10.0, 0.02  # of the pole, m; N; s between two pushes
TRACK, LEAN = 2.4, math.radians(12)  # the cart's place and the pole's angle may be so large
LIMIT = 500  # steps of an episode
SOLVED = 475.0
UPDATES = 10  # an epoch
TESTED = 100  # episodes
DISCOUNT, SMOOTHING = 0.99, 0.98
HORIZON = 1 / (1 - DISCOUNT)  # the discounted return of an episode without end
ENTROPY = 0.01  # how much a policy that is sure of itself costs
CRITIC = 0.5  # how much the critic's loss counts
Method = Literal["reinforce", "actor-critic"]


def advance(state: Tensor, action: Tensor) -> Tensor:
    """Returns the state of carts and poles one interval later, by Euler's method.

    Args:
        state: (n, 4): the cart's position and velocity, the pole's angle and angular velocity.
        action: (n,): 0 pushes to the left, 1 to the right.
    """
    _, speed, angle, turning = smelt.unbind(state, dim=1)  # (n,) each
    force = FORCE * (2.0 * action - 1.0)
    sine, cosine = smelt.sin(angle), smelt.cos(angle)
    mass = CART_MASS + POLE_MASS
    push = (force + POLE_MASS * HALF_LENGTH * turning**2 * sine) / mass
    inertia = HALF_LENGTH * (4 / 3 - POLE_MASS * cosine**2 / mass)
    turning_faster = (GRAVITY * sine - cosine * push) / inertia
    faster = push - POLE_MASS * HALF_LENGTH * turning_faster * cosine / mass
    change = smelt.stack([speed, faster, turning, turning_faster], dim=1)
    return state + INTERVAL * change


def seen(state: Tensor) -> Tensor:
    """Returns states (..., 4) scaled for the networks, to numbers of about the size of 1."""
    return state / smelt.tensor([TRACK, 1.0, LEAN, 1.0])


def has_failed(state: Tensor) -> Tensor:
    """Returns whether the cart has left the track or the pole has fallen: (n, 4) to (n,)."""
    return (state[:, 0].abs() > TRACK) | (state[:, 2].abs() > LEAN)


def starts(count: int, seed: int) -> Tensor:
    """Returns states (count, 4) from which episodes begin: all four numbers near 0."""
    return smelt.rand(count, 4, generator=Generator(seed)) * 0.1 - 0.05


class Episodes(NamedTuple):
    """What happened to n carts; `lives` is 1.0 at each step that belongs to the episode."""

    states: Tensor  # (LIMIT, n, 4)
    actions: Tensor  # (LIMIT, n)
    lives: Tensor  # (LIMIT, n)
    last: Tensor  # (n, 4): the states after the last step
    survives: Tensor  # (n,): 1.0 where an episode was ended by the limit only


class Agent(nn.Module):
    """A policy and, for actor-critic, its critic. Called with states (n, 4) from which episodes
    begin, it returns minus their mean return, whose gradient is the policy gradient.

    Attributes:
        steps: environment steps of all carts together, within episodes.
    """

    steps: Tensor

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))  # (n, 2) logits
        self.critic = (
            nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1))  # (n, 1)
            if method == "actor-critic"
            else None
        )
        self.register_buffer("steps", smelt.tensor(0))

    def forward(self, start: Tensor) -> Tensor:
        with smelt.no_grad():
            episodes = self.play(start)
            self.steps.copy_(self.steps + episodes.lives.sum().long())
        lives = episodes.lives
        logits = F.log_softmax(self.actor(seen(episodes.states)), dim=-1)  # (LIMIT, n, 2)
        chosen = logits.gather(-1, episodes.actions.unsqueeze(-1)).squeeze(-1)
        entropy = -(logits.exp() * logits).sum(-1)
        advantage, error = self.judge(episodes)  # (LIMIT, n), ()
        gain = (lives * (chosen * advantage + ENTROPY * entropy)).sum() / lives.sum()
        objective = CRITIC * error - gain
        return objective - objective.detach() - lives.sum(0).mean()

    def play(self, start: Tensor) -> Episodes:
        """Plays an episode from each state; carts whose episode is over move on, but are
        ignored.
        """

        def move(carry: tuple[Tensor, ...], _: None) -> tuple[tuple[Tensor, ...], Any]:
            state, lives = carry
            logits = self.actor(seen(state))  # (n, 2)
            right = smelt.sigmoid(logits[:, 1] - logits[:, 0])
            action = (smelt.rand_like(right) < right).long()
            following = advance(state, action)
            survives = lives * (~has_failed(following)).float()
            return (following, survives), (state, action, lives)

        first = start, smelt.ones(len(start))
        (last, survives), (states, actions, lives) = smelt.scan(move, first, length=LIMIT)
        return Episodes(states, actions, lives, last, survives)

    def judge(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """Returns how much better than expected each action was (LIMIT, n), on a common scale, and
        the critic's error.
        """
        lives = episodes.lives
        if self.critic is None:
            returns = discounted(lives, DISCOUNT)
            expected = (returns * lives).sum(1, keepdim=True) / lives.sum(1, keepdim=True).clamp(1)
            return scaled(returns - expected, lives), smelt.zeros(())
        values = HORIZON * self.critic(seen(episodes.states)).squeeze(-1)  # (LIMIT, n)
        with smelt.no_grad():
            last = (
                HORIZON * self.critic(seen(episodes.last)).squeeze(-1) * episodes.survives
            )  # (n,)
            following = smelt.cat([values[1:] * lives[1:], last.unsqueeze(0)])
            surprise = lives * (1.0 + DISCOUNT * following - values)
            advantage = discounted(surprise, DISCOUNT * SMOOTHING)
            target = values + advantage
        error = (lives * (values - target) ** 2).sum() / lives.sum()
        return scaled(advantage, lives), error / HORIZON**2


def discounted(rewards: Tensor, discount: float) -> Tensor:
    """Returns y[t] = rewards[t] + discount * y[t + 1], for rewards (steps, n)."""

    def add(later: Tensor, reward: Tensor) -> tuple[Tensor, Tensor]:
        total = reward + discount * later
        return total, total

    return smelt.scan(add, smelt.zeros_like(rewards[0]), rewards, reverse=True)[1]


def scaled(advantage: Tensor, lives: Tensor) -> Tensor:
    """Returns advantages with mean 0 and standard deviation 1 over the steps that count."""
    count = lives.sum()
    centered = (advantage - (advantage * lives).sum() / count) * lives
    return centered / smelt.sqrt((centered**2).sum() / count + 1e-8)


def make_model(method: Method = "reinforce") -> Agent:
    """Returns an agent with initial weights.

    Raises:
        ArgumentError: there is no such method.
    """
    if method not in get_args(Method):
        raise ArgumentError(
            f"policy: method={method!r} must be one of {', '.join(get_args(Method))}"
        )
    return Agent(method)


def run(
    folder: str | os.PathLike[str],
    *,
    method: Method = "reinforce",
    epochs: Epochs = 25,
    environments: Annotated[int, Within(2)] = 32,
    lr: Rate = 5e-3,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Learns to balance the pole, tests it on 100 new episodes, and keeps everything in a folder.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint and figures.
        method: how actions are judged: reinforce by the returns, actor-critic by a second network.
        epochs: of ten updates each.
        environments: number of carts; each plays one episode per update.
        lr: learning rate at the start; it falls to 0 along half a cosine.
        seed: random seed of the initial weights and of all random numbers.
        callbacks: further callbacks, called after each epoch.
        resume: whether to resume the run in the folder; the settings must be those of the run.

    Raises:
        FileError: the folder cannot be written, or holds a run already.
        ArgumentError: a setting is out of its range.
        MissingExtra: matplotlib or safetensors is not installed.
    """
    plot.require()
    config = {"method": method, "epochs": epochs, "environments": environments, "lr": lr}
    manual_seed(seed)
    model = make_model(method)
    optimizer = optim.Adam(model.parameters(), lr=lr)
    run_folder = train.RunFolder(
        folder, model, {"recipe": "policy", **config, "seed": seed}, resume=resume
    )
    validation = tester(model, starts(TESTED, seed + 1))
    history = train.fit(
        model,
        None,
        optimizer,
        TensorDataset(starts(UPDATES * environments, seed)),
        epochs=epochs,
        batch_size=environments,
        validation=lambda: {"return": float(validation().mean())},
        scheduler=optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=UPDATES * epochs),
        scheduler_interval="step",
        max_grad_norm=1.0,
        callbacks=callbacks,
        run=run_folder,
        resume=resume,
        progress=False,
    )
    steps = run_folder.training.update.steps
    if history.interrupted:
        return Result({}, history, steps)
    draw(run_folder.path, history)
    return Result(measured(model, history, steps, starts(TESTED, seed + 2)), history, steps)


def tester(model: Agent, start: Tensor) -> Callable[[], np.ndarray]:
    """Returns a function that plays an episode from each state, and returns their returns."""

    @smelt.compile
    def returns() -> Tensor:
        with smelt.no_grad():
            return model.play(start).lives.sum(0)  # (n,)

    return lambda: returns().numpy()


def measured(
    model: Agent, history: train.History, steps: Sequence[Any], start: Tensor
) -> dict[str, float | str]:
    """Returns the results of a finished training."""
    returns = tester(model, start)()
    compiling = sum(times.trace + times.compile for step in steps for times in step.times)
    solved = [epoch.number for epoch in history.epochs if epoch.held_out["return"] >= SOLVED]
    return {
        "test_return": float(returns.mean()),
        "test_return_least": float(returns.min()),
        "solved_at_update": UPDATES * solved[0] if solved else "never",
        "environment_steps": model.steps.item(),
        "environment_steps_a_second": model.steps.item() / (history.seconds - compiling),
    }


def draw(folder: Path, history: train.History) -> None:
    """Draws the return by epoch."""
    returns = {
        "training, a mean over ten updates": [-epoch.loss for epoch in history.epochs],
        "100 held-out episodes": [epoch.held_out["return"] for epoch in history.epochs],
    }
    curve = plot.loss_curves(
        returns,
        title="Return",
        x_label="epoch (ten updates)",
        y_label="steps",
        start=1,
        levels={"solved": SOLVED},
        log=False,
    )
    plot.save(curve, folder / "return.png")


def inference(folder: Path, config: Mapping[str, Any]) -> Inference:
    """Returns what the policy of a run says: the probability of each push."""
    state = "the cart's position (m) and velocity, the pole's angle (rad) and angular velocity"
    model = make_model(config["method"])
    return classifier("policy", folder, model, (4,), state, ["left", "right"], logits)


def logits(model: Agent, state: Tensor) -> Tensor:
    """Returns the policy's logits (n, 2) in states (n, 4)."""
    return model.actor(seen(state))
