from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import smelt
import smelt.book
from smelt import nn
from smelt.book.chapter7 import cats, cnn_by_hand, lstm, memory, next_value, smoothing

DATA = Path(__file__).parents[3] / "shared" / "data"
NUMBERS = [one.number for one in smelt.book.entries(7)]
NEED_DATA = {"E7.0", "F7.1", "F7.2", "E7.c++", "P7.1"}
SLOW = {"E7.c++", "P7.1", "E7.8+", "E7.8++", "P7.2", "P7.3"}  # by `smelt book run all` only


@pytest.mark.parametrize("number", [number for number in NUMBERS if number not in SLOW])
def test_every_claim_of_the_quick_entries_holds(number: str) -> None:
    if number in NEED_DATA and not DATA.exists():
        pytest.skip(f"{number} needs data sets, which are not at {DATA}")
    page = smelt.book.run(number, data=DATA)
    assert page.holds, [claim for claim in page.claims if not claim.holds]


def test_the_chapter_is_complete() -> None:
    programs = "E7.0 E7.1 E7.c E7.c+ E7.c++ E7.2 E7.3 E7.4 E7.5 E7.6 E7.7 E7.8 E7.8+ E7.8++"
    figures = [f"F7.{number}" for number in range(1, 10)]
    assert set(NUMBERS) == {*programs.split(), *figures, "P7.1", "P7.2", "P7.3"}


def test_the_kernels_gradient_is_that_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(6, 6)), rng.normal(size=(3, 3))
    g = rng.normal(size=(4, 4))
    by_hand = cnn_by_hand.convolve_backward(image.astype(np.float32), g.astype(np.float32))
    for place in np.ndindex(3, 3):
        nudge = np.zeros((3, 3))
        nudge[place] = 1e-6
        change = cnn_by_hand.convolve(image, kernel + nudge) - cnn_by_hand.convolve(image, kernel)
        assert by_hand[place] == pytest.approx((change * g).sum() / 1e-6, abs=1e-4)


def test_equal_maxima_send_their_gradient_to_the_first() -> None:
    _, places = cnn_by_hand.max_pool(np.ones((4, 4), np.float32))
    grad = cnn_by_hand.max_pool_backward(np.arange(1, 5, dtype=np.float32), places)
    assert grad[::2, ::2].ravel().tolist() == [1, 2, 3, 4]
    assert grad.sum() == 10


def test_the_adding_problem_marks_one_number_in_each_half() -> None:
    x, y = memory.make_batch(64)
    numbers, marks = x.numpy()[..., 0], x.numpy()[..., 1]
    assert (marks[:, : memory.T // 2].sum(1) == 1).all()
    assert (marks[:, memory.T // 2 :].sum(1) == 1).all()
    assert np.allclose((numbers * marks).sum(1), y.numpy()[:, 0])


def test_a_pattern_repeats_itself() -> None:
    x, y = next_value.make_batch(16)
    ids = x.argmax(2)
    assert (ids[:, next_value.PERIOD :] == ids[:, : -next_value.PERIOD]).all()
    assert (y[:, :-1] == ids[:, 1:]).all()


def test_the_mean_of_five_days_of_a_line_is_the_line_two_days_ago() -> None:
    line = np.arange(20, dtype=np.float32)
    assert np.allclose(smoothing.smooth(line), line[2:-2])


def test_photographs_are_only_moved_and_mirrored() -> None:
    x = smelt.rand(8, 3, cats.SIDE, cats.SIDE)
    shown = cats.augmented(x).numpy()
    assert shown.shape == x.shape
    for before, after in zip(x.numpy(), shown, strict=True):
        assert np.isin(after[:, 8:-8, 8:-8], before).all()


def test_both_kinds_of_photographs_are_drawn_equally_often() -> None:
    labels = smelt.tensor([1.0] + [0.0] * 9)
    chosen = smelt.multinomial(cats.balanced(labels), 4000, replacement=True)
    assert 0.45 < float(labels[chosen].mean()) < 0.55


def test_the_adders_learn_on_short_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "T", 6)
    monkeypatch.setattr(memory, "STEPS", 400)
    model, losses = memory.train("LSTM", 0)
    assert isinstance(model.layer, nn.LSTM)
    assert losses[-20:].mean() < 0.5 * memory.BLIND
    assert memory.gradient_norms(model).shape == (6,)


def test_the_lstm_is_the_books_formula_for_any_batch() -> None:
    model = lstm.LSTMTagger()
    weights = {name: p.numpy() for name, p in model.lstm.named_parameters()}
    x = smelt.randn(3, 5, lstm.V)
    with smelt.no_grad():
        states = model.lstm(x)[0].numpy()
    assert np.allclose(states, lstm.lstm_in_numpy(weights, x.numpy()), atol=1e-6)
