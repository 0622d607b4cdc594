"""The recipe policy: the cart-pole's equations, a training of each method, going on with one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import smelt
from smelt.errors import ArgumentError
from smelt.recipes import policy
from smelt.recipes.policy import advance, discounted, has_failed
from tests.recipes.recipe_runs import FILES, check_goes_on

pytest.importorskip("matplotlib")
pytest.importorskip("safetensors")


def accelerations(state: np.ndarray, force: float) -> tuple[float, float]:
    """Returns those of pole and cart, as in equations (1) and (2) of the paper of 1983, without
    friction: gravity, masses and half the pole's length as there.
    """
    g, cart, pole, half = 9.8, 1.0, 0.1, 0.5
    _, _, angle, turning = state
    sine, cosine = math.sin(angle), math.cos(angle)
    total = cart + pole
    numerator = g * sine + cosine * (-force - pole * half * turning**2 * sine) / total
    turning_faster = numerator / (half * (4 / 3 - pole * cosine**2 / total))
    faster = (force + pole * half * (turning**2 * sine - turning_faster * cosine)) / total
    return turning_faster, faster


def test_the_cart_moves_by_the_equations_of_the_paper() -> None:
    random = np.random.default_rng(0)
    states = random.uniform(-1, 1, (50, 4)) * [2.4, 3, 0.21, 3]
    actions = random.integers(0, 2, 50)
    moved = smelt.compile(advance)(smelt.tensor(states), smelt.tensor(actions)).numpy()
    for state, action, got in zip(states, actions, moved, strict=True):
        turning_faster, faster = accelerations(state, 10.0 if action else -10.0)
        expected = state + 0.02 * np.array([state[1], faster, state[3], turning_faster])
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


def test_a_pole_that_is_pushed_to_the_right_falls_to_the_left() -> None:
    state = smelt.zeros(1, 4)
    count = 0
    while not has_failed(state).item():
        state, count = advance(state, smelt.ones(1).long()), count + 1
    assert 8 <= count <= 10
    assert state[0, 2].item() < -math.radians(12)
    assert state[0, 0].item() > 0


def test_an_episode_ends_where_cart_or_pole_leave() -> None:
    edge = math.radians(12)
    rows = [[2.4, 9, 0, 9], [2.41, 0, 0, 0], [-2.41, 0, 0, 0], [0, 0, edge + 1e-3, 0]]
    rows += [[0, 0, -edge - 1e-3, 0], [0, 0, edge - 1e-3, 0]]
    assert has_failed(smelt.tensor(rows)).tolist() == [False, True, True, True, True, False]


def test_rewards_are_discounted() -> None:
    returns = discounted(smelt.tensor([[1.0], [0.0], [4.0]]), 0.5)
    assert returns.tolist() == [[2.0], [2.0], [4.0]]


def test_lives_end_once_and_for_all() -> None:
    smelt.manual_seed(0)
    episodes = policy.make_model().play(policy.starts(20, 1))
    lives = episodes.lives.numpy()
    assert lives.shape == (policy.LIMIT, 20)
    assert lives[0].all()
    assert (np.diff(lives, axis=0) <= 0).all()
    lengths = lives.sum(0).astype(int)
    assert (lengths < policy.LIMIT).all()  # a policy that has learned nothing
    after = np.stack([episodes.states.numpy()[n, i] for i, n in enumerate(lengths)])
    before = np.stack([episodes.states.numpy()[n - 1, i] for i, n in enumerate(lengths)])
    assert has_failed(smelt.tensor(after)).all()
    assert not has_failed(smelt.tensor(before)).any()


@pytest.mark.parametrize("method", ["reinforce", "actor-critic"])
def test_it_learns(method: policy.Method, tmp_path: Path) -> None:
    result = policy.run(tmp_path / "run", method=method, epochs=6, lr=1e-2)
    returns = [epoch.held_out["return"] for epoch in result.history.epochs]
    assert returns[-1] > 5 * returns[0] or returns[-1] > 250
    assert result.figures["environment_steps"] > 10_000
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES | {"return.png"}


def test_a_training_that_goes_on_has_the_same_bits(tmp_path: Path) -> None:
    check_goes_on(policy.run, tmp_path, method="actor-critic", epochs=3, environments=8, seed=5)


def test_a_setting_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="method"):
        policy.run(tmp_path / "run", method="q-learning")
